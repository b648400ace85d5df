// The log of one partition as the shard sees it: where it starts, what is durable, what comes next,
// and its newest batches in memory. Entries kRecords,
// kDeadLettered, kRecordsWithIds and kRecordsFromSource. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "protocol/record_batch.h"
#include "storage/retention/extents.h"
#include "storage/state/entry.h"
#include "storage/storage.h"

namespace leat::storage {

// Entry kRecords: partition u32 | bytes behind the batch u32 = 0 | batch, its base offset assigned.
// Behind the batch of a kDeadLettered stands the body of a kAcksChanged, behind that of a
// kRecordsWithIds what IdsAdded says, behind that of a kRecordsFromSource what SourceAdvanced does.
struct RecordsAppended {
  static constexpr std::size_t kHeadBytes = 8;  // in front of the batch
  PartitionId partition;
  Bytes batch, behind;  // borrow the entry

  // Copies `batch`, whose checksum was verified, and assigns its base offset: the one copy that a
  // produced batch makes on its way from the connection to the journal, the tail cache and RocksDB.
  static JournalEntry encode(PartitionId partition, Offset base, LeaderEpoch epoch, Bytes batch,
                             EntryKind kind = EntryKind::kRecords, Bytes behind = {});
  // The same without that one: the batch stays where it is, in memory that `owner` keeps and nobody
  // else writes to.
  static JournalEntry adopt(PartitionId partition, Offset base, LeaderEpoch epoch,
                            MutableBytes batch, std::shared_ptr<const void> owner);
  static Result<RecordsAppended> decode(const JournalEntry& entry);
};

// Whether RecordsAppended::decode() is for it.
inline bool holds_records(const JournalEntry& entry) {
  const auto kind = static_cast<EntryKind>(entry.kind);
  return kind == EntryKind::kRecords || kind == EntryKind::kDeadLettered ||
         kind == EntryKind::kRecordsWithIds || kind == EntryKind::kRecordsFromSource;
}

class PartitionLog {
 public:
  PartitionLog() = default;
  PartitionLog(Extents extents, Offset log_start, Offset next)
      : extents_(std::move(extents)), log_start_(log_start), next_(next), high_watermark_(next) {}

  Offset next_offset() const { return next_; }
  PartitionBounds bounds() const { return {log_start_, high_watermark_}; }
  // Offsets below the first cached batch have to be read from disk; nullopt: nothing is cached.
  std::optional<Offset> first_cached() const;

  // Batch ranges adjoin (rule 6). Error: kCorruptStorage when this one does not.
  Result<> check_adjoins(const RecordBatchView& batch) const;
  // Takes the batch at the end. `owner` keeps its bytes; null: do not cache (replay).
  void apply(const RecordBatchView& batch, std::shared_ptr<const void> owner);
  // All that was appended has been applied again, and is visible.
  void replayed();
  // Bytes of records that are gone with it.
  std::uint64_t move_start(Offset start);
  // Compaction took `gone` bytes out of [first, next): what it was of those.
  std::uint64_t shrink(Offset first, Offset next, std::uint64_t gone);
  const Extents& extents() const { return extents_; }
  // See Storage::look_from.
  Offset look_from(std::int64_t timestamp_ms) const;
  // See Storage::newest_run.
  std::optional<TimedRun> newest_run(const std::optional<TimedRun>& behind) const;
  void raise_high_watermark(Offset next) { high_watermark_ = next; }
  void drop_oldest_cached();

  // From memory: whole batches from the one that holds `from`, below the high watermark, up to
  // `max_bytes` but at least one. nullopt: `from` is not cached.
  std::optional<ReadResult> read(Offset from, std::size_t max_bytes) const;

 private:
  struct Cached {
    Offset base, last;
    StoredBatches batch;
  };
  Extents extents_;
  Offset log_start_{0};
  Offset next_{0};
  Offset high_watermark_{0};
  std::deque<Cached> tail_;  // adjoining, ends at next_
};

}  // namespace leat::storage
