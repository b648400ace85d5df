// Reads that miss the tail cache, on a thread of their own: whoever catches up keeps neither the
// shard nor the store's thread waiting.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "storage/store.h"

namespace leat::storage {

class ReadThread {
 public:
  // `done` is told on the thread. The store outlives it.
  using Done = std::function<void(PartitionId, ReadToken, Result<ReadResult>)>;
  ReadThread(const Store& store, Done done);
  ~ReadThread();  // answers what is queued, then stops

  // Any thread. The queue is bounded by the broker's limit on waiting fetches.
  void read(PartitionId partition, Offset from, std::size_t max_bytes, ReadToken token);

 private:
  struct Read {
    PartitionId partition;
    Offset from;
    std::size_t max_bytes;
    ReadToken token;
  };
  void run();

  const Store& store_;
  Done done_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Read> reads_;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace leat::storage
