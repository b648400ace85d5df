// Reads that miss the tail cache, and searches for message ids that are not in memory, on a thread
// of their own: whoever catches up keeps neither the shard nor the store's thread waiting.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

#include "storage/state/id_rows.h"
#include "storage/store.h"

namespace leat::storage {

class ReadThread {
 public:
  // Told on the thread.
  struct Done {
    std::function<void(PartitionId, ReadToken, Result<ReadResult>)> read;
    std::function<void(PartitionId, ReadToken, Result<KnownIds>)> search;
  };
  // The store outlives it.
  ReadThread(const Store& store, Done done);
  ~ReadThread();  // answers what is queued, then stops

  // Any thread. The queue is bounded by the broker's limit on waiting fetches.
  void read(PartitionId partition, Offset from, std::size_t max_bytes, ReadToken token);
  // Any thread. The queue is bounded by what connections may send.
  void search(IdSearch search, ReadToken token);

 private:
  struct Read {
    PartitionId partition;
    Offset from;
    std::size_t max_bytes;
    ReadToken token;
  };
  struct Search {
    IdSearch search;
    ReadToken token;
  };
  void push(std::variant<Read, Search> asked);
  void answer(const Read& read);
  void answer(Search& search);
  void run();

  const Store& store_;
  Done done_;
  IdRowSearch id_rows_;  // the thread's

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::variant<Read, Search>> asked_;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace leat::storage
