// Reads what RocksDB holds at rest now and then, at a bounded rate, so that damage is found while
// there still is a backup, and not when somebody needs what it took. A thread of its own, asleep
// between two passes; its reads go around caches.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "protocol/base/clock.h"
#include "storage/large/large_batches.h"
#include "storage/rocks/rocks.h"

namespace leat::storage {

struct ScrubberOptions {
  std::size_t bytes_per_second = 8 << 20;
  // From one pass to the next. The first begins after an hour, or sooner if this is sooner: also a
  // broker that is started every day is looked through.
  Duration interval = std::chrono::hours(7 * 24);
  // Told on the thread: what is wrong with a file.
  std::function<void(const RocksFile& file, const Error& error)> on_damage;
  std::function<void(const char*)> at_point;  // for tests: "scrubber.pass" when one has ended
};

class Scrubber {
 public:
  // Both outlive it.
  Scrubber(Rocks& rocks, const LargeBatches& large, ScrubberOptions options);
  ~Scrubber();  // within one read

  std::uint64_t bytes() const { return bytes_; }  // looked at, so far

 private:
  void run();
  bool pause(Duration time);  // false: stopping
  void pass();
  Result<> scrub(const RocksFile& file);
  Result<std::size_t> scrub_row(std::string_view key, std::string_view value,
                                LargeReader& large) const;
  bool is_there(const RocksFile& file) const;

  Rocks& rocks_;
  const LargeBatches& large_;
  const ScrubberOptions options_;
  std::atomic<std::uint64_t> bytes_{0};

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace leat::storage
