#include "storage/disk_storage.h"

#include <algorithm>
#include <map>

#include "storage/retention/retention.h"

namespace leat::storage {
namespace {
// A reader that is not further behind sees every deletion of a compacted key: Kafka's
// delete.retention.ms, as it is by default.
constexpr auto kDeletionsStay = std::chrono::hours(24);
constexpr std::uint64_t kDroppedShare = 16;  // at a time, while the disk is full
}  // namespace

StorageStats DiskStorage::stats() const {
  const JournalStats journal = journal_->stats();
  const RocksWrites rocks = store_->rocks().writes();
  return {.journal = journal,
          .recovery = journal_->recovery(),
          .writes = {.payload = payload_bytes_,
                     .journal_groups = journal.bytes_written,
                     .journal_prewritten = journal.prewritten_bytes,
                     .flushed = rocks.flushed,
                     .rewritten = rocks.rewritten},
          .known_ids = state_.ids.size(),
          .read_ahead = cold_reads_.hits(),
          .scrubbed_bytes = store_->scrubbed_bytes(),
          .damage = store_->damage()};
}

std::size_t DiskStorage::memory_in_use() const {
  return tail_.bytes() + cold_reads_.bytes() + store_->rocks().memtable_bytes() +
         store_->rocks().block_cache_bytes();
}

// ---- pressure ----

bool DiskStorage::within(std::uint64_t eighths) const {
  return (appended_bytes_ - applied_bytes_) * 8 <= shares_.newest_records * eighths &&
         journal_->unpersisted_bytes() * 8 <= options_.max_unpersisted_bytes * eighths &&
         (last_appended_ - persisted_) * 8 <= options_.max_unpersisted_entries * eighths;
}

bool DiskStorage::has_room() const {
  if (failed_) return true;     // appends fail at once instead of waiting for ever
  const bool room = within(7);  // rule 5: the last eighth is for commits and deletions
  if (!room) told_full_ = true;
  return room;
}

Result<> DiskStorage::check_writable(std::uint64_t eighths) const {
  if (failed_)
    return fail(ErrorCode::kStorageFailed,
                "see the broker's log; it must be restarted once the cause is gone");
  if (!within(eighths)) return fail(ErrorCode::kQueueFull, "the disk is behind; try again");
  return {};
}

Result<> DiskStorage::check_space() const {
  if (!low_space_) return {};
  constexpr std::uint64_t kMiB = 1 << 20;
  return fail(
      ErrorCode::kNoSpace,
      std::to_string(*low_space_ / kMiB) + " MiB are free where '" + directory_.path +
          "' lies, and " + std::to_string(reserve_bytes() / kMiB) +
          " MiB are kept for commits and deletions; make room, or shorten what topics keep: "
          "records are taken again by themselves");
}

// ---- decide -> entry -> apply ----

JournalPosition DiskStorage::journal_append(JournalEntry entry) {
  appended_bytes_ += entry.bytes();
  entry.position = last_appended_ + 1;
  auto applied = apply(entry, true);
  LEAT_ASSERT(applied.has_value());
  const bool waits = entry.max_delay > Duration(0);
  last_appended_ = journal_->append(std::move(entry));
  if (!waits) reply_position_ = last_appended_;
  return last_appended_;
}

Result<> DiskStorage::apply(const JournalEntry& entry, bool live) {
  const Wants wants = [&](Family family) { return live || store_->wants(family, entry.position); };
  if (auto ok = state_.apply(entry, wants); !ok) return ok;
  if (holds_records(entry)) return apply_records(entry, live, wants);
  apply_to_logs(entry, wants);
  return {};
}

void DiskStorage::apply_to_logs(const JournalEntry& entry, const Wants& wants) {
  if (!wants(Family::kCatalog)) return;  // logs_ was made of it
  const auto open = [this](PartitionRun run) {
    for (PartitionId id = run.first; id != run.first + run.count; id = id + 1)
      logs_.try_emplace(id, store_->log_at_open(id));
  };
  if (entry.kind == static_cast<std::uint16_t>(EntryKind::kTopicCreated)) {
    const auto created = TopicCreated::decode(entry.body);
    open({created->first_partition, created->partitions});
  }
  if (entry.kind == static_cast<std::uint16_t>(EntryKind::kPartitionsAdded))
    open(PartitionsAdded::decode(entry.body)->partitions);
  if (entry.kind == static_cast<std::uint16_t>(EntryKind::kTopicDeleted)) {
    const auto deleted = TopicDeleted::decode(entry.body);
    for (const PartitionId partition : deleted->partitions) {
      cold_reads_.forget(partition);
      const auto it = logs_.find(partition);
      if (it == logs_.end()) continue;
      stored_bytes_ -= std::min(stored_bytes_, it->second.extents().bytes());
      logs_.erase(it);
    }
  }
  if (entry.kind == static_cast<std::uint16_t>(EntryKind::kLogStartsMoved)) {
    const auto moved = LogStartsMoved::decode(entry.body);
    for (const auto& move : moved->moves) {
      cold_reads_.forget(move.partition, move.start);
      if (PartitionLog* log = find_log(move.partition))
        stored_bytes_ -= std::min(stored_bytes_, log->move_start(move.start));
    }
  }
}

Result<> DiskStorage::apply_records(const JournalEntry& entry, bool live, const Wants& wants) {
  auto records = RecordsAppended::decode(entry);
  if (!records) return fail(records.error());
  auto batch = RecordBatchView::parse(records->batch);
  if (!batch) return fail(ErrorCode::kCorruptStorage, batch.error().message());
  PartitionLog* log = find_log(records->partition);
  if (!log) return {};  // replay of a topic that was deleted later
  state_.apply(records->partition, *batch, entry.position, wants);
  if (!wants(Family::kRecords)) return {};
  if (auto ok = log->check_adjoins(*batch); !ok) return ok;
  log->apply(*batch, live ? entry.owner : nullptr);
  if (!live) return {};
  stored_bytes_ += records->batch.size();
  tail_.add(records->partition, entry.position, entry.bytes());  // it keeps all of it
  evict();
  // Rules 2 and 3: below kSync a record is visible when it is appended, but not before its
  // predecessor, which may have come when the topic was kSync.
  const bool waits = entry.max_delay == Duration(0);
  if (waits || log->bounds().high_watermark < batch->base_offset())
    in_flight_.push_back({waits ? entry.position : in_flight_.back().position, records->partition,
                          log->next_offset()});
  else
    log->raise_high_watermark(log->next_offset());
  return {};
}

PartitionLog* DiskStorage::find_log(PartitionId partition) {
  const auto it = logs_.find(partition);
  return it == logs_.end() ? nullptr : &it->second;
}

Result<JournalPosition> DiskStorage::create_topic(const TopicId& id, std::string_view name,
                                                  std::int32_t partitions, TopicConfig config,
                                                  WallTime now) {
  LEAT_ASSERT(partitions > 0 && !find_topic(name));
  if (auto ok = check_writable(8); !ok) return fail(ok.error());
  const TopicCreated created{.id = id,
                             .created_ms = now.time_since_epoch().count(),
                             .first_partition = state_.catalog.next_partition(),
                             .partitions = static_cast<std::uint32_t>(partitions),
                             .name = name,
                             .config = config,
                             .added = {}};
  return journal_append(created.encode());
}

Result<JournalPosition> DiskStorage::delete_topic(const TopicId& id) {
  const Topic* topic = find_topic(id);
  LEAT_ASSERT(topic);
  if (auto ok = check_writable(8); !ok) return fail(ok.error());
  return journal_append(TopicDeleted{id, topic->partitions}.encode());
}

Result<JournalPosition> DiskStorage::add_partitions(const TopicId& id, std::uint32_t count) {
  LEAT_ASSERT(find_topic(id) && count > 0);
  if (auto ok = check_writable(8); !ok) return fail(ok.error());
  return journal_append(PartitionsAdded{id, {state_.catalog.next_partition(), count}}.encode());
}

Result<JournalPosition> DiskStorage::configure_topic(const TopicId& id, TopicConfig config) {
  LEAT_ASSERT(find_topic(id));
  if (auto ok = check_writable(8); !ok) return fail(ok.error());
  return configured_ = journal_append(TopicConfigured{id, config}.encode());
}

// ---- old records ----

Result<JournalPosition> DiskStorage::move_log_start(PartitionId partition, Offset start) {
  const PartitionLog* log = find_log(partition);
  LEAT_ASSERT(log && start <= log->bounds().high_watermark);
  if (auto ok = check_writable(8); !ok) return fail(ok.error());
  if (start <= log->bounds().log_start) return reply_position_;
  return journal_append(LogStartsMoved{{{partition, start}}}.encode());
}

void DiskStorage::forget(std::vector<LogStartsMoved::Move> moves) {
  // Not now is soon enough: the next call decides anew.
  if (!moves.empty() && check_writable(8))
    journal_append(LogStartsMoved{std::move(moves)}.encode());
}

void DiskStorage::retain(WallTime now) {
  std::vector<LogStartsMoved::Move> moves;
  std::vector<PartitionId> compacted;
  for (const Topic* topic : topics()) {
    if (compacts(topic->config.cleanup))
      compacted.insert(compacted.end(), topic->partitions.begin(), topic->partitions.end());
    if (!deletes(topic->config.cleanup) || !topic->config.retention.limited()) continue;
    for (const PartitionId id : topic->partitions) {
      const PartitionLog& log = logs_.at(id);
      const auto [start, end] = log.bounds();
      const Offset kept = first_kept(log.extents(), start, end, topic->config.retention, now);
      if (kept > start) moves.push_back({id, kept});
    }
  }
  forget(std::move(moves));
  // What compaction takes is gone, so that it was wanted must be durable (rule 2).
  if (!compacted.empty() && configured_ <= durable_)
    store_->compact(std::move(compacted), now - kDeletionsStay);
}

bool DiskStorage::drop_oldest(std::uint64_t bytes) {
  struct Oldest {
    std::deque<Extent>::const_iterator at, end;
    PartitionId partition;
  };
  const auto later = [](const Oldest& a, const Oldest& b) {
    return a.at->max_timestamp_ms > b.at->max_timestamp_ms;
  };
  std::vector<Oldest> heap;
  for (const Topic* topic : topics()) {
    if (topic->config.on_full != OnFull::kDropOldest) continue;
    for (const PartitionId id : topic->partitions) {
      const auto& extents = logs_.at(id).extents().all();
      if (!extents.empty()) heap.push_back({extents.begin(), extents.end(), id});
    }
  }
  std::ranges::make_heap(heap, later);
  std::map<PartitionId, Offset> starts;
  std::uint64_t gone = 0;
  while (gone < bytes && !heap.empty()) {
    std::ranges::pop_heap(heap, later);
    Oldest& oldest = heap.back();
    const bool durable = oldest.at->next <= logs_.at(oldest.partition).bounds().high_watermark;
    if (durable) {
      gone += oldest.at->bytes;
      starts[oldest.partition] = oldest.at->next;
    }
    if (durable && ++oldest.at != oldest.end)
      std::ranges::push_heap(heap, later);
    else
      heap.pop_back();
  }
  if (gone < bytes) return false;
  std::vector<LogStartsMoved::Move> moves;
  for (const auto& [partition, start] : starts) moves.push_back({partition, start});
  forget(std::move(moves));
  return true;
}

Offset DiskStorage::look_from(PartitionId partition, std::int64_t timestamp_ms) const {
  const auto it = logs_.find(partition);
  return it == logs_.end() ? Offset(0) : it->second.look_from(timestamp_ms);
}

std::optional<TimedRun> DiskStorage::newest_run(PartitionId partition,
                                                const std::optional<TimedRun>& behind) const {
  const auto it = logs_.find(partition);
  return it == logs_.end() ? std::nullopt : it->second.newest_run(behind);
}

// ---- snapshots ----

Result<> DiskStorage::snapshot(std::string_view name) {
  if (auto ok = check_writable(8); !ok) return ok;
  if (auto ok = check_space(); !ok) return ok;
  snapshots_->begin(std::string(name));
  return {};
}

// ---- events ----

void DiskStorage::raise_high_watermarks(JournalPosition durable, StorageEvents& events) {
  while (!in_flight_.empty() && in_flight_.front().position <= durable) {
    const InFlight entry = in_flight_.front();
    in_flight_.pop_front();
    PartitionLog* log = find_log(entry.partition);
    if (!log) continue;
    log->raise_high_watermark(entry.next);
    events.on_high_watermark(entry.partition);
  }
}

Error DiskStorage::named(const Damage& damage) const {
  const std::string where =
      damage.partition ? state_.catalog.name_of(*damage.partition) + ", " : "";
  return {ErrorCode::kCorruptStorage, where + damage.text()};
}

template <class Value>
Result<Value> DiskStorage::named(PartitionId partition, Result<Value> result) const {
  if (result || result.error() != ErrorCode::kCorruptStorage) return result;
  return fail(ErrorCode::kCorruptStorage,
              state_.catalog.name_of(partition) + ", " + result.error().detail);
}

void DiskStorage::poll(StorageEvents& events) {
  Inbox news;
  {
    const std::lock_guard lock(inbox_mutex_);
    std::swap(news, inbox_);
  }
  applied_ = std::max(applied_, news.applied);
  state_.ids.applied(applied_);
  applied_bytes_ += news.applied_bytes;
  persisted_ = std::max(persisted_, news.persisted);
  if (news.durable > durable_) {
    durable_ = news.durable;
    raise_high_watermarks(durable_, events);
    events.on_durable(durable_);
  }
  for (EndedRead& read : news.reads) {
    read.result = named(read.partition, std::move(read.result));
    cold_reads_.ended(std::move(read), [&](ReadToken token, Result<ReadResult> result) {
      events.on_read(token, std::move(result));
    });
  }
  for (FoundIds& found : news.found_ids)
    events.on_known_ids(found.token, named(found.partition, std::move(found.known)));
  for (const Damage& damage : news.damage) events.on_damage(named(damage));
  if (news.free_bytes) {
    const bool was_low = std::exchange(low_space_, std::nullopt).has_value();
    if (*news.free_bytes < reserve_bytes()) low_space_ = news.free_bytes;
    if (low_space_.has_value() != was_low) events.on_space(check_space());
    if (low_space_) drop_oldest(stored_bytes_ / kDroppedShare);
  }
  for (const auto& [partition, first, next, gone] : news.compacted) {
    cold_reads_.forget(partition);
    if (PartitionLog* log = find_log(partition))
      stored_bytes_ -= std::min(stored_bytes_, log->shrink(first, next, gone));
  }
  if (news.snapshot) events.on_snapshot(std::move(*news.snapshot));
  evict();
  if (news.failed && !failed_) {
    failed_ = true;
    events.on_failed(*news.failed);
  }
  if (told_full_ && has_room()) {
    told_full_ = false;
    events.on_room();
  }
}

}  // namespace leat::storage
