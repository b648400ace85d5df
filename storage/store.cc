#include "storage/store.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "storage/keys.h"
#include "storage/thread.h"

namespace leat::storage {
namespace {

constexpr std::size_t kWriteBatchBytes = 4 << 20;
// A segment has so many times more in large batches, which are not in the memtable, before it ends.
constexpr std::size_t kLargeShare = 4;

std::string position_value(JournalPosition position) {
  std::byte bytes[8];
  store_le<std::uint64_t>(bytes, position.value);
  return std::string(as_text(bytes));
}

}  // namespace

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
                      segment_large_bytes_ >= kLargeShare * options_.roll_bytes ||
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
  auto ok = when_there_is_space([&] { return rocks_->write(batch); });
  batch.Clear();
  return ok;
}

// The journal has it all, so waiting loses nothing; who produces is held back meanwhile.
Result<> Store::when_there_is_space(const std::function<Result<>()>& step) {
  for (;;) {
    auto ok = step();
    if (ok || ok.error() != ErrorCode::kNoSpace) return ok;
    std::unique_lock lock(mutex_);
    if (given_up_.wait_for(lock, kSpaceAfter, [this] { return gives_up_; })) return ok;
    lock.unlock();
    if (auto resumed = rocks_->resume(); !resumed && resumed.error() != ErrorCode::kNoSpace)
      return resumed;
  }
}

void Store::give_up() {
  {
    const std::lock_guard lock(mutex_);
    gives_up_ = true;
  }
  given_up_.notify_all();
}

Result<> Store::apply_one(const JournalEntry& entry, rocksdb::WriteBatch& batch) {
  switch (static_cast<EntryKind>(entry.kind)) {
    case EntryKind::kRecords:
      return apply_records(entry, batch);
    case EntryKind::kRecordsWithIds:
      if (auto ok = apply_ids(entry, batch); !ok) return ok;
      return apply_records(entry, batch);
    case EntryKind::kRecordsFromSource:
      if (auto ok = apply_source(entry, batch); !ok) return ok;
      return apply_records(entry, batch);
    case EntryKind::kSourceMoved:
      return apply_source(entry, batch);
    case EntryKind::kAcksChanged:
      return apply_acks(entry);
    case EntryKind::kDeadLettered:
      if (auto ok = apply_acks(entry); !ok) return ok;
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
    case EntryKind::kTopicConfigured:
      return change_topic(TopicConfigured::decode(entry.body), entry.position, batch);
    case EntryKind::kPartitionsAdded:
      return change_topic(PartitionsAdded::decode(entry.body), entry.position, batch);
    case EntryKind::kLogStartsMoved: {
      auto moved = LogStartsMoved::decode(entry.body);
      if (!moved) return fail(moved.error());
      apply_moved(*moved, entry.position, batch);
      return {};
    }
    case EntryKind::kOffsetsCommitted: {
      auto committed = OffsetsCommitted::decode(entry.body);
      if (!committed) return fail(committed.error());
      if (!wants(Family::kOffsets, entry.position)) return {};
      RocksFamilyWriter rows(*rocks_, Family::kOffsets, batch);
      OffsetStore::persist(*committed, rows);
      acks_.apply(*committed);
      return {};
    }
    case EntryKind::kOffsetsRemoved: {
      auto removed = OffsetsRemoved::decode(entry.body);
      if (!removed) return fail(removed.error());
      if (!wants(Family::kOffsets, entry.position)) return {};
      RocksFamilyWriter rows(*rocks_, Family::kOffsets, batch);
      OffsetStore::persist(*removed, rows);
      acks_.apply(*removed);
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
  auto records = RecordsAppended::decode(entry);
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
  std::optional<LargeRef> large;
  if (records->batch.size() >= options_.large_batch_bytes) large = large_.keep(entry, segment_);
  const std::string row = large ? large->encode() : std::string();
  const std::string_view value = large ? std::string_view(row) : as_text(records->batch);
  const auto status =
      batch.Put(rocks_->family(Family::kRecords), slice(keys::view(key)), slice(value));
  if (!status.ok()) return fail(from_status(status, "applying records"));
  index_.add(records->partition, {.segment = segment_,
                                  .first = base,
                                  .next = last + 1,
                                  .bytes = records->batch.size(),
                                  .max_timestamp_ms = view_of->max_timestamp_ms()});
  segment_bytes_ += value.size();
  if (large) segment_large_bytes_ += records->batch.size();
  return {};
}

Result<> Store::apply_acks(const JournalEntry& entry) {
  const auto changed = AcksChanged::of(entry);
  if (!changed) return fail(changed.error());
  if (wants(Family::kOffsets, entry.position)) acks_.apply(*changed);
  return {};
}

Result<> Store::apply_ids(const JournalEntry& entry, rocksdb::WriteBatch& batch) {
  const auto added = IdsAdded::of(entry);
  if (!added) return fail(added.error());
  if (!wants(Family::kIds, entry.position)) return {};
  RocksFamilyWriter rows(*rocks_, Family::kIds, batch);
  ids_.apply(*added, rows);
  return {};
}

Result<> Store::apply_source(const JournalEntry& entry, rocksdb::WriteBatch& batch) {
  const auto advanced = SourceAdvanced::of(entry);
  if (!advanced) return fail(advanced.error());
  if (wants(Family::kProducers, entry.position)) sources_.apply(*advanced);
  return advanced->behind.empty() ? Result<>() : apply_ids(entry, batch);
}

template <class Change>
Result<> Store::change_topic(const Result<Change>& change, JournalPosition at,
                             rocksdb::WriteBatch& batch) {
  if (!change) return fail(change.error());
  if (!wants(Family::kCatalog, at)) return {};
  if (auto ok = write(batch); !ok) return ok;  // the row below must be the newest
  RocksFamilyWriter rows(*rocks_, Family::kCatalog, batch);
  return CatalogStore::persist(*change, RocksFamilyReader(*rocks_, Family::kCatalog), rows);
}

void Store::apply_moved(const LogStartsMoved& moved, JournalPosition at,
                        rocksdb::WriteBatch& batch) {
  if (wants(Family::kCatalog, at)) {
    RocksFamilyWriter rows(*rocks_, Family::kCatalog, batch);
    LogStartStore::persist(moved, at, rows);
  }
  for (const auto& move : moved.moves) index_.move_start(move.partition, move.start, at);
  roll_soon_ = roll_soon_ || index_.waits_to_be_persisted(segment_, persisted());
}

Result<> Store::apply_deleted(const TopicDeleted& deleted, JournalPosition at,
                              rocksdb::WriteBatch& batch) {
  if (auto ok = write(batch); !ok) return ok;  // the scans below must see earlier rows
  if (wants(Family::kCatalog, at)) {
    RocksFamilyWriter topics(*rocks_, Family::kCatalog, batch);
    CatalogStore::persist(deleted, topics);
    epochs_.persist(deleted, topics);
    ends_.persist(deleted, topics);
    LogStartStore::persist(deleted, topics);
    epochs_.apply(deleted);
  }
  if (wants(Family::kProducers, at)) {
    producers_.apply(deleted);
    sources_.apply(deleted);
  }
  if (wants(Family::kIds, at)) {
    RocksFamilyWriter ids(*rocks_, Family::kIds, batch);
    ids_.persist(deleted, ids);
  }
  for (const PartitionId partition : deleted.partitions) index_.remove(partition, at);
  roll_soon_ = roll_soon_ || index_.waits_to_be_persisted(segment_, persisted());
  if (!wants(Family::kOffsets, at)) return {};
  acks_.apply(deleted);
  const RocksFamilyReader groups(*rocks_, Family::kOffsets);
  RocksFamilyWriter rows(*rocks_, Family::kOffsets, batch);
  if (auto ok = GroupStore::persist(deleted, groups, rows); !ok) return ok;
  return OffsetStore::persist(deleted, groups, rows);
}

Result<> Store::apply_deleted(const GroupDeleted& deleted, rocksdb::WriteBatch& batch) {
  if (auto ok = write(batch); !ok) return ok;
  acks_.apply(deleted);
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
  if (auto ok = when_there_is_space([&] { return large_.sync(); }); !ok) return ok;
  rocksdb::WriteBatch batch;
  const auto key = keys::footer(segment_);
  const Footer footer{held_by(Family::kRecords), index_.ranges_of(segment_),
                      large_.shares_of(segment_)};
  const auto status =
      batch.Put(rocks_->family(Family::kRecords), slice(keys::view(key)), footer.encode());
  if (!status.ok()) return fail(from_status(status, "writing a segment footer"));
  RocksFamilyWriter producers(*rocks_, Family::kProducers, batch);
  producers_.persist_changes(producers);
  sources_.persist_changes(producers);
  RocksFamilyWriter offsets(*rocks_, Family::kOffsets, batch);
  acks_.persist_changes(offsets);
  RocksFamilyWriter ids(*rocks_, Family::kIds, batch);
  ids_.persist_changes(ids);
  RocksFamilyWriter catalog(*rocks_, Family::kCatalog, batch);
  for (const auto& [partition, extent] : footer.ranges)
    ends_.raise(partition, extent.next, catalog);
  for (const Family family : kStateFamilies)
    RocksFamilyWriter(*rocks_, family, batch).put(keys::kPosition, position_value(held_by(family)));
  {
    // Before the flush that will look for it. The batch's rows get numbers above this one.
    const std::lock_guard lock(mutex_);
    rolls_.rolled({applied_, segment_}, rocks_->sequence());
  }
  if (auto ok = when_there_is_space([&] { return rocks_->write(batch); }); !ok) return ok;
  if (options_.at_point) options_.at_point("store.footer_written");
  ++segment_;
  segment_bytes_ = segment_large_bytes_ = 0;
  rolled_ = applied_;
  auto ok = when_there_is_space([&] { return rocks_->flush_all(); });
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

}  // namespace leat::storage
