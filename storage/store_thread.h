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
  // What is free on the disk: told now and then while entries come, and each second while it is
  // less than the reserve.
  std::function<void(std::uint64_t bytes)> on_free;
};

struct StoreThreadOptions {
  // Asked after each round: whether the journal presses for a roll.
  std::function<bool()> roll_wanted;
  std::function<Result<std::uint64_t>()> free_bytes;
  std::uint64_t reserve_bytes = 0;
};

class StoreThread {
 public:
  StoreThread(Store& store, StoreThreadEvents events, StoreThreadOptions options);
  // Applies what is queued, then stops.
  ~StoreThread();

  // Any thread. The queue is bounded by has_room().
  void apply(std::span<const JournalEntry> entries);
  // Any thread: the disk is said to be full.
  void look_at_space();
  // Any thread. A roll is persisted. The journal may have pressed for the next one meanwhile, and
  // while it does no further entries come that would ask for it.
  void roll_ended();

 private:
  void run();
  void apply_round(std::vector<JournalEntry>& entries);
  void tell_space();
  Result<> roll_if_wanted();
  void stop_for_good(const Error& error);

  Store& store_;
  StoreThreadEvents events_;
  StoreThreadOptions options_;
  // The store's thread.
  bool failed_ = false;
  bool space_low_ = false;
  std::uint64_t since_look_ = 0;  // bytes applied

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<JournalEntry> entries_;
  bool stopping_ = false, look_ = false;
  bool roll_ended_ = true;  // what was replayed may press for a roll, and keep entries out

  std::thread thread_;
};

}  // namespace leat::storage
