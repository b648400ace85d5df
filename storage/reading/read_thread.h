// Reads that miss the tail cache, and searches for message ids that are not in memory, on a thread
// of their own: whoever catches up keeps neither the shard nor the store's thread waiting.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

#include "storage/reading/cold_reads.h"
#include "storage/state/id_rows.h"
#include "storage/store.h"

namespace leat::storage {

class ReadThread {
 public:
  // Told on the thread.
  struct Done {
    std::function<void(EndedRead)> read;
    std::function<void(PartitionId, ReadToken, Result<KnownIds>)> search;
  };
  // The store outlives it.
  ReadThread(const Store& store, Done done);
  ~ReadThread();  // answers what is queued and not ahead, then stops

  // Any thread. The queue is bounded by the broker's limit on waiting fetches, and by what may be
  // read ahead: that is done while nothing else is to do.
  void read(const ColdRead& read);
  // Any thread. Of one to be read ahead: it is read as others are.
  void hurry(std::uint64_t id);
  // Any thread. The queue is bounded by what connections may send.
  void search(IdSearch search, ReadToken token);

 private:
  struct Search {
    IdSearch search;
    ReadToken token;
  };
  using Asked = std::variant<ColdRead, Search>;
  void push(Asked asked);
  void answer(const ColdRead& read);
  void answer(Search& search);
  void run();

  const Store& store_;
  Done done_;
  IdRowSearch id_rows_;  // the thread's

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Asked> asked_;
  std::deque<ColdRead> ahead_;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace leat::storage
