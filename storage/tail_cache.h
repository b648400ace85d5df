// Which batches the partition logs keep in memory, oldest first over all partitions, within one
// budget. Only what is applied may leave (rule 5): until then memory is where it can be read.
// One thread.
#pragma once

#include <cstdint>
#include <deque>

#include "protocol/base/ids.h"

namespace leat::storage {

class TailCache {
 public:
  explicit TailCache(std::size_t budget_bytes) : budget_bytes_(budget_bytes) {}

  void add(PartitionId partition, JournalPosition position, std::size_t bytes) {
    entries_.push_back({partition, position, bytes});
    bytes_ += bytes;
  }

  std::size_t bytes() const { return bytes_; }

  // Calls drop(partition) for each oldest batch that must and may leave, where so many bytes of the
  // budget are used by others.
  template <class Drop>
  void evict(JournalPosition applied, std::size_t others_bytes, Drop drop) {
    while (bytes_ + others_bytes > budget_bytes_ && !entries_.empty() &&
           entries_.front().position <= applied) {
      bytes_ -= entries_.front().bytes;
      drop(entries_.front().partition);
      entries_.pop_front();
    }
  }

 private:
  struct Entry {
    PartitionId partition;
    JournalPosition position;
    std::size_t bytes;
  };
  std::size_t budget_bytes_;
  std::size_t bytes_ = 0;
  std::deque<Entry> entries_;
};

}  // namespace leat::storage
