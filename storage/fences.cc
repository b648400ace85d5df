#include "storage/fences.h"

#include <algorithm>

#include "protocol/base/bytes.h"
#include "storage/state/entry.h"

namespace leat::storage {
namespace {
constexpr std::uint32_t kFooterVersion = 1;
}

std::string Footer::encode() const {
  EntryWriter writer;
  writer.le(kFooterVersion).le(position.value).le(static_cast<std::uint32_t>(ranges.size()));
  for (const Range& range : ranges)
    writer.le(range.partition.value).le(range.first.value).le(range.next.value);
  return std::string(as_text(writer.take()));
}

Result<Footer> Footer::decode(std::string_view value) {
  ByteReader reader(as_bytes(value));
  Footer footer;
  const auto version = reader.le<std::uint32_t>();
  footer.position = JournalPosition(reader.le<std::uint64_t>());
  const auto count = reader.le<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && !reader.failed(); ++i) {
    Range range;
    range.partition = PartitionId(reader.le<std::uint32_t>());
    range.first = Offset(reader.le<std::int64_t>());
    range.next = Offset(reader.le<std::int64_t>());
    footer.ranges.push_back(range);
  }
  if (version != kFooterVersion || !reader.finished())
    return fail(ErrorCode::kCorruptStorage, "malformed segment footer");
  return footer;
}

void Fences::add(std::uint32_t segment, PartitionId id, Offset base, Offset next) {
  Partition& partition = partitions_[id];
  if (partition.fences.empty() || partition.fences.back().segment != segment)
    partition.fences.push_back({segment, base});
  partition.next = next;
}

void Fences::load(std::uint32_t segment, const Footer& footer) {
  for (const Footer::Range& range : footer.ranges)
    add(segment, range.partition, range.first, range.next);
}

std::vector<Fences::Fence> Fences::from(PartitionId partition, Offset from) const {
  const auto found = partitions_.find(partition);
  if (found == partitions_.end()) return {};
  const auto& fences = found->second.fences;
  auto it = std::upper_bound(fences.begin(), fences.end(), from,
                             [](Offset at, const Fence& fence) { return at < fence.first; });
  if (it != fences.begin()) --it;
  return {it, fences.end()};
}

std::vector<Footer::Range> Fences::ranges_of(std::uint32_t segment) const {
  std::vector<Footer::Range> ranges;
  for (const auto& [id, partition] : partitions_)
    if (!partition.fences.empty() && partition.fences.back().segment == segment)
      ranges.push_back({id, partition.fences.back().first, partition.next});
  return ranges;
}

}  // namespace leat::storage
