// The store's thread: applies durable entries, serves reads that miss the tail cache, rolls
// segments. Its stalls never reach the shard.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "storage/store.h"

namespace leat::storage {

// Told on the store's thread.
struct StoreThreadEvents {
  std::function<void(JournalPosition position, std::uint64_t applied_bytes)> on_applied;
  std::function<void(ReadToken token, Result<ReadResult> result)> on_read;
  std::function<void(const Error& error)> on_failed;
};

class StoreThread {
 public:
  // `roll_wanted` asks, after each round and each roll, whether the journal presses for a roll.
  StoreThread(Store& store, StoreThreadEvents events, std::function<bool()> roll_wanted);
  // Applies what is queued, then stops.
  ~StoreThread();

  // Any thread. The queues are bounded by who fills them: the journal by has_room(), reads by the
  // broker's limit on waiting fetches.
  void apply(std::span<const JournalEntry> entries);
  void read(PartitionId partition, Offset from, std::size_t max_bytes, ReadToken token);
  // Any thread. A roll is persisted. The journal may have pressed for the next one meanwhile, and
  // while it does no further entries come that would ask for it.
  void roll_ended();

 private:
  struct Read {
    PartitionId partition;
    Offset from;
    std::size_t max_bytes;
    ReadToken token;
  };
  void run();
  void apply_round(std::vector<JournalEntry>& entries);
  Result<> roll_if_wanted();
  void stop_for_good(const Error& error);

  Store& store_;
  StoreThreadEvents events_;
  std::function<bool()> roll_wanted_;
  bool failed_ = false;  // the store's thread

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<JournalEntry> entries_;
  std::vector<Read> reads_;
  bool roll_ended_ = false;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace leat::storage
