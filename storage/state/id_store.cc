#include "storage/state/id_store.h"

#include <algorithm>

#include "storage/keys.h"
#include "storage/partition_log.h"
#include "storage/state/source_store.h"

namespace leat::storage {

// ---- entries ----

std::vector<std::byte> IdsAdded::encode() const {
  EntryWriter writer;
  writer.varint(appended_ms)
      .varint(static_cast<std::int64_t>(first))
      .varint(static_cast<std::int64_t>(first - floor))
      .varint(static_cast<std::int64_t>(ids.size()));
  for (const RecordId& record : ids)
    writer.varint(record.delta).le(record.id.high).le(record.id.low);
  return writer.take();
}

Result<IdsAdded> IdsAdded::of(const JournalEntry& entry) {
  const auto records = RecordsAppended::decode(entry);
  if (!records) return fail(records.error());
  const auto batch = RecordBatchView::parse(records->batch);
  if (!batch) return fail(ErrorCode::kCorruptStorage, batch.error().message());
  Bytes said = records->behind;
  if (entry.kind == static_cast<std::uint16_t>(EntryKind::kRecordsFromSource)) {
    const auto advanced = SourceAdvanced::of(entry);
    if (!advanced) return fail(advanced.error());
    said = advanced->behind;
  }
  ByteReader reader(said);
  IdsAdded added{.partition = records->partition, .base = batch->base_offset()};
  added.appended_ms = read_varint(reader);
  const std::int64_t first = read_varint(reader), held = read_varint(reader);
  const std::int64_t count = read_varint(reader);
  const auto left = static_cast<std::int64_t>(reader.remaining() / (1 + sizeof(IdHash)));
  if (first < 0 || held < 0 || held > first || count < 0 || count > left) reader.fail();
  added.first = static_cast<std::uint64_t>(first);
  added.floor = static_cast<std::uint64_t>(first - held);
  std::int64_t before = -1;
  for (std::int64_t i = 0; i < count && !reader.failed(); ++i) {
    const std::int64_t delta = read_varint(reader);
    if (delta <= before || delta > batch->last_offset_delta()) reader.fail();
    const auto high = reader.le<std::uint64_t>(), low = reader.le<std::uint64_t>();
    added.ids.push_back({static_cast<std::int32_t>(before = delta), {high, low}});
  }
  if (!reader.finished()) return fail(ErrorCode::kCorruptStorage, "malformed 'records with ids'");
  return added;
}

// ---- a search ----

void IdSearch::take(std::size_t index, std::uint64_t number, const KnownId& record) {
  found[index] = true;
  if (number >= lowest && record.appended_ms >= oldest_ms) known[index] = record.offset;
}

void IdSearch::look_in(const IdBlock& block, const Look& look) {
  if (found[look.index]) return;  // in a newer one
  for (std::size_t i = block.ids.size(); i-- > 0;)
    if (block.ids[i].id == look.id) return take(look.index, block.first + i, block.ids[i]);
}

// ---- rows ----

Result<> IdStore::load(const FamilyReader& rows) {
  return rows.each(std::string_view(&keys::kIdRangeLetter, 1),
                   [&](std::string_view key, std::string_view value) -> Result<> {
                     const auto partition = keys::parse_partition(key);
                     if (!partition)
                       return fail(ErrorCode::kCorruptStorage, "malformed range of message ids");
                     const auto range = IdRange::decode(value);
                     if (!range) return fail(range.error());
                     return load(*partition, *range, rows);
                   });
}

Result<> IdStore::load(PartitionId id, const IdRange& range, const FamilyReader& rows) {
  Partition& partition = partitions_[id];
  partition.floor = partition.next = partition.kept_from = range.floor;
  const auto missing = [&] {
    return fail(ErrorCode::kCorruptStorage, "message ids of partition " + std::to_string(id.value) +
                                                " are missing from " +
                                                std::to_string(partition.next) + " on");
  };
  const auto take = [&](std::string_view key, std::string_view value) -> Result<> {
    const auto number = keys::parse_ids(key);
    if (!number) return fail(ErrorCode::kCorruptStorage, "malformed message ids");
    const auto block = IdBlock::decode(*number, value);
    if (!block) return fail(block.error());
    if (block->first > partition.next) return missing();
    for (std::uint64_t at = partition.next; at < block->next(); ++at)
      partition.add(block->ids[at - block->first]);
    partition.drop_kept_below(partition.next / kBlockIds * kBlockIds);
    return {};
  };
  if (auto ok = rows.each(keys::ids_of(id), take); !ok) return ok;
  size_ += partition.next - partition.floor;
  return partition.next < range.next ? Result<>(missing()) : Result<>();
}

// ---- decide ----

// The lowest number that the window holds. Times are known of blocks, so of the oldest that has
// one, all are taken to be as new as its newest.
std::uint64_t IdStore::within(const Partition& partition, const IdWindow& window,
                              std::int64_t now_ms) {
  if (window.off()) return partition.next;
  std::uint64_t lowest =
      std::max(partition.floor, partition.next - std::min(partition.next, window.ids));
  std::uint64_t block = lowest / kBlockIds;
  const std::uint64_t end = partition.first_block() + partition.newest_ms.size();
  while (block < end &&
         now_ms - partition.newest_ms[block - partition.first_block()] > window.time.count())
    lowest = ++block * kBlockIds;
  return std::min(lowest, partition.next);
}

std::optional<IdsAdded> IdStore::decide(PartitionId id, const NewIds& ids) const {
  if (!ids.window) return std::nullopt;
  static const Partition kNone;
  const auto it = partitions_.find(id);
  const Partition& partition = it == partitions_.end() ? kNone : it->second;
  const std::uint64_t known = partition.next - partition.floor;
  const bool off = ids.window->off();
  const std::uint64_t more = off ? 0 : ids.ids.size();
  if (more == 0 && !(off && known > 0)) return std::nullopt;
  IdsAdded added{.partition = id, .appended_ms = ids.now.time_since_epoch().count()};
  const std::uint64_t window = std::min(ids.window->ids, kMostIds), next = partition.next + more;
  added.floor =
      std::max(within(partition, *ids.window, added.appended_ms), next - std::min(next, window));
  // What the others have stays theirs.
  const std::uint64_t room = limit_ - std::min(limit_, size_ - known);
  if (next - added.floor > room) added.floor = next - room;
  added.first = std::max(partition.next, added.floor);
  if (added.first == next && known == 0) return std::nullopt;
  added.ids.assign(ids.ids.end() - static_cast<std::ptrdiff_t>(next - added.first), ids.ids.end());
  return added;
}

IdSearch IdStore::find(PartitionId id, const IdWindow& window, std::span<const IdHash> ids,
                       WallTime now) const {
  IdSearch search{.partition = id};
  search.known.resize(ids.size());
  search.found.resize(ids.size());
  const auto it = partitions_.find(id);
  if (it == partitions_.end() || window.off()) return search;
  const Partition& partition = it->second;
  const std::int64_t now_ms = now.time_since_epoch().count();
  search.oldest_ms = now_ms - std::min(now_ms, window.time.count());
  search.lowest = within(partition, window, now_ms);
  std::vector<std::uint64_t> blocks;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    blocks.clear();
    partition.table.find(ids[i], i + 1 < ids.size() ? &ids[i + 1] : nullptr, blocks);
    for (const std::uint64_t block : blocks) {
      if ((block + 1) * kBlockIds <= search.lowest || search.found[i]) break;
      if ((block + 1) * kBlockIds <= partition.kept_from)
        search.looks.push_back({block, i, ids[i]});
      else
        partition.look(block, i, ids[i], search);
    }
  }
  std::ranges::stable_sort(search.looks, std::greater(), &IdSearch::Look::block);
  return search;
}

void IdStore::Partition::look(std::uint64_t block, std::size_t index, const IdHash& id,
                              IdSearch& search) const {
  const std::uint64_t first = std::max(block * kBlockIds, kept_from);
  for (std::uint64_t at = std::min((block + 1) * kBlockIds, next); at-- > first;)
    if (const KnownId& record = kept[at - kept_from]; record.id == id)
      return search.take(index, at, record);
}

// ---- apply ----

void IdStore::Partition::add(const KnownId& known) {
  table.add(known.id, next, next - floor);
  if (next / kBlockIds - first_block() >= newest_ms.size()) newest_ms.push_back(known.appended_ms);
  newest_ms.back() = std::max(newest_ms.back(), known.appended_ms);
  kept.push_back(known);
  ++next;
}

void IdStore::Partition::drop_kept_below(std::uint64_t number) {
  for (; kept_from < std::min(number, next); ++kept_from) kept.pop_front();
}

void IdStore::Partition::forget_below(std::uint64_t number) {
  if (number <= floor) return;
  drop_kept_below(number);
  const std::uint64_t gone = number / kBlockIds - first_block();
  newest_ms.erase(newest_ms.begin(),
                  newest_ms.begin() +
                      static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(gone, newest_ms.size())));
  table.forget_below(number);
  floor = number;
  if (floor < next) return;
  // Behind a gap there is nothing of its block.
  newest_ms.clear();
  next = kept_from = floor;
}

void IdStore::apply(const IdsAdded& added, JournalPosition position) {
  Partition& partition = partitions_[added.partition];
  const std::uint64_t before = partition.next - partition.floor;
  const std::uint64_t whole = partition.next / kBlockIds;
  partition.forget_below(added.floor);
  if (added.first > partition.next) partition.forget_below(added.first);  // lost by a repair
  for (std::uint64_t number = partition.next; number < added.next(); ++number)
    partition.add(added.known(number));
  size_ += partition.next - partition.floor - before;
  if (partition.next / kBlockIds > whole)
    whole_.push_back({position, added.partition, partition.next / kBlockIds * kBlockIds});
}

void IdStore::apply(const TopicDeleted& deleted) {
  for (const PartitionId partition : deleted.partitions) {
    const auto it = partitions_.find(partition);
    if (it == partitions_.end()) continue;
    size_ -= it->second.next - it->second.floor;
    partitions_.erase(it);
  }
}

void IdStore::applied(JournalPosition position) {
  for (; !whole_.empty() && whole_.front().position <= position; whole_.pop_front()) {
    const auto it = partitions_.find(whole_.front().partition);
    if (it != partitions_.end()) it->second.drop_kept_below(whole_.front().end);
  }
}

std::size_t IdStore::table_bytes() const {
  std::size_t bytes = 0;
  for (const auto& [id, partition] : partitions_) bytes += partition.table.bytes();
  return bytes;
}

}  // namespace leat::storage
