// The store's thread: applies durable entries, rolls segments. Its stalls never reach the shard.
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
  std::function<void(const Error& error)> on_failed;
};

class StoreThread {
 public:
  // `roll_wanted` asks, after each round, whether the journal presses for a roll.
  StoreThread(Store& store, StoreThreadEvents events, std::function<bool()> roll_wanted);
  // Applies what is queued, then stops.
  ~StoreThread();

  // Any thread. The queue is bounded by has_room().
  void apply(std::span<const JournalEntry> entries);

 private:
  void run();
  void apply_round(std::vector<JournalEntry>& entries);

  Store& store_;
  StoreThreadEvents events_;
  std::function<bool()> roll_wanted_;
  bool failed_ = false;  // the store's thread

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<JournalEntry> entries_;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace leat::storage
