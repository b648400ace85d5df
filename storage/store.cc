#include "storage/store.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "storage/keys.h"

namespace leat::storage {
namespace {

constexpr std::size_t kWriteBatchBytes = 4 << 20;
constexpr std::size_t kMostReadBytes = 1 << 20;

// Those that say themselves how far they are persisted; the records' footers say it for theirs.
constexpr Family kStateFamilies[] = {Family::kCatalog, Family::kOffsets, Family::kProducers};

rocksdb::Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}
std::string_view view(const rocksdb::Slice& text) {
  return {text.data(), text.size()};
}

std::string position_value(JournalPosition position) {
  std::byte bytes[8];
  store_le<std::uint64_t>(bytes, position.value);
  return std::string(as_text(bytes));
}

Error hole(PartitionId partition, Offset offset, const char* what) {
  return {ErrorCode::kCorruptStorage, std::string(what) + " at offset " +
                                          std::to_string(offset.value) + " of stored partition " +
                                          std::to_string(partition.value)};
}

}  // namespace

JournalPosition Store::Positions::lowest() const {
  return *std::min_element(of, of + kFamilies);
}

Result<std::unique_ptr<Store>> Store::open(StoreOptions options) {
  std::unique_ptr<Store> store(new Store(std::move(options)));
  Store* raw = store.get();
  auto rocks = Rocks::open(
      {.directory = store->options_.directory,
       .memtable_bytes = store->options_.memtable_bytes,
       .other_memtable_bytes = store->options_.other_memtable_bytes,
       .block_cache_bytes = store->options_.block_cache_bytes,
       .on_flushed = [raw](Family family, std::uint64_t up_to) { raw->flushed(family, up_to); }});
  if (!rocks) return fail(rocks.error());
  store->rocks_ = std::move(*rocks);
  if (auto ok = store->load_footers(); !ok) return fail(ok.error());
  if (auto ok = store->load_positions(); !ok) return fail(ok.error());
  if (auto ok = store->remove_leftovers(); !ok) return fail(ok.error());
  if (auto ok = store->load_own_state(); !ok) return fail(ok.error());
  return store;
}

// A segment without a footer before the newest footer was dropped, but for leftovers. What that may
// not be, recovered() finds out.
Result<> Store::load_footers() {
  std::unique_ptr<rocksdb::Iterator> it(
      rocks_->db().NewIterator(rocksdb::ReadOptions(), rocks_->family(Family::kRecords)));
  for (std::uint32_t at = 1;;) {
    it->Seek(slice(keys::view(keys::footer(at))));
    if (!it->Valid()) break;
    const std::string_view key = view(it->key());
    const std::uint32_t found = keys::segment_of(key);
    if (key != keys::view(keys::footer(found))) {
      at = found;
      continue;
    }
    auto footer = Footer::decode(view(it->value()), found);
    if (!footer) return fail(footer.error());
    index_.load(*footer);
    at_open_.of[static_cast<std::size_t>(Family::kRecords)] = footer->position;
    segment_ = at = found + 1;
  }
  if (!it->status().ok()) return fail(from_status(it->status(), "reading segment footers"));
  return {};
}

Result<> Store::load_positions() {
  for (const Family family : kStateFamilies) {
    auto value = RocksFamilyReader(*rocks_, family).get(keys::kPosition);
    if (!value) return fail(value.error());
    if (value->size() == 8)
      at_open_.of[static_cast<std::size_t>(family)] =
          JournalPosition(load_le<std::uint64_t>(as_bytes(*value).data()));
  }
  applied_ = rolled_ = at_open_.lowest();
  persisted_ = {applied_, segment_ - 1};
  return {};
}

// RocksDB may have flushed part of the segment that was open. Replay brings it back, perhaps split
// differently, so the old rows must not stay beside the new ones.
Result<> Store::remove_leftovers() {
  std::unique_ptr<rocksdb::Iterator> it(
      rocks_->db().NewIterator(rocksdb::ReadOptions(), rocks_->family(Family::kRecords)));
  it->SeekToLast();
  if (!it->status().ok()) return fail(from_status(it->status(), "reading the last segment"));
  if (!it->Valid() || it->key().size() != keys::kRecordBytes) return {};
  const std::uint32_t last = keys::segment_of(view(it->key()));
  if (last < segment_) return {};
  const auto begin = keys::record(segment_, PartitionId(0), Offset(0));
  const auto end = keys::record(last + 1, PartitionId(0), Offset(0));
  return rocks_->remove_records(keys::view(begin), keys::view(end));
}

Result<> Store::load_own_state() {
  if (auto ok = epochs_.load(RocksFamilyReader(*rocks_, Family::kCatalog)); !ok) return ok;
  if (auto ok = starts_at_open_.load(RocksFamilyReader(*rocks_, Family::kCatalog)); !ok) return ok;
  for (const auto& [partition, start] : starts_at_open_.all())
    index_.move_start(partition, start.offset, start.moved);
  return producers_.load(RocksFamilyReader(*rocks_, Family::kProducers));
}

Result<> Store::load(State& state) const {
  std::optional<RocksFamilyReader> reader;
  return state.load(
      [&](Family family) -> const FamilyReader& { return reader.emplace(*rocks_, family); });
}

bool Store::wants(Family family, JournalPosition position) const {
  return position > at_open_.of[static_cast<std::size_t>(family)];
}

Result<> Store::apply(std::span<const JournalEntry> entries) {
  if (options_.at_point) options_.at_point("store.before_apply");
  rocksdb::WriteBatch batch;
  for (const JournalEntry& entry : entries) {
    LEAT_ASSERT(entry.position > applied_);
    if (auto ok = apply_one(entry, batch); !ok) return ok;
    applied_ = entry.position;
    const bool full = segment_bytes_ >= options_.roll_bytes ||
                      applied_ - rolled_ >= options_.roll_entries ||
                      std::exchange(roll_soon_, false);
    if (batch.GetDataSize() >= kWriteBatchBytes || full)
      if (auto ok = write(batch); !ok) return ok;
    if (full)
      if (auto ok = roll(); !ok) return ok;
  }
  return write(batch);
}

Result<> Store::write(rocksdb::WriteBatch& batch) {
  if (batch.Count() == 0) return {};
  auto ok = rocks_->write(batch);
  batch.Clear();
  return ok;
}

Result<> Store::apply_one(const JournalEntry& entry, rocksdb::WriteBatch& batch) {
  switch (static_cast<EntryKind>(entry.kind)) {
    case EntryKind::kRecords:
      return apply_records(entry, batch);
    case EntryKind::kTopicCreated: {
      auto created = TopicCreated::decode(entry.body);
      if (!created) return fail(created.error());
      RocksFamilyWriter rows(*rocks_, Family::kCatalog, batch);
      CatalogStore::persist(*created, rows);
      return {};
    }
    case EntryKind::kTopicDeleted: {
      auto deleted = TopicDeleted::decode(entry.body);
      if (!deleted) return fail(deleted.error());
      return apply_deleted(*deleted, entry.position, batch);
    }
    case EntryKind::kTopicConfigured: {
      auto configured = TopicConfigured::decode(entry.body);
      if (!configured) return fail(configured.error());
      return apply_configured(*configured, batch);
    }
    case EntryKind::kLogStartsMoved: {
      auto moved = LogStartsMoved::decode(entry.body);
      if (!moved) return fail(moved.error());
      apply_moved(*moved, entry.position, batch);
      return {};
    }
    case EntryKind::kOffsetsCommitted: {
      auto committed = OffsetsCommitted::decode(entry.body);
      if (!committed) return fail(committed.error());
      RocksFamilyWriter rows(*rocks_, Family::kOffsets, batch);
      OffsetStore::persist(*committed, rows);
      return {};
    }
    case EntryKind::kProducerInitialized: {
      auto initialized = ProducerInitialized::decode(entry.body);
      if (!initialized) return fail(initialized.error());
      RocksFamilyWriter rows(*rocks_, Family::kProducers, batch);
      ProducerStore::persist(*initialized, rows);
      return {};
    }
    case EntryKind::kGroupChanged: {
      auto changed = GroupChanged::decode(entry.body);
      if (!changed) return fail(changed.error());
      RocksFamilyWriter rows(*rocks_, Family::kOffsets, batch);
      GroupStore::persist(*changed, rows);
      return {};
    }
    case EntryKind::kGroupDeleted: {
      auto deleted = GroupDeleted::decode(entry.body);
      if (!deleted) return fail(deleted.error());
      return apply_deleted(*deleted, batch);
    }
  }
  return fail(ErrorCode::kCorruptStorage,
              "journal entry of unknown kind " + std::to_string(entry.kind));
}

Result<> Store::apply_records(const JournalEntry& entry, rocksdb::WriteBatch& batch) {
  auto records = RecordsAppended::decode(entry.body);
  if (!records) return fail(records.error());
  auto view_of = RecordBatchView::parse(records->batch);
  if (!view_of) return fail(ErrorCode::kCorruptStorage, view_of.error().message());
  const Offset base = view_of->base_offset(), last = view_of->last_offset();
  if (wants(Family::kCatalog, entry.position) &&
      epochs_.apply(records->partition, view_of->leader_epoch(), base)) {
    RocksFamilyWriter rows(*rocks_, Family::kCatalog, batch);
    epochs_.persist(records->partition, rows);
  }
  if (wants(Family::kProducers, entry.position))
    producers_.apply(records->partition, *view_of, entry.position);
  if (!wants(Family::kRecords, entry.position)) return {};
  const auto key = keys::record(segment_, records->partition, last);
  const auto status = batch.Put(rocks_->family(Family::kRecords), slice(keys::view(key)),
                                slice(as_text(records->batch)));
  if (!status.ok()) return fail(from_status(status, "applying records"));
  index_.add(records->partition, {.segment = segment_,
                                  .first = base,
                                  .next = last + 1,
                                  .bytes = records->batch.size(),
                                  .max_timestamp_ms = view_of->max_timestamp_ms()});
  segment_bytes_ += records->batch.size();
  return {};
}

Result<> Store::apply_configured(const TopicConfigured& configured, rocksdb::WriteBatch& batch) {
  if (auto ok = write(batch); !ok) return ok;  // the row below must be the newest
  RocksFamilyWriter rows(*rocks_, Family::kCatalog, batch);
  return CatalogStore::persist(configured, RocksFamilyReader(*rocks_, Family::kCatalog), rows);
}

void Store::apply_moved(const LogStartsMoved& moved, JournalPosition at,
                        rocksdb::WriteBatch& batch) {
  RocksFamilyWriter rows(*rocks_, Family::kCatalog, batch);
  LogStartStore::persist(moved, at, rows);
  for (const auto& move : moved.moves) index_.move_start(move.partition, move.start, at);
  roll_soon_ = roll_soon_ || index_.waits_to_be_persisted(segment_, persisted());
}

Result<> Store::apply_deleted(const TopicDeleted& deleted, JournalPosition at,
                              rocksdb::WriteBatch& batch) {
  if (auto ok = write(batch); !ok) return ok;  // the scans below must see earlier rows
  RocksFamilyWriter topics(*rocks_, Family::kCatalog, batch);
  CatalogStore::persist(deleted, topics);
  epochs_.persist(deleted, topics);
  LogStartStore::persist(deleted, topics);
  epochs_.apply(deleted);
  producers_.apply(deleted);
  for (std::uint32_t i = 0; i < deleted.partitions; ++i)
    index_.remove(deleted.first_partition + i, at);
  roll_soon_ = roll_soon_ || index_.waits_to_be_persisted(segment_, persisted());
  const RocksFamilyReader groups(*rocks_, Family::kOffsets);
  RocksFamilyWriter rows(*rocks_, Family::kOffsets, batch);
  if (auto ok = GroupStore::persist(deleted, groups, rows); !ok) return ok;
  return OffsetStore::persist(deleted, groups, rows);
}

Result<> Store::apply_deleted(const GroupDeleted& deleted, rocksdb::WriteBatch& batch) {
  if (auto ok = write(batch); !ok) return ok;
  RocksFamilyWriter rows(*rocks_, Family::kOffsets, batch);
  return GroupStore::persist(deleted, RocksFamilyReader(*rocks_, Family::kOffsets), rows);
}

Result<> Store::roll() {
  if (options_.at_point) options_.at_point("store.before_roll");
  rocksdb::WriteBatch batch;
  const auto key = keys::footer(segment_);
  const Footer footer{applied_, index_.ranges_of(segment_)};
  const auto status =
      batch.Put(rocks_->family(Family::kRecords), slice(keys::view(key)), footer.encode());
  if (!status.ok()) return fail(from_status(status, "writing a segment footer"));
  RocksFamilyWriter producers(*rocks_, Family::kProducers, batch);
  producers_.persist_changes(producers);
  for (const Family family : kStateFamilies)
    RocksFamilyWriter(*rocks_, family, batch).put(keys::kPosition, position_value(applied_));
  {
    // Before the flush that will look for it. The batch's rows get numbers above this one.
    const std::lock_guard lock(mutex_);
    rolls_.rolled({applied_, segment_}, rocks_->sequence());
  }
  if (auto ok = rocks_->write(batch); !ok) return ok;
  if (options_.at_point) options_.at_point("store.footer_written");
  ++segment_;
  segment_bytes_ = 0;
  rolled_ = applied_;
  auto ok = rocks_->flush_all();
  if (options_.at_point) options_.at_point("store.after_roll");
  return ok;
}

Result<> Store::roll_and_wait() {
  if (auto ok = roll(); !ok) return ok;
  std::unique_lock lock(mutex_);
  // Only an exit hangs on this, and a disk that takes longer only makes the next start longer.
  if (!persisted_rose_.wait_for(lock, std::chrono::seconds(30), [&] { return !rolls_.pending(); }))
    return fail(ErrorCode::kTimedOut, "flushing RocksDB");
  return {};
}

// A partition whose last segment was dropped ends where it starts, if the move is as old as what
// the SSTs hold; else the batches before the start are still to be replayed.
PartitionLog Store::log_at_open(PartitionId partition) const {
  const auto start = starts_at_open_.find(partition);
  Offset next = index_.span(partition).next;
  if (!wants(Family::kRecords, start.moved)) next = std::max(next, start.offset);
  return PartitionLog(index_.extents(partition), start.offset, next);
}

Result<> Store::recovered(const std::function<bool(PartitionId)>& exists) {
  index_.keep_only(exists, applied_);
  if (const auto hole = index_.first_hole())
    return fail(ErrorCode::kCorruptStorage,
                "offsets " + std::to_string(hole->first.value) + " to " +
                    std::to_string(hole->next.value - 1) + " of stored partition " +
                    std::to_string(hole->partition.value) + " are missing");
  const auto failed = [this](const Error& error) {
    if (options_.on_cleaning_failed) options_.on_cleaning_failed(error);
  };
  const std::lock_guard lock(mutex_);
  cleaner_ = std::make_unique<Cleaner>(*rocks_, index_, options_.roll_bytes, failed);
  cleaner_->look(persisted_);
  return {};
}

Store::~Store() {
  std::unique_ptr<Cleaner> cleaner;
  {
    const std::lock_guard lock(mutex_);
    cleaner = std::move(cleaner_);
  }
}

bool Store::roll_pending() const {
  const std::lock_guard lock(mutex_);
  return rolls_.pending();
}

void Store::flushed(Family family, std::uint64_t up_to) {
  std::optional<Persisted> persisted;
  {
    const std::lock_guard lock(mutex_);
    persisted = rolls_.flushed(family, up_to);
    if (persisted) persisted_ = *persisted;
    if (persisted && cleaner_) cleaner_->look(*persisted);
  }
  if (!persisted) return;
  persisted_rose_.notify_all();
  if (options_.at_point) options_.at_point("store.persisted");
  if (options_.on_persisted) options_.on_persisted(persisted->position);
}

JournalPosition Store::persisted() const {
  const std::lock_guard lock(mutex_);
  return persisted_.position;
}

Result<ReadResult> Store::read(PartitionId partition, Offset from, std::size_t max_bytes) const {
  auto result = read_segments(partition, from, max_bytes);
  // The log start may have moved meanwhile, and files have been dropped.
  if (from < index_.span(partition).start) return fail(ErrorCode::kOffsetOutOfRange);
  return result;
}

Result<ReadResult> Store::read_segments(PartitionId partition, Offset from,
                                        std::size_t max_bytes) const {
  const auto places = index_.from(partition, from, max_bytes);
  auto copy = std::make_shared<std::vector<std::byte>>();
  if (places.size() > 1) copy->reserve(std::min(max_bytes, kMostReadBytes));
  std::size_t left = max_bytes;
  Offset next = from;
  for (auto place = places.begin(); place != places.end() && left > 0; ++place) {
    // What the segment holds of the partition comes at once, and nothing behind it.
    rocksdb::ReadOptions options;
    const std::size_t most = std::min({place->bytes, left, kMostReadBytes});
    options.readahead_size = most - std::min(most, Rocks::kBlockBytes);
    options.fill_cache = false;
    std::unique_ptr<rocksdb::Iterator> it(
        rocks_->db().NewIterator(options, rocks_->family(Family::kRecords)));
    const auto key = keys::record(place->segment, partition, next);
    const std::string_view prefix = keys::view(key).substr(0, 8);
    it->Seek(slice(keys::view(key)));
    while (it->Valid() && it->key().starts_with(slice(prefix))) {
      const Bytes bytes = as_bytes(view(it->value()));
      auto batch = RecordBatchView::parse(bytes);
      if (!batch || batch->bytes().size() != bytes.size() ||
          batch->last_offset() != keys::last_offset_of(view(it->key())))
        return fail(hole(partition, next, "malformed batch"));
      if (batch->base_offset() != next && (next != from || batch->base_offset() > from))
        return fail(hole(partition, next, "missing records"));
      const bool fits = copy->empty() || bytes.size() <= left;
      left = fits ? left - std::min(left, bytes.size()) : 0;
      if (fits) copy->insert(copy->end(), bytes.begin(), bytes.end());
      if (fits) next = batch->last_offset() + 1;
      if (left == 0 || next >= place->next) break;
      it->Next();
    }
    if (!it->status().ok()) return fail(from_status(it->status(), "reading records"));
  }
  ReadResult result;
  const Bytes all(*copy);
  if (!all.empty()) result.batches.push_back({std::move(copy), all});
  return result;
}

}  // namespace leat::storage
