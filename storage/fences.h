// Which segments hold a partition, and from which offset on: loaded from the segments' footers at
// start, kept in memory, used by one thread. And the footer's encoding.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "protocol/base/ids.h"
#include "protocol/base/result.h"

namespace leat::storage {

// The last row of a segment: what it holds, and that every entry up to `position` lies in it or in
// an earlier one. It goes into the same SST as the segment's batches, so its presence proves
// theirs.
struct Footer {
  struct Range {
    PartitionId partition;
    Offset first, next;
  };
  JournalPosition position;
  std::vector<Range> ranges;

  std::string encode() const;
  static Result<Footer> decode(std::string_view value);
};

class Fences {
 public:
  struct Fence {
    std::uint32_t segment;
    Offset first;
  };

  // A batch [base, next) goes into `segment`, the newest so far.
  void add(std::uint32_t segment, PartitionId partition, Offset base, Offset next);
  void load(std::uint32_t segment, const Footer& footer);
  void remove(PartitionId partition) { partitions_.erase(partition); }

  // The fences from the one that holds `from` on.
  std::vector<Fence> from(PartitionId partition, Offset from) const;
  // What `segment`, the newest, holds.
  std::vector<Footer::Range> ranges_of(std::uint32_t segment) const;

 private:
  struct Partition {
    std::vector<Fence> fences;
    Offset next{0};
  };
  std::unordered_map<PartitionId, Partition> partitions_;
};

}  // namespace leat::storage
