// Gives space back: drops files nobody can read from any more, and rewrites those of which half is
// dead. A thread of its own, so that neither the shard nor the store waits for the disk's deleting.
// What it removes is hidden by log starts already; docs/decisions/0001-segment-layout.md.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

#include "storage/rocks.h"
#include "storage/roll_tracker.h"
#include "storage/segment_index.h"

namespace leat::storage {

class Cleaner {
 public:
  // Segments have about `segment_bytes`. All outlive the cleaner; `failed` is told of what it could
  // not do, on its thread; it goes on at the next look().
  Cleaner(Rocks& rocks, SegmentIndex& index, std::size_t segment_bytes,
          std::function<void(const Error&)> failed);
  // Gives up what it is doing.
  ~Cleaner();

  // Any thread: more is persisted, or more is dead.
  void look(Persisted persisted);

 private:
  void run();
  bool clean(Persisted persisted);  // whether there may be more to do
  Result<bool> drop_dead(Persisted persisted);
  Result<bool> rewrite_worst(Persisted persisted);

  Rocks& rocks_;
  SegmentIndex& index_;
  const std::size_t segment_bytes_;
  std::function<void(const Error&)> failed_;

  std::mutex mutex_;
  std::condition_variable changed_;
  Persisted persisted_;
  bool look_ = false, stopping_ = false;
  std::thread thread_;
};

}  // namespace leat::storage
