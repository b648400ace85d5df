// What the broker knows of storage: append gives a position and an offset at once, "durable up to"
// comes as an event, a read is answered now or later (rule 11). All calls and all events happen on
// the shard's thread; only the wake function, given at open, is called from storage's own threads.
// DiskStorage is the real one; tests/fake_storage.h the one that tests steer.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/record_batch.h"
#include "protocol/source_position.h"
#include "protocol/topic_config.h"
#include "storage/acks.h"
#include "storage/group.h"
#include "storage/ids.h"
#include "storage/new_batch.h"
#include "storage/reads.h"
#include "storage/storage_events.h"

namespace leat::storage {

class PartitionAcks;  // storage/state/partition_acks.h

struct Topic {
  TopicId id;
  std::string name;
  WallTime created;
  std::vector<PartitionId> partitions;  // index = PartitionIndex; rising
  TopicConfig config;
};

struct Appended {
  Offset base;
  Durability durability;  // what the topic promises; below kSync the records are visible at once
};

struct IssuedProducer {
  std::int64_t id;
  std::int16_t epoch;
};

struct PartitionBounds {
  Offset log_start;       // first offset that can be read
  Offset high_watermark;  // one past the last that reached its topic's durability (rule 2)
};

struct OffsetCommit {
  TopicId topic;
  PartitionIndex partition;
  Offset offset;
  std::string_view metadata;
  LeaderEpoch epoch{-1};  // of the last record processed; -1: not known
};

struct Committed {
  Offset offset;
  std::string_view metadata;  // until the next call that changes the group
  LeaderEpoch epoch{-1};
};

// Batches that adjoin, none of whose records is newer than `newest_ms`.
struct TimedRun {
  Offset first, next;
  std::int64_t newest_ms;
};

class Storage {
 public:
  virtual ~Storage() = default;

  // ---- journal ----
  // The newest entry that must be durable before what is known now may be told (rule 2); entries of
  // topics below kSync do not count.
  virtual JournalPosition reply_position() const = 0;
  virtual JournalPosition durable() const = 0;
  // False while un-applied or un-persisted entries press against their limits (rule 5): hold new
  // records back until on_room(). Commits and deletions still go.
  virtual bool has_room() const = 0;

  // ---- topics (in memory as of the last append, not only what is durable) ----
  virtual const Topic* find_topic(std::string_view name) const = 0;
  virtual const Topic* find_topic(const TopicId& id) const = 0;
  virtual std::vector<const Topic*> topics() const = 0;  // by name
  // The caller has checked name and uniqueness; `id` is new. Errors: kStorageFailed, kLimitReached.
  virtual Result<JournalPosition> create_topic(const TopicId& id, std::string_view name,
                                               std::int32_t partitions, TopicConfig config,
                                               WallTime now) = 0;
  // Hides the topic, its records and its committed offsets at once. Errors: kStorageFailed.
  virtual Result<JournalPosition> delete_topic(const TopicId& id) = 0;

  // The topic, which exists, gets so many more, empty, behind those it has. Errors: kStorageFailed.
  virtual Result<JournalPosition> add_partitions(const TopicId& id, std::uint32_t count) = 0;

  // Gives the topic, which exists, another configuration, already checked. Errors: kStorageFailed.
  virtual Result<JournalPosition> configure_topic(const TopicId& id, TopicConfig config) = 0;

  // ---- old records ----
  // Forgets the records below `start`, which lies within bounds(): log_start rises to it and never
  // falls again; reads in flight stay valid; the space is given back in the background.
  // Errors: kStorageFailed.
  virtual Result<JournalPosition> move_log_start(PartitionId partition, Offset start) = 0;
  // Moves the log start of every partition as its topic's retention says. `now` is the caller's to
  // guard against steps of the clock (rule 11).
  virtual void retain(WallTime now) = 0;
  // Forgets the oldest records of topics with OnFull::kDropOldest, at least `bytes` of them; false
  // when they have not so much.
  virtual bool drop_oldest(std::uint64_t bytes) = 0;
  // No record at or after `timestamp_ms` lies before this offset, within bounds(): where to begin
  // looking for the first.
  virtual Offset look_from(PartitionId partition, std::int64_t timestamp_ms) const = 0;
  // Where to look for the newest record: of the runs within bounds() the one with the largest
  // newest_ms, the first of those with the same. `behind` a run: the one that follows it in this
  // order, so that all come in turn; nullopt: there is no other.
  virtual std::optional<TimedRun> newest_run(PartitionId partition,
                                             const std::optional<TimedRun>& behind = {}) const = 0;

  // ---- records ----
  // `batch` passed RecordBatchView::validate(), records may have been taken out of it since; base
  // offset and leader epoch are assigned, and its whole range of offsets is used up.
  // `config` is its topic's. With a `source`, which check_source() found to continue, that is
  // stored up to there by the same entry. Errors: kStorageFailed.
  virtual Result<Appended> append(PartitionId partition, const TopicConfig& config,
                                  const NewBatch& batch, const NewIds& ids = {},
                                  const std::optional<SourceStep>& source = {}) = 0;
  virtual PartitionBounds bounds(PartitionId partition) const = 0;
  // Of what is appended now: raised at each start (rule 3).
  virtual LeaderEpoch leader_epoch() const = 0;
  // One past the last offset that was written under `epoch` or an earlier one.
  virtual Offset end_of_epoch(PartitionId partition, LeaderEpoch epoch) const = 0;
  // Bytes of records that can be read, or soon can: what lies below a log start does not count.
  virtual std::uint64_t stored_bytes() const = 0;
  virtual std::uint64_t stored_bytes(PartitionId partition) const = 0;
  // Whole batches from the one that holds `from` on, below the high watermark, up to `max_bytes`
  // but at least one. From memory now, from disk later: then with kOffsetOutOfRange when the log
  // start has moved beyond `from` meanwhile.
  virtual ReadOutcome read(PartitionId partition, Offset from, std::size_t max_bytes,
                           ReadToken token) = 0;

  // ---- idempotent producers ----
  // A new id, or the next epoch of one. Errors: kUnknownProducer, kProducerFenced, kStorageFailed.
  virtual Result<IssuedProducer> init_producer(std::optional<std::int64_t> id,
                                               std::int16_t epoch) = 0;
  // A batch with a producer id: nullopt when it is the next one, its base offset when it is stored
  // already. Errors: kUnknownProducer, kProducerFenced, kOutOfSequence, kDuplicateSequence.
  virtual Result<std::optional<Offset>> check_sequence(PartitionId partition,
                                                       const RecordBatchView& batch) const = 0;

  // ---- named sources ----
  // How far the source is stored in the partition, as of the last append; zero: nothing.
  virtual SourcePosition source_position(PartitionId partition, std::string_view source) const = 0;
  // Whether a batch is the source's next one there; false: it is stored already. Errors:
  // kInvalidRequest, kSourceConflict, kLimitReached.
  virtual Result<bool> check_source(PartitionId partition, const SourceStep& step) const = 0;

  // ---- message ids ----
  // Which of `ids` are known within `window`, as of the last append: from memory now, or later by
  // on_known_ids. The caller appends nothing with ids to the partition meanwhile.
  virtual KnownIdsOutcome find_ids(PartitionId partition, IdWindow window,
                                   std::span<const IdHash> ids, WallTime now, ReadToken token) = 0;

  // ---- groups ----
  // Null: the group has never had a member, though it may have committed.
  virtual const Group* find_group(std::string_view group) const = 0;
  // All that have members or commits, by name.
  virtual std::vector<std::string> groups() const = 0;
  virtual Result<JournalPosition> change_group(const GroupChange& change) = 0;
  // With what it has committed.
  virtual Result<JournalPosition> delete_group(std::string_view group) = 0;

  // ---- committed offsets (rule 6) ----
  virtual Result<JournalPosition> commit_offsets(std::string_view group,
                                                 std::span<const OffsetCommit> offsets) = 0;
  // Of a group, as if it had never committed there; its acks there go, too. Errors: kStorageFailed.
  virtual Result<JournalPosition> remove_offsets(std::string_view group,
                                                 std::span<const TopicPartition> partitions) = 0;
  virtual std::size_t group_count() const = 0;
  virtual bool has_group(std::string_view group) const = 0;  // has members or commits
  // What a group has committed, by topic and partition; valid as Committed is.
  virtual std::vector<std::pair<TopicPartition, Committed>> commits(
      std::string_view group) const = 0;
  virtual std::optional<Committed> committed(std::string_view group, const TopicId& topic,
                                             PartitionIndex partition) const = 0;

  // ---- acknowledgements ----
  // Null: the group has none there, and what it has committed says all. Valid until the next call
  // that changes the group.
  virtual const PartitionAcks* acks(std::string_view group, const TopicId& topic,
                                    PartitionIndex partition) const = 0;
  // The offsets exist. The floor, as far as it rises, is committed. Errors: kStorageFailed,
  // kQueueFull.
  virtual Result<JournalPosition> change_acks(const AcksChange& change) = 0;
  // One step: `batch` is appended to the partition of `config`'s topic, and `change` is made. It is
  // kSync whatever the topic is. Errors: those of append() and change_acks().
  virtual Result<Appended> dead_letter(PartitionId partition, const TopicConfig& config,
                                       Bytes batch, const AcksChange& change) = 0;

  // ---- snapshots ----
  // Begins one of all that is acknowledged now, under a checked name; StorageEvents::on_snapshot
  // tells how it ended, and no other is begun before. Errors: kStorageFailed, kNoSpace.
  virtual Result<> snapshot(std::string_view name) = 0;

  // ---- events ----
  // Delivers what has happened since the last call. Call it after each wake.
  virtual void poll(StorageEvents& events) = 0;
};

}  // namespace leat::storage
