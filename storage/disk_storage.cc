#include "storage/disk_storage.h"

#include <algorithm>

namespace leat::storage {
namespace {

constexpr std::size_t kSmallMemoryBytes = 64 << 20;  // few writes in flight: each keeps its memory
constexpr std::size_t kMostDelayedBytes = 4 << 20;   // un-synced at most (rule 5)
// A clean stop rolls when a restart would otherwise replay more than this.
constexpr std::uint64_t kReplayWorthARollBytes = 8 << 20;

}  // namespace

DiskStorage::DiskStorage(StorageOptions options, std::function<void()> wake)
    : options_(std::move(options)),
      wake_(std::move(wake)),
      state_(options_.producers),
      shares_(shares_of(options_.memory_bytes)),
      tail_(shares_.newest_records) {}

Result<std::unique_ptr<DiskStorage>> DiskStorage::open(StorageOptions options, FileIo& io,
                                                       std::function<void()> wake) {
  std::unique_ptr<DiskStorage> storage(new DiskStorage(std::move(options), std::move(wake)));
  if (auto ok = storage->recover(io); !ok) return fail(ok.error());
  return storage;
}

Result<> DiskStorage::recover(FileIo& io) {
  auto directory = open_data_directory(io, options_.data_dir);
  if (!directory) return fail(directory.error());
  directory_ = std::move(*directory);
  if (auto ok = open_store(io); !ok) return ok;
  if (auto ok = open_journal(io); !ok) return ok;
  start_store_thread();
  return {};
}

Result<> DiskStorage::open_store(FileIo& io) {
  auto store = Store::open({.directory = directory_.rocksdb(),
                            .io = &io,
                            .memtable_bytes = shares_.memtable,
                            .other_memtable_bytes = shares_.other_memtable,
                            .block_cache_bytes = shares_.block_cache,
                            .roll_bytes = shares_.memtable / 5 * 4,
                            .roll_entries = options_.max_unpersisted_entries / 4,
                            .producers = options_.producers,
                            .on_persisted =
                                [this](JournalPosition position) {
                                  {
                                    const std::lock_guard lock(told_mutex_);
                                    if (told_journal_) told_journal_->set_persisted(position);
                                    if (told_store_thread_) told_store_thread_->roll_ended();
                                  }
                                  tell([&](Inbox& inbox) { inbox.persisted = position; });
                                },
                            .at_point = options_.at_point});
  if (!store) return fail(store.error());
  store_ = std::move(*store);
  if (auto ok = store_->load(state_); !ok) return ok;
  stored_bytes_ = store_->stored_bytes();
  for (const Topic* topic : state_.catalog.topics())
    for (const PartitionId id : topic->partitions)
      logs_.insert_or_assign(id, PartitionLog(store_->next_offset_at_open(id)));
  return {};
}

Result<> DiskStorage::open_journal(FileIo& io) {
  const std::size_t writes = options_.memory_bytes < kSmallMemoryBytes ? 4 : 16;
  JournalOptions options{
      .directory = directory_.journal(),
      .first_segment_bytes = std::min<std::size_t>(1 << 20, options_.journal_segment_bytes),
      .segment_bytes = options_.journal_segment_bytes,
      .max_group_bytes = std::min<std::size_t>(shares_.journal / writes, 1 << 20),
      .max_delayed_bytes = std::min(kMostDelayedBytes, options_.memory_bytes / 16),
      .writes = options_.journal_writes,
      .writes_in_flight = writes,
      .at_point = options_.at_point};
  JournalEvents events{
      .on_durable =
          [this](std::span<const JournalEntry> entries) {
            store_thread_->apply(entries);
            const JournalPosition last = entries.back().position;
            tell([&](Inbox& inbox) { inbox.durable = last; });
          },
      .on_failed =
          [this](const Error& error) { tell([&](Inbox& inbox) { inbox.failed = error; }); }};
  const JournalPosition persisted = store_->persisted();
  auto journal = Journal::open(
      std::move(options), io, persisted,
      [this](const JournalEntry& entry) { return replay(entry); }, std::move(events));
  if (!journal) return fail(journal.error());
  journal_ = std::move(*journal);
  const JournalPosition last = journal_->recovery().last;
  if (last < persisted)
    return fail(ErrorCode::kCorruptStorage,
                "the journal in '" + directory_.journal() + "' ends at entry " +
                    std::to_string(last.value) + ", but RocksDB holds entries up to " +
                    std::to_string(persisted.value) + "; restore the directory from a backup");
  last_appended_ = reply_position_ = durable_ = applied_ = last;
  // Raised and synced at each start: whatever an unclean one cut off was of an earlier epoch.
  epoch_ = LeaderEpoch(static_cast<std::int32_t>(journal_->recovery().incarnation));
  {
    const std::lock_guard lock(told_mutex_);
    told_journal_ = journal_.get();
  }
  persisted_ = store_->persisted();
  journal_->set_persisted(persisted_);
  for (auto& [id, log] : logs_) log.raise_high_watermark(log.next_offset());
  return {};
}

// Rule 1: the same apply as in life, and each family takes only what its SSTs do not hold.
Result<> DiskStorage::replay(const JournalEntry& entry) {
  if (auto ok = apply(entry, false); !ok)
    return fail(ok.error().code, "journal entry " + std::to_string(entry.position.value) + ": " +
                                     ok.error().message());
  return store_->apply({&entry, 1});
}

void DiskStorage::start_store_thread() {
  StoreThreadEvents events{
      .on_applied =
          [this](JournalPosition position, std::uint64_t bytes) {
            tell([&](Inbox& inbox) {
              inbox.applied = position;
              inbox.applied_bytes += bytes;
            });
          },
      .on_read =
          [this](ReadToken token, Result<ReadResult> result) {
            tell([&](Inbox& inbox) { inbox.reads.emplace_back(token, std::move(result)); });
          },
      .on_failed =
          [this](const Error& error) { tell([&](Inbox& inbox) { inbox.failed = error; }); }};
  store_thread_ = std::make_unique<StoreThread>(*store_, std::move(events), [this] {
    return journal_->unpersisted_bytes() >= options_.max_unpersisted_bytes / 2;
  });
  const std::lock_guard lock(told_mutex_);
  told_store_thread_ = store_thread_.get();
}

DiskStorage::~DiskStorage() {
  if (journal_) journal_->close();
  const bool running = store_thread_ != nullptr;
  {
    const std::lock_guard lock(told_mutex_);
    told_store_thread_ = nullptr;
  }
  store_thread_.reset();
  if (running && !failed_ && store_->anything_to_roll() &&
      journal_->unpersisted_bytes() >= kReplayWorthARollBytes) {
    // A failure here costs nothing but a longer replay.
    [[maybe_unused]] const auto ok = store_->roll_and_wait();
  }
  {
    const std::lock_guard lock(told_mutex_);
    told_journal_ = nullptr;
  }
  store_.reset();
}

StorageStats DiskStorage::stats() const {
  return {journal_->stats(), journal_->recovery()};
}

std::size_t DiskStorage::memory_in_use() const {
  return tail_.bytes() + store_->rocks().memtable_bytes() + store_->rocks().block_cache_bytes();
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

// ---- decide -> entry -> apply ----

JournalPosition DiskStorage::journal_append(JournalEntry entry) {
  appended_bytes_ += entry.body.size();
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
  if (entry.kind == static_cast<std::uint16_t>(EntryKind::kRecords))
    return apply_records(entry, live, wants);
  if (auto ok = state_.apply(entry, wants); !ok) return ok;
  if (entry.kind == static_cast<std::uint16_t>(EntryKind::kTopicCreated)) {
    const auto created = TopicCreated::decode(entry.body);
    if (!wants(Family::kCatalog)) return {};
    for (std::uint32_t i = 0; i < created->partitions; ++i) {
      const PartitionId id = created->first_partition + i;
      logs_.try_emplace(id, store_->next_offset_at_open(id));
    }
  }
  if (entry.kind == static_cast<std::uint16_t>(EntryKind::kTopicDeleted)) {
    const auto deleted = TopicDeleted::decode(entry.body);
    for (std::uint32_t i = 0; i < deleted->partitions; ++i)
      logs_.erase(deleted->first_partition + i);
  }
  return {};
}

Result<> DiskStorage::apply_records(const JournalEntry& entry, bool live, const Wants& wants) {
  auto records = RecordsAppended::decode(entry.body);
  if (!records) return fail(records.error());
  auto batch = RecordBatchView::parse(records->batch);
  if (!batch) return fail(ErrorCode::kCorruptStorage, batch.error().message());
  PartitionLog* log = find_log(records->partition);
  if (!log) return {};  // replay of a topic that was deleted later
  state_.apply(records->partition, *batch, entry.position, wants);
  if (!wants(Family::kRecords)) return {};
  if (auto ok = log->check_adjoins(*batch); !ok) return ok;
  log->apply(*batch, live ? entry.owner : nullptr);
  stored_bytes_ += records->batch.size();
  if (!live) return {};
  tail_.add(records->partition, entry.position, records->batch.size());
  evict();
  // Rules 2 and 3: below kSync a record is visible when it is appended.
  if (entry.max_delay > Duration(0))
    log->raise_high_watermark(log->next_offset());
  else
    in_flight_.push_back({entry.position, records->partition, log->next_offset()});
  return {};
}

void DiskStorage::evict() {
  tail_.evict(applied_, [this](PartitionId partition) {
    if (PartitionLog* log = find_log(partition)) log->drop_oldest_cached();
  });
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
                             .config = config};
  return journal_append(created.encode());
}

Result<JournalPosition> DiskStorage::delete_topic(const TopicId& id) {
  const Topic* topic = find_topic(id);
  LEAT_ASSERT(topic);
  if (auto ok = check_writable(8); !ok) return fail(ok.error());
  const TopicDeleted deleted{.id = id,
                             .first_partition = topic->partitions.front(),
                             .partitions = static_cast<std::uint32_t>(topic->partitions.size())};
  return journal_append(deleted.encode());
}

Result<Appended> DiskStorage::append(PartitionId partition, const TopicConfig& config,
                                     Bytes batch) {
  PartitionLog* log = find_log(partition);
  LEAT_ASSERT(log);
  if (auto ok = check_writable(8); !ok) return fail(ok.error());
  const Offset base = log->next_offset();
  JournalEntry entry = RecordsAppended::encode(partition, base, epoch_, batch);
  if (config.durability == Durability::kInterval) entry.max_delay = config.interval;
  if (config.durability == Durability::kMemory) entry.max_delay = Duration::max();
  journal_append(std::move(entry));
  return Appended{base, config.durability};
}

Result<IssuedProducer> DiskStorage::init_producer(std::optional<std::int64_t> id,
                                                  std::int16_t epoch) {
  if (auto ok = check_writable(8); !ok) return fail(ok.error());
  std::optional<ProducerId> known;
  if (id) known = ProducerId(*id);
  auto initialized = state_.producers.init(known, epoch);
  if (!initialized) return fail(initialized.error());
  journal_append(initialized->encode());
  return IssuedProducer{initialized->id.value, initialized->epoch};
}

Result<JournalPosition> DiskStorage::change_group(const GroupChange& change) {
  if (auto ok = check_writable(8); !ok) return fail(ok.error());
  const Group* group = find_group(change.group);
  return journal_append(GroupChanged{group ? group->epoch + 1 : 1, change}.encode());
}

Result<JournalPosition> DiskStorage::delete_group(std::string_view group) {
  if (auto ok = check_writable(8); !ok) return fail(ok.error());
  return journal_append(GroupDeleted{group}.encode());
}

std::vector<std::string> DiskStorage::groups() const {
  std::vector<std::string> names;
  for (const auto& [name, group] : state_.groups.all()) names.push_back(name);
  for (const std::string_view name : state_.offsets.groups())
    if (!find_group(name)) names.emplace_back(name);
  std::ranges::sort(names);
  return names;
}

std::size_t DiskStorage::group_count() const {
  return groups().size();
}

Result<JournalPosition> DiskStorage::commit_offsets(std::string_view group,
                                                    std::span<const OffsetCommit> offsets) {
  if (auto ok = check_writable(8); !ok) return fail(ok.error());
  return journal_append(OffsetsCommitted::encode(group, offsets));
}

// ---- reading ----

PartitionBounds DiskStorage::bounds(PartitionId partition) const {
  const auto it = logs_.find(partition);
  return it == logs_.end() ? PartitionBounds{} : it->second.bounds();
}

ReadOutcome DiskStorage::read(PartitionId partition, Offset from, std::size_t max_bytes,
                              ReadToken token) {
  const PartitionLog* log = find_log(partition);
  if (!log || from >= log->bounds().high_watermark) return ReadResult{};
  if (auto cached = log->read(from, max_bytes)) return std::move(*cached);
  store_thread_->read(partition, from, max_bytes, token);
  return ReadLater{};
}

Offset DiskStorage::end_of_epoch(PartitionId partition, LeaderEpoch epoch) const {
  const auto it = logs_.find(partition);
  const Offset end = it == logs_.end() ? Offset(0) : it->second.next_offset();
  return state_.epochs.end_of(partition, epoch).value_or(end);
}

// ---- events ----

template <class Change>
void DiskStorage::tell(Change change) {
  {
    const std::lock_guard lock(inbox_mutex_);
    change(inbox_);
  }
  if (wake_) wake_();
}

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

void DiskStorage::poll(StorageEvents& events) {
  Inbox news;
  {
    const std::lock_guard lock(inbox_mutex_);
    std::swap(news, inbox_);
  }
  applied_ = std::max(applied_, news.applied);
  applied_bytes_ += news.applied_bytes;
  persisted_ = std::max(persisted_, news.persisted);
  if (news.durable > durable_) {
    durable_ = news.durable;
    raise_high_watermarks(durable_, events);
    events.on_durable(durable_);
  }
  for (auto& [token, result] : news.reads) events.on_read(token, std::move(result));
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
