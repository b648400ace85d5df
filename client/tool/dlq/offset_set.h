// Offsets of a topic's partitions. What is next to one another takes one place.
#pragma once

#include <cstdint>
#include <iterator>
#include <map>

#include "protocol/base/ids.h"

namespace leat::tool {

class OffsetSet {
 public:
  // Whether it was not there.
  bool add(PartitionIndex partition, Offset offset) {
    auto& ranges = partitions_[partition];
    auto next = ranges.upper_bound(offset);
    const auto before = next == ranges.begin() ? ranges.end() : std::prev(next);
    if (before != ranges.end() && offset < before->second) return false;
    ++size_;
    Offset end = offset + 1;
    if (next != ranges.end() && next->first == end) {
      end = next->second;
      ranges.erase(next);
    }
    if (before != ranges.end() && before->second == offset)
      before->second = end;
    else
      ranges.emplace(offset, end);
    return true;
  }
  bool contains(PartitionIndex partition, Offset offset) const {
    const auto found = partitions_.find(partition);
    if (found == partitions_.end()) return false;
    const auto next = found->second.upper_bound(offset);
    return next != found->second.begin() && offset < std::prev(next)->second;
  }
  std::uint64_t size() const { return size_; }

 private:
  std::map<PartitionIndex, std::map<Offset, Offset>> partitions_;  // first to one past the last
  std::uint64_t size_ = 0;
};

}  // namespace leat::tool
