// What a rewrite of segments leaves out, and what it makes of the rest (rocks.h, RowFilter).
#pragma once

#include <map>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/record.h"
#include "storage/retention/key_map.h"
#include "storage/rocks/rocks.h"
#include "storage/segment_index.h"

namespace leat::storage {

// Leaves out what lies below the log starts, partitions that were deleted, and footers of segments
// of which nothing is left. If `takes_in`, large batches are copied from where the journal wrote
// them, so that those files may go.
class LiveRows : public RowFilter {
 public:
  LiveRows(const SegmentIndex& index, const LargeBatches& large, JournalPosition persisted,
           bool takes_in)
      : index_(index),
        persisted_(persisted),
        starts_(index.starts()),
        takes_in_(takes_in),
        reader_(large) {}
  std::string next_kept(std::string_view key) override;
  std::optional<std::string> replaced(std::string_view key, std::string_view value) override;

  // Segments of which every row is in the files that are rewritten: only they need no file
  // afterwards. Before the rewrite.
  void whole(std::uint32_t first, std::uint32_t last) { first_whole_ = first, last_whole_ = last; }
  // Files that could not be read, and which segments need them still; all, if nothing is taken in.
  bool takes_in() const { return takes_in_; }
  const std::map<std::uint32_t, std::set<LargeFile>>& left() const { return left_; }
  // Segments of which not even the footer stays.
  const std::set<std::uint32_t>& gone() const { return gone_; }

 protected:
  // The batch that the row stands for; nullopt: it is one, or it cannot be read and stays as it is.
  std::optional<std::string> taken_in(std::string_view key, std::string_view value);
  // Whether the footer changes thereby.
  bool settle(Footer& footer, std::uint32_t segment) const;

 private:
  const SegmentIndex& index_;
  JournalPosition persisted_;
  std::unordered_map<PartitionId, Offset> starts_;
  const bool takes_in_;
  LargeReader reader_;
  std::uint32_t first_whole_ = 1, last_whole_ = 0;
  std::map<std::uint32_t, std::set<LargeFile>> left_;
  std::set<std::uint32_t> gone_;
};

// A partition that is compacted, up to an offset: below it the map knows all newer records.
using CompactedTo = std::map<PartitionId, Offset>;

// And takes records out of which the key has a newer one, and deletions of keys that were written
// before `deletions_before`. A batch keeps its range of offsets, also when nothing else is left.
// Footers say what came of it.
class CompactedRows final : public LiveRows {
 public:
  CompactedRows(const SegmentIndex& index, const LargeBatches& large, JournalPosition persisted,
                KeyMap& keys, CompactedTo to, WallTime deletions_before)
      : LiveRows(index, large, persisted, true),
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
