#include "storage/rocks/rocks_manifest.h"

#include <algorithm>
#include <optional>

#include "protocol/base/crc32c.h"
#include "storage/recovery/damage.h"

namespace leat::storage {
namespace {

// RocksDB's log format: blocks of 32 KiB; in them records of crc u32, length u16, type u8, payload;
// what is too small for a header is left at the end of a block.
constexpr std::size_t kLogBlockBytes = 32 << 10;
constexpr std::size_t kLogHeaderBytes = 7;
constexpr unsigned kLastLogType = 4;
constexpr std::size_t kMaxCurrentBytes = 1 << 10;

// RocksDB stores checksums of what may contain checksums in a rotated form.
std::uint32_t masked(std::uint32_t crc) {
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

// Bytes of the intact record at the beginning of `bytes`.
std::optional<std::size_t> intact_record(Bytes bytes) {
  if (bytes.size() < kLogHeaderBytes) return std::nullopt;
  const std::size_t size = kLogHeaderBytes + load_le<std::uint16_t>(bytes.data() + 4);
  const auto type = static_cast<unsigned>(bytes[6]);
  if (type == 0 || type > kLastLogType || size > bytes.size()) return std::nullopt;
  if (masked(crc32c(bytes.subspan(6, size - 6))) != load_le<std::uint32_t>(bytes.data()))
    return std::nullopt;
  return size;
}

bool holds_record(Bytes bytes) {
  for (; bytes.size() >= kLogHeaderBytes; bytes = bytes.subspan(1))
    if (intact_record(bytes)) return true;
  return false;
}

Result<> check_log(File& file, const std::string& path) {
  std::vector<std::byte> block(kLogBlockBytes);
  std::optional<std::uint64_t> broken;
  for (std::uint64_t begin = 0;; begin += kLogBlockBytes) {
    const auto read = file.read(begin, block);
    if (!read) return fail(read.error());
    Bytes rest = Bytes(block).first(*read);
    while (!broken && rest.size() >= kLogHeaderBytes) {
      const auto record = intact_record(rest);
      if (!record) broken = begin + *read - rest.size();
      if (record) rest = rest.subspan(*record);
    }
    if (broken && !rest.empty() && holds_record(rest.subspan(*broken >= begin ? 1 : 0)))
      return fail(ErrorCode::kCorruptStorage,
                  "'" + path + "' is damaged at byte " + std::to_string(*broken) + kMendIt);
    if (*read < kLogBlockBytes) return {};
  }
}

}  // namespace

Result<bool> check_rocks_manifest(FileIo& io, const std::string& directory) {
  const auto names = io.list(directory);
  if (!names) return fail(names.error());
  const auto any = [&](std::string_view end) {
    return std::ranges::any_of(*names, [&](const auto& name) { return name.ends_with(end); });
  };
  if (std::ranges::find(*names, "CURRENT") == names->end()) {
    if (!any(".sst")) return false;  // a first start, perhaps cut short
    return fail(ErrorCode::kCorruptStorage, "'" + directory + "/CURRENT' is missing" + kMendIt);
  }
  const auto current = read_file(io, directory + "/CURRENT", kMaxCurrentBytes);
  if (!current) return fail(current.error());
  std::string_view name = as_text(*current);
  const bool whole = name.starts_with("MANIFEST-") && name.ends_with('\n');
  if (whole) name.remove_suffix(1);
  if (!whole || std::ranges::find(*names, name) == names->end())
    return fail(ErrorCode::kCorruptStorage,
                "'" + directory + "/CURRENT' names no MANIFEST that is there" + kMendIt);
  const std::string path = directory + "/" + std::string(name);
  auto file = io.open(path, {});
  if (!file) return fail(file.error());
  if (auto ok = check_log(**file, path); !ok) return fail(ok.error());
  return true;
}

}  // namespace leat::storage
