// Which segments hold which part of a partition, and how much of each segment can still be read:
// loaded from the segments' footers at start, kept in memory. The store's thread changes it;
// reading and cleaning threads ask. And the footer's encoding.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "storage/large/large_batches.h"
#include "storage/retention/extents.h"

namespace leat::storage {

// The last row of a segment: what it holds, and that every entry up to `position` lies in it or in
// an earlier one. It goes into the same SST as the segment's batches, so its presence proves
// theirs.
struct Footer {
  struct Range {
    PartitionId partition;
    Extent extent;
  };
  JournalPosition position;
  std::vector<Range> ranges;      // those of a partition in the order of their offsets
  std::vector<LargeShare> large;  // where its large batches lie

  std::string encode() const;
  static Result<Footer> decode(std::string_view value, std::uint32_t segment);
};

class SegmentIndex {
 public:
  // What `segment` holds of a partition; of the first one, from the extent on that was asked for.
  struct Place {
    std::uint32_t segment;
    Offset first, next;
    std::uint64_t bytes;
  };
  // Of a partition: where it begins and ends.
  struct Span {
    Offset start, next;
  };
  // A hole between what two footers say of one partition.
  struct Hole {
    PartitionId partition;
    Offset first, next;
  };

  // A batch, or at start a run of them, goes into its segment, the newest so far.
  void add(PartitionId partition, const Extent& batch);
  void load(const Footer& footer);
  // The log start rose to `start` by the entry at `at`.
  void move_start(PartitionId partition, Offset start, JournalPosition at);
  void remove(PartitionId partition, JournalPosition at);
  // A rewrite left `bytes` of what [first, next) had. Returns how many are gone thereby.
  std::uint64_t shrink(PartitionId partition, Offset first, Offset next, std::uint64_t bytes);
  // Recovery has ended: partitions that `exists` does not know are removed.
  template <class Exists>
  void keep_only(Exists exists, JournalPosition at);

  // Any thread.
  // Enough of them for a read of `bytes`.
  std::vector<Place> from(PartitionId partition, Offset from, std::uint64_t bytes) const;
  Span span(PartitionId partition) const;
  Extents extents(PartitionId partition) const;
  // Where what the partition has in segments below `segment` ends.
  Offset end_below(PartitionId partition, std::uint32_t segment) const;
  // Whether segments [first, last] hold anything of these partitions below their offsets.
  bool holds_any(std::uint32_t first, std::uint32_t last,
                 const std::map<PartitionId, Offset>& below) const;
  std::optional<Hole> first_hole() const;
  // What `segment`, the newest, holds.
  std::vector<Footer::Range> ranges_of(std::uint32_t segment) const;

  // ---- space ----
  struct Space {
    std::uint64_t bytes = 0;  // when it was last cleaned
    std::uint64_t live = 0;   // that can still be read
  };
  Space space(std::uint32_t first, std::uint32_t last) const;  // of segments [first, last]
  // Whether nothing of them can be read, and every entry that made it so is at or below
  // `persisted`.
  bool dead(std::uint32_t first, std::uint32_t last, JournalPosition persisted) const;
  // Their files hold only what is live now; those that are dead are gone.
  void cleaned(std::uint32_t first, std::uint32_t last, JournalPosition persisted);
  // Whether half of a segment below `open` or more became dead by entries above `persisted`.
  bool waits_to_be_persisted(std::uint32_t open, JournalPosition persisted) const;
  // Where the log of each partition starts; what is not in it has been deleted.
  std::unordered_map<PartitionId, Offset> starts() const;

 private:
  struct Partition {
    Extents extents;
    Offset start{0}, next{0};
  };
  struct Segment {
    Space space;                // about: what a part of an extent takes is not known
    std::uint32_t extents = 0;  // live
    JournalPosition changed;    // the newest entry that made a part of it dead
  };
  void hold(const Extent& extent, bool another);
  void forget(std::uint32_t segment, std::uint64_t bytes, bool whole, JournalPosition at);
  void erase(std::unordered_map<PartitionId, Partition>::iterator it, JournalPosition at);

  mutable std::mutex mutex_;
  std::unordered_map<PartitionId, Partition> partitions_;
  std::map<std::uint32_t, Segment> segments_;
};

template <class Exists>
void SegmentIndex::keep_only(Exists exists, JournalPosition at) {
  const std::lock_guard lock(mutex_);
  for (auto it = partitions_.begin(); it != partitions_.end();) {
    const auto here = it++;
    if (!exists(here->first)) erase(here, at);
  }
}

}  // namespace leat::storage
