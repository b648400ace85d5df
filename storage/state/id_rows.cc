#include "storage/state/id_rows.h"

#include <algorithm>

#include "storage/keys.h"

namespace leat::storage {

Result<> IdRows::load(const FamilyReader& rows) {
  return rows.each(std::string_view(&keys::kIdRangeLetter, 1),
                   [&](std::string_view key, std::string_view value) -> Result<> {
                     const auto id = keys::parse_partition(key);
                     const auto range = IdRange::decode(value);
                     if (!id || !range)
                       return fail(ErrorCode::kCorruptStorage, "malformed range of message ids");
                     Partition& partition = partitions_[*id];
                     partition.floor = range->floor;
                     partition.in_rows = range->next;
                     partition.first_row = range->floor / kBlockIds;
                     partition.open.first = std::max(range->floor, range->next);
                     const std::uint64_t block = range->next / kBlockIds;
                     if (range->next <= range->floor || range->next % kBlockIds == 0) return {};
                     const auto row = rows.get(keys::ids(*id, block));
                     if (!row) return fail(row.error());
                     auto open = IdBlock::decode(block, *row);
                     if (!open || open->next() != range->next)
                       return fail(ErrorCode::kCorruptStorage, "malformed message ids");
                     partition.open = std::move(*open);
                     return {};
                   });
}

// A row and the range that covers it go together, so that whatever RocksDB flushes by itself is of
// one moment (rule 5).
void IdRows::put_open(PartitionId id, Partition& partition, FamilyWriter& rows) {
  if (!partition.open.ids.empty())
    rows.put(keys::ids(id, partition.open.first / kBlockIds), partition.open.encode());
  partition.in_rows = partition.next();
  put_range(id, partition, rows);
}

void IdRows::put_range(PartitionId id, Partition& partition, FamilyWriter& rows) {
  rows.put(keys::id_range(id), IdRange{partition.floor, partition.in_rows}.encode());
}

void IdRows::raise_floor(PartitionId id, Partition& partition, std::uint64_t floor,
                         FamilyWriter& rows) {
  if (floor <= partition.floor) return;
  partition.floor = floor;
  partition.changed = true;
  // Of an open block that is forgotten there may be a row, from a roll.
  const std::uint64_t end = std::min(floor / kBlockIds, partition.open.first / kBlockIds + 1);
  if (partition.first_row < end) {
    for (; partition.first_row < end; ++partition.first_row)
      rows.remove(keys::ids(id, partition.first_row));
    put_range(id, partition, rows);
  }
  if (floor < partition.next()) return;
  partition.open = {.first = floor, .ids = {}};
  partition.first_row = floor / kBlockIds;
}

void IdRows::apply(const IdsAdded& added, FamilyWriter& rows) {
  const PartitionId id = added.partition;
  Partition& partition = partitions_[id];
  raise_floor(id, partition,
              std::max(added.floor, added.first > partition.next() ? added.first : 0), rows);
  for (std::uint64_t number = partition.next(); number < added.next(); ++number) {
    partition.open.ids.push_back(added.known(number));
    partition.changed = true;
    if (partition.next() % kBlockIds != 0) continue;
    put_open(id, partition, rows);
    partition.open = {.first = partition.next(), .ids = {}};
  }
}

void IdRows::persist_changes(FamilyWriter& rows) {
  for (auto& [id, partition] : partitions_)
    if (std::exchange(partition.changed, false)) put_open(id, partition, rows);
}

void IdRows::persist(const TopicDeleted& deleted, FamilyWriter& rows) {
  for (const PartitionId id : deleted.partitions) {
    const auto it = partitions_.find(id);
    if (it == partitions_.end()) continue;
    const std::uint64_t last = it->second.open.first / kBlockIds;
    for (std::uint64_t block = it->second.first_row; block <= last; ++block)
      rows.remove(keys::ids(id, block));
    rows.remove(keys::id_range(id));
    partitions_.erase(it);
  }
}

// ---- reading ----

Result<const IdBlock*> IdRowSearch::block(PartitionId partition, std::uint64_t number) {
  const auto kept = std::ranges::find_if(
      rows_, [&](const Row& row) { return row.partition == partition && row.number == number; });
  if (kept != rows_.end()) {
    rows_.splice(rows_.begin(), rows_, kept);
    return &rows_.front().block;
  }
  const auto value = get_(partition, number);
  if (!value) return fail(value.error());
  if (value->empty()) return nullptr;
  auto block = IdBlock::decode(number, *value);
  if (!block) return fail(block.error());
  rows_.push_front({partition, number, std::move(*block)});
  if (rows_.size() > kRows) rows_.pop_back();
  return &rows_.front().block;
}

Result<KnownIds> IdRowSearch::run(IdSearch search) {
  for (const IdSearch::Look& look : search.looks) {
    if (search.found[look.index]) continue;
    const auto block = this->block(search.partition, look.block);
    if (!block) return fail(block.error());
    if (*block) search.look_in(**block, look);
  }
  return std::move(search.known);
}

}  // namespace leat::storage
