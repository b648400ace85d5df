// Gives space back: drops files nobody can read from any more, rewrites those of which half is
// dead, and compacts partitions to the newest record of each key. A thread of its own, so that
// neither the shard nor the store waits for the disk's deleting. What it removes is hidden by log
// starts already; docs/decisions/0001-segment-layout.md.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "protocol/base/clock.h"
#include "storage/retention/row_filters.h"
#include "storage/rocks/rocks.h"
#include "storage/roll_tracker.h"
#include "storage/segment_index.h"
#include "storage/storage.h"

namespace leat::storage {

struct CleanerOptions {
  std::size_t segment_bytes;  // about
  std::size_t key_map_bytes;  // of the keys that are compacted at a time
  // Reads batches as Store::read does.
  std::function<Result<ReadResult>(PartitionId, Offset from, std::size_t max_bytes)> read;
  // Told on the cleaner's thread: so many bytes between these offsets are no more.
  std::function<void(PartitionId, Offset first, Offset next, std::uint64_t gone)> on_compacted;
  // Told on the cleaner's thread of what it could not do; it goes on at the next look().
  std::function<void(const Error&)> on_failed;
  // Told on the cleaner's thread, for tests: "cleaner.compacted", "cleaner.cleaned" when what was
  // asked for has been done.
  std::function<void(const char*)> at_point;
};

class Cleaner {
 public:
  // All outlive the cleaner.
  Cleaner(Rocks& rocks, SegmentIndex& index, LargeBatches& large, CleanerOptions options);
  // Gives up what it is doing.
  ~Cleaner();

  // Any thread: more is persisted, or more is dead.
  void look(Persisted persisted);
  // Any thread: partitions that are compacted, where it is worth it; deletions of keys go when they
  // were written before `deletions_before`.
  void compact(std::vector<PartitionId> partitions, WallTime deletions_before);

 private:
  struct Compaction {
    std::vector<PartitionId> partitions;
    WallTime deletions_before;
  };
  void run();
  void point(const char* name) const;
  bool clean(Persisted persisted);  // whether there may be more to do
  Result<bool> drop_dead(Persisted persisted);
  Result<bool> rewrite_worst(Persisted persisted);
  Result<> compact(const Compaction& compaction, Persisted persisted);
  std::uint64_t bytes_of(const RecordsFile& file) const;  // its large batches included
  Result<> rewrite(const std::vector<RecordsFile>& files, LiveRows& filter);
  bool lies_in_damaged(const std::vector<RecordsFile>& files, PartitionId partition,
                       Offset end) const;
  bool worth_compacting(PartitionId partition, Offset end) const;
  Result<bool> map_keys(PartitionId partition, Offset end, KeyMap& keys, CompactedTo& to) const;

  Rocks& rocks_;
  SegmentIndex& index_;
  LargeBatches& large_;
  const CleanerOptions options_;
  // The cleaner's thread.
  std::map<PartitionId, Offset> compacted_;  // up to where
  std::set<std::string> damaged_;            // files that are left as they are

  std::mutex mutex_;
  std::condition_variable changed_;
  Persisted persisted_;
  std::optional<Compaction> compaction_;
  bool look_ = false, stopping_ = false;
  std::thread thread_;
};

}  // namespace leat::storage
