// Storage on disk: the journal makes entries durable, RocksDB holds them behind it, memory holds
// the state they made. Decide -> entry -> apply; recovery is nothing but apply again (rule 1).
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "storage/data_directory.h"
#include "storage/file_io.h"
#include "storage/journal.h"
#include "storage/memory_shares.h"
#include "storage/partition_log.h"
#include "storage/reading/read_thread.h"
#include "storage/recovery/snapshot.h"
#include "storage/state/state.h"
#include "storage/storage.h"
#include "storage/storage_options.h"
#include "storage/storage_stats.h"
#include "storage/store.h"
#include "storage/store_thread.h"
#include "storage/tail_cache.h"

namespace leat::storage {

class DiskStorage final : public Storage {
 public:
  // Opens or creates the directory and replays what a crash left. `io` outlives the storage. `wake`
  // is called from storage's threads when poll() has something to tell; it must not block.
  // Errors: those of open_data_directory, Journal::open and RocksDB.
  static Result<std::unique_ptr<DiskStorage>> open(StorageOptions options, FileIo& io,
                                                   std::function<void()> wake);
  // Makes durable and applies what was appended; bounded by what may be un-applied.
  ~DiskStorage() override;

  StorageStats stats() const;
  // Whether the disk is being read for somebody, and how many such reads have ended so far.
  bool reads_under_way() const { return cold_reads_.under_way(); }
  std::uint64_t reads_ended() const { return cold_reads_.ended(); }
  // What is held within the memory budget: the newest records, memtables, cached blocks.
  std::size_t memory_in_use() const;

  // Of all entries, also those that may wait in memory.
  JournalPosition last_appended() const { return last_appended_; }

  JournalPosition reply_position() const override { return reply_position_; }
  JournalPosition durable() const override { return durable_; }
  bool has_room() const override;
  const Topic* find_topic(std::string_view name) const override {
    return state_.catalog.find(name);
  }
  const Topic* find_topic(const TopicId& id) const override { return state_.catalog.find(id); }
  std::vector<const Topic*> topics() const override { return state_.catalog.topics(); }
  Result<JournalPosition> create_topic(const TopicId& id, std::string_view name,
                                       std::int32_t partitions, TopicConfig config,
                                       WallTime now) override;
  Result<JournalPosition> delete_topic(const TopicId& id) override;
  Result<JournalPosition> add_partitions(const TopicId& id, std::uint32_t count) override;
  Result<JournalPosition> configure_topic(const TopicId& id, TopicConfig config) override;
  Result<JournalPosition> move_log_start(PartitionId partition, Offset start) override;
  void retain(WallTime now) override;
  bool drop_oldest(std::uint64_t bytes) override;
  Offset look_from(PartitionId partition, std::int64_t timestamp_ms) const override;
  std::optional<TimedRun> newest_run(PartitionId partition,
                                     const std::optional<TimedRun>& behind = {}) const override;
  Result<Appended> append(PartitionId partition, const TopicConfig& config, const NewBatch& batch,
                          const NewIds& ids = {},
                          const std::optional<SourceStep>& source = {}) override;
  PartitionBounds bounds(PartitionId partition) const override;
  LeaderEpoch leader_epoch() const override { return epoch_; }
  Offset end_of_epoch(PartitionId partition, LeaderEpoch epoch) const override;
  std::uint64_t stored_bytes() const override { return stored_bytes_; }
  std::uint64_t stored_bytes(PartitionId partition) const override;
  ReadOutcome read(PartitionId partition, Offset from, std::size_t max_bytes,
                   ReadToken token) override;
  Result<IssuedProducer> init_producer(std::optional<std::int64_t> id, std::int16_t epoch) override;
  Result<std::optional<Offset>> check_sequence(PartitionId partition,
                                               const RecordBatchView& batch) const override {
    return state_.producers.check(partition, batch);
  }
  SourcePosition source_position(PartitionId partition, std::string_view source) const override {
    return state_.sources.position(partition, source);
  }
  Result<bool> check_source(PartitionId partition, const SourceStep& step) const override {
    return state_.sources.check(partition, step);
  }
  KnownIdsOutcome find_ids(PartitionId partition, IdWindow window, std::span<const IdHash> ids,
                           WallTime now, ReadToken token) override;
  const Group* find_group(std::string_view group) const override;
  std::vector<std::string> groups() const override;
  Result<JournalPosition> change_group(const GroupChange& change) override;
  Result<JournalPosition> delete_group(std::string_view group) override;
  Result<JournalPosition> remove_offsets(std::string_view group,
                                         std::span<const TopicPartition> partitions) override;
  Result<JournalPosition> commit_offsets(std::string_view group,
                                         std::span<const OffsetCommit> offsets) override;
  std::size_t group_count() const override;
  bool has_group(std::string_view group) const override;
  std::vector<std::pair<TopicPartition, Committed>> commits(std::string_view group) const override;
  std::optional<Committed> committed(std::string_view group, const TopicId& topic,
                                     PartitionIndex partition) const override;
  const PartitionAcks* acks(std::string_view group, const TopicId& topic,
                            PartitionIndex partition) const override;
  Result<JournalPosition> change_acks(const AcksChange& change) override;
  Result<Appended> dead_letter(PartitionId partition, const TopicConfig& config, Bytes batch,
                               const AcksChange& change) override;
  Result<> snapshot(std::string_view name) override;
  void poll(StorageEvents& events) override;

 private:
  struct Compacted {
    PartitionId partition;
    Offset first, next;
    std::uint64_t gone;
  };
  struct FoundIds {
    PartitionId partition;
    ReadToken token;
    Result<KnownIds> known;
  };
  // What other threads have to tell; swapped out by poll().
  struct Inbox {
    JournalPosition durable, applied, persisted;
    std::uint64_t applied_bytes = 0;
    std::vector<EndedRead> reads;
    std::vector<FoundIds> found_ids;
    std::vector<Damage> damage;
    std::vector<Compacted> compacted;
    std::optional<std::uint64_t> free_bytes;  // on the disk
    std::optional<Result<std::string>> snapshot;
    std::optional<Error> failed;
    bool woken = false;  // since poll() looked; once is enough
  };
  // Appended and kSync, not yet known durable.
  struct InFlight {
    JournalPosition position;
    PartitionId partition;
    Offset next;
  };

  DiskStorage(StorageOptions options, std::function<void()> wake);
  Result<> recover(FileIo& io);
  Result<> open_store(FileIo& io);
  Result<> open_journal(FileIo& io);
  Result<> replay(const JournalEntry& entry, std::vector<JournalEntry>& slice);
  void start_threads(FileIo& io);
  std::uint64_t reserve_bytes() const;

  Result<> check_writable(std::uint64_t share_numerator) const;
  Result<> check_space() const;
  bool within(std::uint64_t eighths) const;
  AcksChanged decided(const AcksChange& change) const;
  JournalPosition journal_append(JournalEntry entry);
  Result<> apply(const JournalEntry& entry, bool live);
  void apply_to_logs(const JournalEntry& entry, const Wants& wants);
  Result<> apply_records(const JournalEntry& entry, bool live, const Wants& wants);
  void forget(std::vector<LogStartsMoved::Move> moves);
  Error named(const Damage& damage) const;
  template <class Value>
  Result<Value> named(PartitionId partition, Result<Value> result) const;
  void evict();
  PartitionLog* find_log(PartitionId partition);
  ColdReads::Range cold_range(PartitionId partition);
  void raise_high_watermarks(JournalPosition durable, StorageEvents& events);
  template <class Change>
  void tell(Change change);

  StorageOptions options_;
  std::function<void()> wake_;
  DataDirectory directory_;

  // The shard's thread.
  State state_;
  LeaderEpoch epoch_;
  std::unordered_map<PartitionId, PartitionLog> logs_;
  const MemoryShares shares_;
  TailCache tail_;
  ColdReads cold_reads_;
  std::deque<InFlight> in_flight_;
  JournalPosition last_appended_, reply_position_, durable_, applied_, persisted_;
  JournalPosition configured_;  // the newest change of a topic's settings
  std::uint64_t appended_bytes_ = 0, applied_bytes_ = 0, stored_bytes_ = 0, payload_bytes_ = 0;
  mutable bool told_full_ = false;
  std::optional<std::uint64_t> low_space_;  // free bytes, when they are less than the reserve
  bool failed_ = false;

  std::mutex inbox_mutex_;
  Inbox inbox_;

  std::unique_ptr<Store> store_;
  std::unique_ptr<StoreThread> store_thread_;
  std::unique_ptr<ReadThread> read_thread_;
  std::mutex told_mutex_;  // guards the two pointers against RocksDB's flush thread
  Journal* told_journal_ = nullptr;
  StoreThread* told_store_thread_ = nullptr;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Snapshots> snapshots_;
};

template <class Change>
void DiskStorage::tell(Change change) {
  bool woken;
  {
    const std::lock_guard lock(inbox_mutex_);
    change(inbox_);
    woken = std::exchange(inbox_.woken, true);
  }
  if (wake_ && !woken) wake_();
}

}  // namespace leat::storage
