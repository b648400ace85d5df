#include "storage/state/epoch_store.h"

#include <algorithm>

#include "storage/keys.h"

namespace leat::storage {
namespace {
// A partition that is written to after each of very many starts forgets the oldest.
constexpr std::size_t kStarts = 64;
}  // namespace

Result<> EpochStore::load(const FamilyReader& rows) {
  return rows.each(std::string_view(&keys::kEpochLetter, 1),
                   [this](std::string_view key, std::string_view value) -> Result<> {
                     const auto parsed = keys::parse_epoch(key);
                     if (!parsed || value.size() != sizeof(std::int64_t))
                       return fail(ErrorCode::kCorruptStorage, "malformed leader epoch");
                     const Offset start(load_le<std::int64_t>(as_bytes(value).data()));
                     partitions_[parsed->first].starts.push_back({parsed->second, start});
                     return {};
                   });
}

bool EpochStore::apply(PartitionId id, LeaderEpoch epoch, Offset base) {
  Partition& partition = partitions_[id];
  auto& starts = partition.starts;
  if (!starts.empty() && starts.back().epoch >= epoch) return false;
  starts.push_back({epoch, base});
  if (starts.size() > kStarts) {
    partition.forgotten.push_back(starts.front().epoch);
    starts.erase(starts.begin());
  }
  return true;
}

void EpochStore::apply(const TopicDeleted& deleted) {
  for (const PartitionId id : deleted.partitions) partitions_.erase(id);
}

std::optional<Offset> EpochStore::end_of(PartitionId id, LeaderEpoch epoch) const {
  const auto it = partitions_.find(id);
  if (it == partitions_.end()) return std::nullopt;
  const auto later = std::ranges::find_if(
      it->second.starts, [epoch](const Start& start) { return start.epoch > epoch; });
  if (later == it->second.starts.end()) return std::nullopt;
  return later->offset;
}

void EpochStore::persist(PartitionId id, FamilyWriter& rows) {
  Partition& partition = partitions_.at(id);
  const Start& newest = partition.starts.back();
  std::byte start[sizeof(std::int64_t)];
  store_le(start, newest.offset.value);
  rows.put(keys::epoch(id, newest.epoch), as_text(start));
  for (const LeaderEpoch epoch : std::exchange(partition.forgotten, {}))
    rows.remove(keys::epoch(id, epoch));
}

void EpochStore::persist(const TopicDeleted& deleted, FamilyWriter& rows) const {
  for (const PartitionId id : deleted.partitions) {
    const auto it = partitions_.find(id);
    if (it == partitions_.end()) continue;
    for (const Start& start : it->second.starts) rows.remove(keys::epoch(id, start.epoch));
  }
}

}  // namespace leat::storage
