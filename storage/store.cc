#include "storage/store.h"

#include <algorithm>
#include <chrono>

#include "storage/keys.h"

namespace leat::storage {
namespace {

constexpr std::size_t kWriteBatchBytes = 4 << 20;
constexpr std::size_t kReadaheadBytes = 128
                                        << 10;  // more read ahead was slower in the layout's trials

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
       .io = store->options_.io,
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

Result<> Store::load_footers() {
  std::unique_ptr<rocksdb::Iterator> it(
      rocks_->db().NewIterator(rocksdb::ReadOptions(), rocks_->family(Family::kRecords)));
  // Segment ids are dense, so the first one without a footer is the one that was open.
  for (;; ++segment_) {
    const auto key = keys::footer(segment_);
    it->Seek(slice(keys::view(key)));
    if (!it->Valid() || view(it->key()) != keys::view(key)) break;
    auto footer = Footer::decode(view(it->value()));
    if (!footer) return fail(footer.error());
    fences_.load(segment_, *footer);
    for (const auto& range : footer->ranges) next_at_open_[range.partition] = range.next;
    at_open_.of[static_cast<std::size_t>(Family::kRecords)] = footer->position;
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
  persisted_ = applied_ = rolled_ = at_open_.lowest();
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
    const bool full =
        segment_bytes_ >= options_.roll_bytes || applied_ - rolled_ >= options_.roll_entries;
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
      if (!wants(Family::kCatalog, entry.position)) return {};
      RocksFamilyWriter rows(*rocks_, Family::kCatalog, batch);
      CatalogStore::persist(*created, rows);
      return {};
    }
    case EntryKind::kTopicDeleted: {
      auto deleted = TopicDeleted::decode(entry.body);
      if (!deleted) return fail(deleted.error());
      return apply_deleted(*deleted, entry.position, batch);
    }
    case EntryKind::kOffsetsCommitted: {
      auto committed = OffsetsCommitted::decode(entry.body);
      if (!committed) return fail(committed.error());
      if (!wants(Family::kOffsets, entry.position)) return {};
      RocksFamilyWriter rows(*rocks_, Family::kOffsets, batch);
      OffsetStore::persist(*committed, rows);
      return {};
    }
    case EntryKind::kProducerInitialized: {
      auto initialized = ProducerInitialized::decode(entry.body);
      if (!initialized) return fail(initialized.error());
      if (!wants(Family::kProducers, entry.position)) return {};
      RocksFamilyWriter rows(*rocks_, Family::kProducers, batch);
      ProducerStore::persist(*initialized, rows);
      return {};
    }
    case EntryKind::kGroupChanged: {
      auto changed = GroupChanged::decode(entry.body);
      if (!changed) return fail(changed.error());
      if (!wants(Family::kOffsets, entry.position)) return {};
      RocksFamilyWriter rows(*rocks_, Family::kOffsets, batch);
      GroupStore::persist(*changed, rows);
      return {};
    }
    case EntryKind::kGroupDeleted: {
      auto deleted = GroupDeleted::decode(entry.body);
      if (!deleted) return fail(deleted.error());
      if (!wants(Family::kOffsets, entry.position)) return {};
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
  fences_.add(segment_, records->partition, base, last + 1);
  segment_bytes_ += records->batch.size();
  return {};
}

Result<> Store::apply_deleted(const TopicDeleted& deleted, JournalPosition position,
                              rocksdb::WriteBatch& batch) {
  if (auto ok = write(batch); !ok) return ok;  // the scans below must see earlier rows
  if (wants(Family::kCatalog, position)) {
    RocksFamilyWriter topics(*rocks_, Family::kCatalog, batch);
    CatalogStore::persist(deleted, topics);
    epochs_.persist(deleted, topics);
    epochs_.apply(deleted);
  }
  if (wants(Family::kProducers, position)) producers_.apply(deleted);
  for (std::uint32_t i = 0; i < deleted.partitions; ++i)
    fences_.remove(deleted.first_partition + i);
  if (!wants(Family::kOffsets, position)) return {};
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

// A roll in a replay may come before what some families held at open: their position must not go
// back, or the next start would apply to them again what they have.
JournalPosition Store::held_by(Family family) const {
  return std::max(applied_, at_open_.of[static_cast<std::size_t>(family)]);
}

Result<> Store::roll() {
  if (options_.at_point) options_.at_point("store.before_roll");
  rocksdb::WriteBatch batch;
  const auto key = keys::footer(segment_);
  const Footer footer{held_by(Family::kRecords), fences_.ranges_of(segment_)};
  const auto status =
      batch.Put(rocks_->family(Family::kRecords), slice(keys::view(key)), footer.encode());
  if (!status.ok()) return fail(from_status(status, "writing a segment footer"));
  RocksFamilyWriter producers(*rocks_, Family::kProducers, batch);
  producers_.persist_changes(producers);
  for (const Family family : kStateFamilies)
    RocksFamilyWriter(*rocks_, family, batch).put(keys::kPosition, position_value(held_by(family)));
  {
    // Before the flush that will look for it. The batch's rows get numbers above this one.
    const std::lock_guard lock(mutex_);
    rolls_.rolled(applied_, rocks_->sequence());
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

Offset Store::next_offset_at_open(PartitionId partition) const {
  const auto it = next_at_open_.find(partition);
  return it == next_at_open_.end() ? Offset(0) : it->second;
}

bool Store::roll_pending() const {
  const std::lock_guard lock(mutex_);
  return rolls_.pending();
}

void Store::flushed(Family family, std::uint64_t up_to) {
  std::optional<JournalPosition> persisted;
  {
    const std::lock_guard lock(mutex_);
    persisted = rolls_.flushed(family, up_to);
    if (persisted) persisted_ = *persisted;
  }
  if (!persisted) return;
  persisted_rose_.notify_all();
  if (options_.at_point) options_.at_point("store.persisted");
  if (options_.on_persisted) options_.on_persisted(*persisted);
}

JournalPosition Store::persisted() const {
  const std::lock_guard lock(mutex_);
  return persisted_;
}

Result<ReadResult> Store::read(PartitionId partition, Offset from, std::size_t max_bytes) {
  rocksdb::ReadOptions options;
  options.readahead_size = kReadaheadBytes;
  options.fill_cache = false;
  std::unique_ptr<rocksdb::Iterator> it(
      rocks_->db().NewIterator(options, rocks_->family(Family::kRecords)));
  auto copy = std::make_shared<std::vector<std::byte>>();
  Offset next = from;
  bool full = false;
  for (const Fences::Fence& fence : fences_.from(partition, from)) {
    if (full) break;
    const auto key = keys::record(fence.segment, partition, next);
    const std::string_view prefix = keys::view(key).substr(0, 8);
    for (it->Seek(slice(keys::view(key))); it->Valid() && it->key().starts_with(slice(prefix));
         it->Next()) {
      const Bytes bytes = as_bytes(view(it->value()));
      auto batch = RecordBatchView::parse(bytes);
      if (!batch || batch->bytes().size() != bytes.size() ||
          batch->last_offset() != keys::last_offset_of(view(it->key())))
        return fail(hole(partition, next, "malformed batch"));
      if (batch->base_offset() != next && (next != from || batch->base_offset() > from))
        return fail(hole(partition, next, "missing records"));
      full = !copy->empty() && copy->size() + bytes.size() > max_bytes;
      if (full) break;
      copy->insert(copy->end(), bytes.begin(), bytes.end());
      next = batch->last_offset() + 1;
    }
    if (!it->status().ok())
      return fail(
          from_status(it->status(), "reading partition " + std::to_string(partition.value)));
  }
  ReadResult result;
  const Bytes all(*copy);
  if (!all.empty()) result.batches.push_back({std::move(copy), all});
  return result;
}

}  // namespace leat::storage
