#include "storage/journal_format.h"

#include <cstdio>

namespace leat::storage {
namespace {
constexpr std::uint32_t kManifestMagic = 0x314d4a4c;  // "LJM1"
constexpr std::uint32_t kManifestVersion = 2;         // 1 had no sizes
constexpr std::size_t kCrcEnd = 8;                    // the checksum covers what is behind
}  // namespace

std::uint32_t seal_group(MutableBytes group, const GroupHeader& header,
                         std::span<const KnownSum> known) {
  std::byte* to = group.data();
  store_le<std::uint32_t>(to, kGroupMagic);
  store_le<std::uint32_t>(to + 8, header.body_bytes);
  store_le<std::uint32_t>(to + 12, header.entries);
  store_le<std::uint64_t>(to + 16, header.incarnation);
  store_le<std::uint64_t>(to + 24, header.first.value);
  store_le<std::uint64_t>(to + 32, header.durable.value);
  store_le<std::uint32_t>(to + 40, header.previous_crc);
  store_le<std::uint32_t>(to + 44, 0);
  store_le<std::uint64_t>(to + 48, header.journal_id);
  store_le<std::uint64_t>(to + 56, 0);
  std::size_t from = kCrcEnd, end = kGroupHeaderBytes + header.body_bytes;
  std::uint32_t crc = 0;
  for (const KnownSum& sum : known) {
    crc = crc32c(Bytes(group).subspan(from, sum.begin - from), crc);
    crc = crc32c_joined(crc, sum.crc, sum.bytes);
    from = sum.end;
    end -= sum.bytes - (sum.end - sum.begin);
  }
  crc = crc32c(Bytes(group).subspan(from, end - from), crc);
  store_le<std::uint32_t>(to + 4, crc);
  return crc;
}

std::optional<GroupHeader> read_group_header(Bytes block, std::uint64_t journal_id) {
  ByteReader reader(block);
  const auto magic = reader.le<std::uint32_t>();
  GroupHeader header;
  header.crc = reader.le<std::uint32_t>();
  header.body_bytes = reader.le<std::uint32_t>();
  header.entries = reader.le<std::uint32_t>();
  header.incarnation = reader.le<std::uint64_t>();
  header.first = JournalPosition(reader.le<std::uint64_t>());
  header.durable = JournalPosition(reader.le<std::uint64_t>());
  header.previous_crc = reader.le<std::uint32_t>();
  const auto reserved = reader.le<std::uint32_t>();
  header.journal_id = reader.le<std::uint64_t>();
  const auto reserved_too = reader.le<std::uint64_t>();
  if (reader.failed() || magic != kGroupMagic || header.journal_id != journal_id || reserved != 0 ||
      reserved_too != 0)
    return std::nullopt;
  return header;
}

bool begins_group(Bytes block) {
  return block.size() >= sizeof kGroupMagic && load_le<std::uint32_t>(block.data()) == kGroupMagic;
}

bool group_intact(const GroupHeader& header, Bytes group) {
  const std::size_t bytes = kGroupHeaderBytes + std::size_t{header.body_bytes};
  return group.size() >= bytes && crc32c(group.subspan(kCrcEnd, bytes - kCrcEnd)) == header.crc;
}

std::vector<std::byte> Manifest::encode() const {
  std::vector<std::byte> bytes(28 + 16 * segments.size() + 4);
  store_le<std::uint32_t>(bytes.data(), kManifestMagic);
  store_le<std::uint32_t>(bytes.data() + 4, kManifestVersion);
  store_le<std::uint64_t>(bytes.data() + 8, journal_id);
  store_le<std::uint64_t>(bytes.data() + 16, incarnation);
  store_le<std::uint32_t>(bytes.data() + 24, static_cast<std::uint32_t>(segments.size()));
  std::byte* to = bytes.data() + 28;
  for (const Segment& segment : segments) {
    store_le<std::uint64_t>(to, segment.number);
    store_le<std::uint64_t>(to + 8, segment.bytes);
    to += 16;
  }
  const std::size_t body = bytes.size() - 4;
  store_le<std::uint32_t>(bytes.data() + body, crc32c(Bytes(bytes).first(body)));
  return bytes;
}

Result<Manifest> Manifest::decode(Bytes bytes) {
  if (bytes.size() < 4 ||
      crc32c(bytes.first(bytes.size() - 4)) != load_le<std::uint32_t>(&bytes[bytes.size() - 4]))
    return fail(ErrorCode::kCorruptStorage, "the journal's MANIFEST fails its checksum");
  ByteReader reader(bytes.first(bytes.size() - 4));
  const auto magic = reader.le<std::uint32_t>(), version = reader.le<std::uint32_t>();
  if (magic != kManifestMagic)
    return fail(ErrorCode::kCorruptStorage, "the journal's MANIFEST is not one");
  if (version == 0 || version > kManifestVersion)
    return fail(ErrorCode::kFormatUnsupported,
                "the journal's MANIFEST has version " + std::to_string(version));
  Manifest manifest;
  manifest.journal_id = reader.le<std::uint64_t>();
  manifest.incarnation = reader.le<std::uint64_t>();
  const auto count = reader.le<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && !reader.failed(); ++i) {
    Segment segment{.number = reader.le<std::uint64_t>()};
    if (version > 1) segment.bytes = reader.le<std::uint64_t>();
    manifest.segments.push_back(segment);
  }
  if (!reader.finished())
    return fail(ErrorCode::kCorruptStorage, "the journal's MANIFEST has a wrong length");
  return manifest;
}

std::string segment_name(std::uint64_t number) {
  char name[32];
  std::snprintf(name, sizeof name, "%08llu.seg", static_cast<unsigned long long>(number));
  return name;
}

}  // namespace leat::storage
