// The consumer without threads, sockets or clock: one waiting fetch per partition, a bounded store
// of fetched batches, positions that neither skip nor go back. The owner serialises calls.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "client/config.h"
#include "protocol/base/result.h"

namespace leat {

class ConsumerLogic {
 public:
  struct Fetch {
    PartitionIndex partition;
    Offset offset;
    LeaderEpoch epoch{-1};   // of the record before `offset`
    std::uint64_t turn = 0;  // of assign() and seek(): what comes for an earlier one is ignored
  };
  using Records = std::vector<ConsumedRecord>;

  explicit ConsumerLogic(std::size_t prefetch_bytes,
                         std::size_t decompressed_bytes = kMaxDecompressedBytes)
      : prefetch_bytes_(prefetch_bytes), decompressed_bytes_(decompressed_bytes) {}

  // Begins to read at `position`, or goes on there: what was held or under way is dropped.
  void assign(PartitionIndex partition, Offset position);
  void drop(PartitionIndex partition) { partitions_.erase(partition); }
  bool assigned(PartitionIndex partition) const { return partitions_.contains(partition); }
  // A paused partition is fetched no further than its prefetch, and take() passes it over.
  void set_paused(PartitionIndex partition, bool paused) {
    partitions_.at(partition).paused = paused;
  }

  // Fetches to send now, each marked as in flight until fetched() or lost().
  std::vector<Fetch> wanted();
  // Copies the batches. Error: what the broker sent is not whole, adjoining batches.
  Result<> fetched(const Fetch& fetch, Bytes batches, Offset high_watermark);
  void lost(const Fetch& fetch);

  // Records of the next fetch, partitions in turn; empty when nothing is held. They borrow from the
  // logic until the next call. A fetch that holds much once decompressed comes in several calls:
  // each ends behind the batch with which it reaches the prefetch bound.
  // Error: a batch that does not decompress, or to more than it may; its partition stays before it.
  Result<Records> take();
  bool holds_records() const;

  // One past the last record that take() gave.
  Offset position(PartitionIndex partition) const { return partitions_.at(partition).position; }
  std::vector<std::pair<PartitionIndex, Offset>> positions() const;
  // As of the newest fetch.
  std::optional<Offset> high_watermark(PartitionIndex partition) const {
    return partitions_.at(partition).high_watermark;
  }

 private:
  // One fetch's batches, from the first that was not taken.
  struct Held {
    std::shared_ptr<const std::vector<std::byte>> bytes;
    Bytes rest;
  };
  struct Partition {
    Offset position, fetch_from;
    LeaderEpoch epoch{-1};  // of the last record fetched
    std::uint64_t turn = 0;
    std::optional<Offset> high_watermark;
    bool in_flight = false, paused = false;
    std::deque<Held> held;
    std::size_t held_bytes = 0;
  };

  Partition* find(const Fetch& fetch);
  Result<> take_from(PartitionIndex index, Partition& partition, Records& records);

  std::size_t prefetch_bytes_, decompressed_bytes_;
  std::map<PartitionIndex, Partition> partitions_;
  std::uint64_t turns_ = 0;
  PartitionIndex served_{-1};  // by take() last
  // What take()'s records borrow from.
  std::shared_ptr<const std::vector<std::byte>> given_;
  std::vector<RecordReader> readers_;
};

}  // namespace leat
