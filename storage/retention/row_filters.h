// What a rewrite of segments leaves out, and what it makes of the rest (rocks.h, RowFilter).
#pragma once

#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/record.h"
#include "storage/retention/key_map.h"
#include "storage/rocks.h"
#include "storage/segment_index.h"

namespace leat::storage {

// Leaves out what lies below the log starts, partitions that were deleted, and footers of segments
// of which nothing is left.
class LiveRows : public RowFilter {
 public:
  LiveRows(const SegmentIndex& index, JournalPosition persisted)
      : index_(index), persisted_(persisted), starts_(index.starts()) {}
  std::string next_kept(std::string_view key) override;
  std::optional<std::string> replaced(std::string_view, std::string_view) override { return {}; }

 private:
  const SegmentIndex& index_;
  JournalPosition persisted_;
  std::unordered_map<PartitionId, Offset> starts_;
};

// A partition that is compacted, up to an offset: below it the map knows all newer records.
using CompactedTo = std::map<PartitionId, Offset>;

// And takes records out of which the key has a newer one, and deletions of keys that were written
// before `deletions_before`. A batch keeps its range of offsets, also when nothing else is left.
// Footers say what came of it.
class CompactedRows final : public LiveRows {
 public:
  CompactedRows(const SegmentIndex& index, JournalPosition persisted, KeyMap& keys, CompactedTo to,
                WallTime deletions_before)
      : LiveRows(index, persisted),
        keys_(keys),
        to_(std::move(to)),
        deletions_before_(deletions_before) {}

  std::optional<std::string> replaced(std::string_view key, std::string_view value) override;

  // A run of batches that became smaller.
  struct Shrunk {
    PartitionId partition;
    Extent extent;  // as the footer had it
    std::uint64_t left;
  };
  // Since the last call.
  std::vector<Shrunk> take_shrunk() { return std::exchange(shrunk_, {}); }

 private:
  struct Row {
    PartitionId partition;
    Offset last;
    std::uint64_t bytes;
  };
  bool keeps(PartitionId partition, const RecordView& record);
  std::optional<std::string> compacted(PartitionId partition, std::string_view value);
  std::optional<std::string> footer(std::uint32_t segment, std::string_view value);

  KeyMap& keys_;
  CompactedTo to_;
  WallTime deletions_before_;
  std::vector<Row> rows_;  // of compacted partitions, in the segment so far
  std::vector<Shrunk> shrunk_;
};

}  // namespace leat::storage
