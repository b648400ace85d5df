// Opening DiskStorage, recovery, and closing it.
#include <algorithm>

#include "storage/disk_storage.h"

namespace leat::storage {
namespace {

constexpr std::size_t kSmallMemoryBytes = 64 << 20;  // few writes in flight: each keeps its memory
constexpr std::size_t kMostDelayedBytes = 4 << 20;   // un-synced at most (rule 5)
// A clean stop rolls when a restart would otherwise replay more than this.
constexpr std::uint64_t kReplayWorthARollBytes = 8 << 20;
// Entries that keep the memory they were read into.
constexpr std::size_t kReplaySlice = 256, kReplayLarge = 4 << 10;

}  // namespace

DiskStorage::DiskStorage(StorageOptions options, std::function<void()> wake)
    : options_(std::move(options)),
      wake_(std::move(wake)),
      state_(options_.producers, options_.sources,
             options_.dedup_ids.value_or(options_.memory_bytes / 32)),
      shares_(shares_of(options_.memory_bytes)),
      tail_(shares_.newest_records),
      cold_reads_(shares_.read_ahead,
                  {.begin = [this](const ColdRead& read) { read_thread_->read(read); },
                   .hurry = [this](std::uint64_t id) { read_thread_->hurry(id); },
                   .range = [this](PartitionId partition) { return cold_range(partition); }}) {}

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
  const auto hole = store_->first_hole([this](PartitionId id) { return find_log(id) != nullptr; });
  if (hole)
    return fail(named(Damage{hole->partition, hole->first, hole->next,
                             std::string("they are missing") + kMendIt}));
  store_->recovered();
  start_threads(io);
  return {};
}

Result<> DiskStorage::open_store(FileIo& io) {
  auto store = Store::open(
      {.directory = directory_.rocksdb(),
       .io = &io,
       .memtable_bytes = shares_.memtable,
       .other_memtable_bytes = shares_.other_memtable,
       .block_cache_bytes = shares_.block_cache,
       .roll_bytes = shares_.memtable / 5 * 4,
       .large_batch_bytes = options_.large_batch_bytes,
       .journal_directory = directory_.journal(),
       .large_directory = directory_.large(),
       .roll_entries = options_.max_unpersisted_entries / 4,
       .producers = options_.producers,
       .sources = options_.sources,
       .on_persisted =
           [this](JournalPosition position) {
             {
               const std::lock_guard lock(told_mutex_);
               if (told_journal_) told_journal_->set_persisted(position);
               if (told_store_thread_) told_store_thread_->roll_ended();
             }
             tell([&](Inbox& inbox) { inbox.persisted = position; });
           },
       .key_map_bytes = shares_.key_map,
       .on_compacted =
           [this](PartitionId partition, Offset first, Offset next, std::uint64_t gone) {
             tell([&](Inbox& inbox) { inbox.compacted.push_back({partition, first, next, gone}); });
           },
       .on_damage =
           [this](const Damage& damage) {
             tell([&](Inbox& inbox) { inbox.damage.push_back(damage); });
           },
       .scrub_rate = options_.scrub_rate,
       .scrub_interval = options_.scrub_interval,
       .at_point = options_.at_point});
  if (!store) return fail(store.error());
  store_ = std::move(*store);
  if (auto ok = store_->load(state_); !ok) return ok;
  for (const Topic* topic : state_.catalog.topics())
    for (const PartitionId id : topic->partitions)
      logs_.insert_or_assign(id, store_->log_at_open(id));
  return {};
}

Result<> DiskStorage::open_journal(FileIo& io) {
  const std::size_t writes = options_.memory_bytes < kSmallMemoryBytes ? 4 : 16;
  JournalOptions options{
      .directory = directory_.journal(),
      .first_segment_bytes = std::min<std::size_t>(1 << 20, options_.journal_segment_bytes),
      .segment_bytes = options_.journal_segment_bytes,
      .max_group_bytes = std::min<std::size_t>(shares_.journal / writes, 1 << 20),
      .inlays_from = 2 * options_.large_batch_bytes,  // below that, leads would add up
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
          [this](const Error& error) { tell([&](Inbox& inbox) { inbox.failed = error; }); },
      .on_no_space =
          [this] {
            const std::lock_guard lock(told_mutex_);
            if (told_store_thread_) told_store_thread_->look_at_space();
          }};
  const JournalPosition persisted = store_->persisted();
  std::vector<JournalEntry> slice;
  auto journal = Journal::open(
      std::move(options), io, persisted,
      [&](const JournalEntry& entry) { return replay(entry, slice); }, std::move(events));
  if (!journal) return fail(journal.error());
  if (auto ok = store_->apply(slice); !ok) return ok;
  journal_ = std::move(*journal);
  const JournalPosition last = journal_->recovery().last;
  if (last < persisted)
    return fail(ErrorCode::kCorruptStorage, "the journal in '" + directory_.journal() +
                                                "' ends at entry " + std::to_string(last.value) +
                                                ", but RocksDB holds entries up to " +
                                                std::to_string(persisted.value) + kMendIt);
  last_appended_ = reply_position_ = durable_ = applied_ = last;
  state_.ids.applied(last);
  // Raised and synced at each start: whatever an unclean one cut off was of an earlier epoch.
  epoch_ = LeaderEpoch(static_cast<std::int32_t>(journal_->recovery().incarnation));
  {
    const std::lock_guard lock(told_mutex_);
    told_journal_ = journal_.get();
  }
  persisted_ = store_->persisted();
  journal_->set_persisted(persisted_);
  for (auto& [id, log] : logs_) {
    log.replayed();
    stored_bytes_ += log.extents().bytes();
  }
  return {};
}

// Rule 1: the same apply as in life, and each family takes only what its SSTs do not hold.
// RocksDB takes them in slices, which costs a third of one at a time.
Result<> DiskStorage::replay(const JournalEntry& entry, std::vector<JournalEntry>& slice) {
  if (auto ok = apply(entry, false); !ok)
    return fail(ok.error().code, "journal entry " + std::to_string(entry.position.value) + ": " +
                                     ok.error().message());
  slice.push_back(entry);
  if (slice.size() < kReplaySlice && entry.bytes() < kReplayLarge) return {};
  auto ok = store_->apply(slice);
  slice.clear();
  state_.ids.applied(entry.position);
  return ok;
}

void DiskStorage::start_threads(FileIo& io) {
  StoreThreadEvents events{
      .on_applied =
          [this](JournalPosition position, std::uint64_t bytes) {
            tell([&](Inbox& inbox) {
              inbox.applied = position;
              inbox.applied_bytes += bytes;
            });
          },
      .on_failed =
          [this](const Error& error) { tell([&](Inbox& inbox) { inbox.failed = error; }); },
      .on_free =
          [this](std::uint64_t bytes) { tell([&](Inbox& inbox) { inbox.free_bytes = bytes; }); }};
  StoreThreadOptions options{
      .roll_wanted =
          [this] { return journal_->unpersisted_bytes() >= options_.max_unpersisted_bytes / 2; },
      .free_bytes = [this, &io] { return io.free_bytes(directory_.path); },
      .reserve_bytes = reserve_bytes()};
  store_thread_ = std::make_unique<StoreThread>(*store_, std::move(events), std::move(options));
  {
    const std::lock_guard lock(told_mutex_);
    told_store_thread_ = store_thread_.get();
  }
  snapshots_ = std::make_unique<Snapshots>(
      SnapshotOptions{.data_dir = directory_.path,
                      .most = options_.snapshots,
                      .on_made =
                          [this](Result<std::string> path) {
                            tell([&](Inbox& inbox) { inbox.snapshot = std::move(path); });
                          },
                      .at_point = options_.at_point},
      io, store_->rocks(), store_->large(), *journal_);
  read_thread_ = std::make_unique<ReadThread>(
      *store_,
      ReadThread::Done{.read =
                           [this](EndedRead ended) {
                             tell([&](Inbox& inbox) { inbox.reads.push_back(std::move(ended)); });
                           },
                       .search =
                           [this](PartitionId partition, ReadToken token, Result<KnownIds> known) {
                             tell([&](Inbox& inbox) {
                               inbox.found_ids.push_back({partition, token, std::move(known)});
                             });
                           }});
}

std::uint64_t DiskStorage::reserve_bytes() const {
  return options_.reserve_bytes.value_or(4 * shares_.memtable + options_.journal_segment_bytes);
}

DiskStorage::~DiskStorage() {
  if (store_) store_->give_up();  // the journal has what RocksDB could not take
  if (journal_) journal_->close();
  snapshots_.reset();
  const bool running = store_thread_ != nullptr;
  {
    const std::lock_guard lock(told_mutex_);
    told_store_thread_ = nullptr;
  }
  read_thread_.reset();
  store_thread_.reset();
  if (running && !failed_ && !low_space_ && store_->anything_to_roll() &&
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

}  // namespace leat::storage
