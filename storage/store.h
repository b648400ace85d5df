// Behind the journal: durable entries become rows of RocksDB, segment by segment, and are read back
// from there (rule 5, docs/decisions/0001-segment-layout.md). One thread: at start the opener's,
// then StoreThread's; only persisted() may be called from any.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "storage/journal.h"
#include "storage/large/large_batches.h"
#include "storage/partition_log.h"
#include "storage/recovery/damage.h"
#include "storage/recovery/scrubber.h"
#include "storage/retention/cleaner.h"
#include "storage/rocks/rocks.h"
#include "storage/roll_tracker.h"
#include "storage/segment_index.h"
#include "storage/state/end_store.h"
#include "storage/state/id_rows.h"
#include "storage/state/state.h"
#include "storage/storage.h"

namespace leat::storage {

struct StoreOptions {
  std::string directory;
  FileIo* io = &real_file_io();  // RocksDB's files go through it, unless it is native
  std::size_t memtable_bytes = 64 << 20;
  std::size_t other_memtable_bytes = 4 << 20;
  std::size_t block_cache_bytes = 32 << 20;
  // A segment is rolled after so much payload, so many entries, or when the journal asks.
  std::size_t roll_bytes = 51 << 20;
  // Batches of this size stay in the journal's segments, which get another name in
  // `large_directory`; without a directory none does.
  std::size_t large_batch_bytes = 32 << 10;
  std::string journal_directory, large_directory;
  std::uint64_t roll_entries = 150'000;
  std::size_t producers = 10'000;  // ProducerStore's limit
  std::size_t sources = 10'000;    // SourceStore's
  // Told, on any thread, when entries up to `position` have reached synced SSTs in every family.
  std::function<void(JournalPosition position)> on_persisted;
  std::size_t key_map_bytes = 4 << 20;
  // See CleanerOptions.
  std::function<void(PartitionId, Offset first, Offset next, std::uint64_t gone)> on_compacted;
  // Told, on any thread, of damage that was not known: by reads, by rewrites and by the scrubber.
  std::function<void(const Damage&)> on_damage;
  std::size_t scrub_rate = 0;  // bytes a second; 0: never
  Duration scrub_interval = ScrubberOptions().interval;
  std::function<void(const char* point)> at_point;  // as JournalOptions::at_point
};

class Store {
 public:
  static Result<std::unique_ptr<Store>> open(StoreOptions options);
  ~Store();

  // Where replay starts: the lowest of the families' persisted positions. Any thread.
  JournalPosition persisted() const;
  Result<> load(State& state) const;
  // What the records family's SSTs held of the partition at open; until it is replayed.
  PartitionLog log_at_open(PartitionId partition) const;
  // After replay: the first hole in what footers and earlier rolls promise of partitions that
  // `exists` knows.
  std::optional<SegmentIndex::Hole> first_hole(const std::function<bool(PartitionId)>& exists);
  // Nothing is missing: begins to give space back.
  void recovered();

  // Whether `family` needs an entry at `position` (replay), or has it in an SST already.
  bool wants(Family family, JournalPosition position) const;
  // Applies durable entries, in order, each once. Rolls when a segment is full.
  Result<> apply(std::span<const JournalEntry> entries);
  // Whoever waits for space waits no longer, but fails with kNoSpace. Any thread.
  void give_up();
  // See Cleaner::compact. Any thread, once recovered() has been called.
  void compact(std::vector<PartitionId> partitions, WallTime deletions_before) {
    cleaner_->compact(std::move(partitions), deletions_before);
  }
  // Ends the segment: footer and positions into every family, then all are flushed.
  Result<> roll();
  Result<> roll_and_wait();
  bool roll_pending() const;
  std::uint64_t stored_bytes() const { return rocks_->stored_bytes(); }
  const Rocks& rocks() const { return *rocks_; }
  LargeBatches& large() { return large_; }
  std::uint64_t scrubbed_bytes() const { return scrubber_ ? scrubber_->bytes() : 0; }
  std::size_t damage() const { return damage_.count(); }  // so much is known
  bool anything_to_roll() const { return applied_ > rolled_; }

  // Whole batches from the one that holds `from` on, up to `max_bytes` but at least one; empty
  // where the partition ends. Errors: kCorruptStorage, with the offsets, when a batch is missing,
  // malformed or cannot be read (what lies before it is served, and what lies behind it);
  // kOffsetOutOfRange when the log start has moved beyond `from`. Any thread.
  Result<ReadResult> read(PartitionId partition, Offset from, std::size_t max_bytes) const;
  // The row of a block of message ids; empty: there is none. Errors: kCorruptStorage, kIoError. Any
  // thread.
  Result<std::string> id_row(PartitionId partition, std::uint64_t block) const;

 private:
  struct Positions {
    JournalPosition of[kFamilies];
    JournalPosition lowest() const;
  };

  explicit Store(StoreOptions options)
      : options_(std::move(options)),
        large_(*options_.io, options_.journal_directory, options_.large_directory),
        producers_(options_.producers),
        sources_(options_.sources) {}
  Result<> load_footers();
  Result<> load_positions();
  Result<> remove_leftovers();
  Result<> apply_one(const JournalEntry& entry, rocksdb::WriteBatch& batch);
  Result<> apply_records(const JournalEntry& entry, rocksdb::WriteBatch& batch);
  template <class Change>
  Result<> change_topic(const Result<Change>& change, JournalPosition at,
                        rocksdb::WriteBatch& batch);
  Result<> apply_acks(const JournalEntry& entry);
  Result<> apply_ids(const JournalEntry& entry, rocksdb::WriteBatch& batch);
  Result<> apply_source(const JournalEntry& entry, rocksdb::WriteBatch& batch);
  void apply_moved(const LogStartsMoved& moved, JournalPosition at, rocksdb::WriteBatch& batch);
  Result<> apply_deleted(const TopicDeleted& deleted, JournalPosition at,
                         rocksdb::WriteBatch& batch);
  Result<> apply_deleted(const GroupDeleted& deleted, rocksdb::WriteBatch& batch);
  Result<> load_own_state();
  JournalPosition held_by(Family family) const;  // everything up to there, once it is flushed
  Result<> write(rocksdb::WriteBatch& batch);
  Result<> when_there_is_space(const std::function<Result<>()>& step);
  void flushed(Family family, std::uint64_t up_to);
  struct Gathered;
  std::unique_ptr<rocksdb::Iterator> rows(const SegmentIndex::Place& place,
                                          std::size_t readahead) const;
  std::vector<LargeRef> large_refs(PartitionId partition,
                                   const std::vector<SegmentIndex::Place>& places, Offset from,
                                   std::size_t max_bytes) const;
  Result<ReadResult> read_segments(PartitionId partition, Offset from, std::size_t max_bytes) const;
  Result<> read_place(PartitionId partition, const SegmentIndex::Place& place, Gathered& gathered,
                      int attempts) const;
  Result<> damaged(const Damage& damage) const;
  void tell_damage(const RocksFile& file, const Error& error) const;
  void read_through(PartitionId partition, const Extent& extent) const;

  StoreOptions options_;
  LargeBatches large_;
  std::unique_ptr<Rocks> rocks_;

  // The store's thread.
  EpochStore epochs_;        // what batches change besides the log: only here is it known
  ProducerStore producers_;  // which rows that makes
  SourceStore sources_;
  AckStore acks_;  // and of acks which have changed since a roll
  EndStore ends_;
  IdRows ids_;
  std::uint32_t segment_ = 1;
  std::size_t segment_bytes_ = 0, segment_large_bytes_ = 0;
  JournalPosition applied_, rolled_;
  Positions at_open_;
  LogStartStore starts_at_open_;
  bool roll_soon_ = false;  // so that dead segments may go

  SegmentIndex index_;
  mutable KnownDamage damage_;

  // RocksDB's flush thread and the store's.
  mutable std::mutex mutex_;
  std::condition_variable persisted_rose_;
  std::condition_variable given_up_;
  bool gives_up_ = false;
  RollTracker rolls_;
  Persisted persisted_;

  std::unique_ptr<Cleaner> cleaner_;
  std::unique_ptr<Scrubber> scrubber_;
};

}  // namespace leat::storage
