#include "storage/recovery/rows_copy.h"

#include <algorithm>
#include <limits>

#include "storage/keys.h"
#include "storage/recovery/stored_rows.h"

namespace leat::storage {
namespace {

constexpr std::size_t kSliceBytes = 4 << 20;
constexpr std::uint64_t kRowsAtOnce = 10'000;
constexpr std::int64_t kIdsPassedOver = 1'000'000;

// A batch that holds no records and [first, next), as key compaction leaves one.
std::vector<std::byte> emptied_batch(Offset first, Offset next, LeaderEpoch epoch,
                                     std::int64_t timestamp_ms) {
  RecordBatchBuilder builder;
  builder.append({}, timestamp_ms);
  const auto batch = RecordBatchView::parse(builder.finish());
  auto emptied = filter_records(*batch, [](const RecordView&) { return false; })->bytes;
  store_be(emptied.data() + batch_layout::kLastOffsetDelta,
           static_cast<std::int32_t>(next.value - first.value - 1));
  assign_producer(emptied, {}, -1);
  assign_offset(emptied, first, epoch);
  return emptied;
}

}  // namespace

Result<> RowsCopy::run(const std::string& from, const std::string& to) {
  auto rocks = Rocks::open({.directory = from, .io = &io_, .read_only = true});
  if (!rocks) return fail(rocks.error());
  if (auto ok = copy_states(**rocks, to); !ok) return ok;
  auto store = Store::open({.directory = to, .io = &io_});
  if (!store) return fail(store.error());
  store_ = std::move(*store);
  if (auto ok = copy_records(**rocks); !ok) return ok;
  if (auto ok = copy_journal(); !ok) return ok;
  if (auto ok = fill_ends(); !ok) return ok;
  if (found_.lost_producers()) take_producer();
  // Nobody may use a position again that the old journal has given.
  JournalEntry last = LogStartsMoved{}.encode();
  last.position = std::max(position_, found_.known_last()) + 1;
  position_ = last.position;
  slice_.push_back(std::move(last));
  if (auto ok = flush(); !ok) return ok;
  return store_->roll_and_wait();
}

// ---- the state families, row by row ----

Result<> RowsCopy::copy_states(Rocks& from, const std::string& to) {
  auto rocks = Rocks::open({.directory = to, .io = &io_, .on_flushed = {}});
  if (!rocks) return fail(rocks.error());
  // Message ids are forgotten, here and behind the records of the journal: those of records that
  // are lost must not be known, so that they can be sent again.
  for (const Family family : {Family::kCatalog, Family::kOffsets, Family::kProducers})
    if (auto ok = copy_family(from, family, **rocks); !ok) return ok;
  (*rocks)->recovered();
  return (*rocks)->flush_and_wait();
}

Result<> RowsCopy::copy_family(Rocks& from, Family family, Rocks& to) {
  const OpenRows open = [&] {
    return std::unique_ptr<rocksdb::Iterator>(
        from.db().NewIterator(rocksdb::ReadOptions(), from.family(family)));
  };
  rocksdb::WriteBatch batch;
  RocksFamilyWriter rows(to, family, batch);
  auto it = open();
  std::string at;  // nothing up to it is left to be copied
  for (it->SeekToFirst(); it->Valid() || !it->status().ok();) {
    if (!it->Valid()) {
      auto behind_it = skip_damage(open, at);
      const std::string next(keys::view(behind_it.key));
      if (next <= at) break;
      at = next;
      it = std::move(behind_it.rows);
      continue;
    }
    at = view(it->key());
    rows.put(at, view(it->value()));
    it->Next();
    if (batch.Count() < static_cast<int>(kRowsAtOnce)) continue;
    if (auto ok = to.write(batch); !ok) return ok;
    batch.Clear();
  }
  return to.write(batch);
}

// ---- records ----

Result<> RowsCopy::copy_records(Rocks& from) {
  rocksdb::ReadOptions options;
  options.readahead_size = 2 << 20;
  options.fill_cache = false;
  const OpenRows open = [&] {
    return std::unique_ptr<rocksdb::Iterator>(
        from.db().NewIterator(options, from.family(Family::kRecords)));
  };
  auto it = open();
  LargeReader large(found_.large());
  keys::RecordKey at{};
  for (it->SeekToFirst(); it->Valid() || !it->status().ok();) {
    if (it->Valid()) {
      if (auto ok = copy_row(view(it->key()), view(it->value()), large); !ok) return ok;
      at = behind(view(it->key()));
      it->Next();
      continue;
    }
    auto behind_it = skip_damage(open, keys::view(at));
    if (keys::view(behind_it.key) <= keys::view(at)) break;
    at = behind_it.key;
    it = std::move(behind_it.rows);
  }
  return flush();
}

Result<> RowsCopy::copy_row(std::string_view key, std::string_view value, LargeReader& large) {
  if (keys::partition_of(key) == keys::kFooterPartition ||
      found_.records().is_leftover(keys::segment_of(key)))
    return {};
  const auto batch = check_row(key, value, large);
  if (!batch) return {};
  return take(keys::partition_of(key), *batch, position_ + 1);
}

Result<> RowsCopy::copy_journal() {
  auto ok = found_.replay([this](const JournalEntry& entry) { return copy_entry(entry); });
  if (!ok) return ok;
  return flush();
}

// Records that files hold are passed over; applied again, everything else comes to the same.
Result<> RowsCopy::copy_entry(const JournalEntry& entry) {
  if (!holds_records(entry)) return push(entry, entry.position);
  const auto records = RecordsAppended::decode(entry);
  if (!records) return {};
  const auto batch = RecordBatchView::parse(records->batch);
  if (!batch || !batch->check()) return {};
  if (auto ok = take(records->partition, *batch, entry.position); !ok) return ok;
  // So does how far a source is stored; where that is known, nothing falls.
  if (entry.kind == static_cast<std::uint16_t>(EntryKind::kRecordsFromSource)) {
    const auto advanced = SourceAdvanced::of(entry);
    if (!advanced || !store_->wants(Family::kProducers, entry.position)) return {};
    return push(advanced->encode_alone(), entry.position);
  }
  // The acks of a dead letter go alone. They take a position of their own, which moves those of
  // what follows: not where the family has any of it.
  const bool dead_letter = entry.kind == static_cast<std::uint16_t>(EntryKind::kDeadLettered);
  if (!dead_letter || !store_->wants(Family::kOffsets, entry.position)) return {};
  return push({.kind = static_cast<std::uint16_t>(EntryKind::kAcksChanged),
               .owner = entry.owner,
               .body = records->behind},
              entry.position);
}

Result<> RowsCopy::fill_ends() {
  const LeaderEpoch epoch(static_cast<std::int32_t>(found_.incarnation()));
  for (const Topic* topic : found_.state().catalog.topics())
    for (const PartitionId partition : topic->partitions) {
      const Offset end = found_.known_end(partition);
      if (end <= expected(partition)) continue;
      const auto newest = newest_ms_.find(partition);
      if (auto ok = fill(partition, end, epoch, newest == newest_ms_.end() ? 0 : newest->second);
          !ok)
        return ok;
    }
  return flush();
}

// Which ids were issued is not known for certain: a later one is issued next.
void RowsCopy::take_producer() {
  const auto known = found_.state().producers.init(std::nullopt, 0);
  const std::int64_t next = std::max(next_producer_, known ? known->id.value : 0);
  JournalEntry entry = ProducerInitialized{ProducerId(next + kIdsPassedOver), 0}.encode();
  position_ = position_ + 1;
  entry.position = position_;
  slice_.push_back(std::move(entry));
}

Offset RowsCopy::expected(PartitionId partition) const {
  const Offset start = found_.state().log_starts.find(partition).offset;
  const auto known = next_.find(partition);
  return known == next_.end() ? start : std::max(start, known->second);
}

Result<> RowsCopy::take(PartitionId partition, const RecordBatchView& batch, JournalPosition at) {
  next_producer_ = std::max(next_producer_, batch.producer_id() + 1);
  if (!found_.exists(partition) || batch.last_offset() < expected(partition)) return {};
  if (batch.base_offset() > expected(partition))
    if (auto ok =
            fill(partition, batch.base_offset(), batch.leader_epoch(), batch.max_timestamp_ms());
        !ok)
      return ok;
  newest_ms_[partition] = batch.max_timestamp_ms();
  next_[partition] = batch.last_offset() + 1;
  return put(partition, batch.bytes(), at);
}

Result<> RowsCopy::fill(PartitionId partition, Offset next, LeaderEpoch epoch,
                        std::int64_t timestamp_ms) {
  for (Offset first = expected(partition); first < next; first = expected(partition)) {
    const Offset end =
        std::min(next, first + static_cast<std::int64_t>(std::numeric_limits<std::int32_t>::max()));
    filled_(partition, first, end);
    next_[partition] = end;
    if (auto ok = put(partition, emptied_batch(first, end, epoch, timestamp_ms), position_ + 1);
        !ok)
      return ok;
  }
  return {};
}

// A batch was once an entry of its own, so those that are copied need no more positions than there
// were.
Result<> RowsCopy::put(PartitionId partition, Bytes batch, JournalPosition at) {
  const auto view = RecordBatchView::parse(batch);
  return push(RecordsAppended::encode(partition, view->base_offset(), view->leader_epoch(), batch),
              at);
}

Result<> RowsCopy::push(JournalEntry entry, JournalPosition at) {
  position_ = std::max(position_ + 1, at);
  entry.position = position_;
  slice_bytes_ += entry.bytes();
  slice_.push_back(std::move(entry));
  return slice_bytes_ < kSliceBytes ? Result<>() : flush();
}

Result<> RowsCopy::flush() {
  auto ok = store_->apply(slice_);
  slice_.clear();
  slice_bytes_ = 0;
  return ok;
}

}  // namespace leat::storage
