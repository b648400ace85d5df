// Durable writes of one thread, several at a time (rule 14). The best is on io_uring
// (uring_write_queue.h); where that is forbidden, threads wait for the disk.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

#include "storage/aligned_buffer.h"
#include "storage/file_io.h"

namespace leat::storage {

enum class WriteMode { kAuto, kUring, kThread };

// "auto", "uring" or "thread". Error: kUsage.
Result<WriteMode> parse_write_mode(std::string_view text);

// What a write takes from elsewhere than its slot's buffer: whole blocks, in memory aligned to one,
// that come behind `at` bytes of the write.
struct Inlay {
  std::size_t at = 0;
  Bytes bytes;
};
// A write in the order of the file.
std::vector<Bytes> pieces_of(Bytes buffer, std::span<const Inlay> inlays);

// One thread, the one that made it; only wake() is anybody's.
class WriteQueue {
 public:
  using Slot = std::size_t;  // below depth(); a slot has one write at a time
  using Time = std::chrono::steady_clock::time_point;
  struct Done {
    Slot slot;
    Result<> result;
  };

  virtual ~WriteQueue() = default;        // nothing is in flight any more
  virtual const char* name() const = 0;   // "uring" or "thread"
  virtual std::size_t depth() const = 0;  // writes that may be in flight
  // Memory for the slot's next write, aligned to a block, its content undefined.
  virtual MutableBytes buffer(Slot slot, std::size_t bytes) = 0;
  // Begins to write the slot's buffer, and the inlays where they belong, to `file`, which takes
  // write_through. File and inlays outlive the write.
  virtual void start(Slot slot, File& file, std::uint64_t at, std::span<const Inlay> inlays) = 0;
  // Waits for a write to end, for wake(), or until `until`. What ended, in any order; a write that
  // ended well is durable, of one that failed any part may have arrived.
  virtual std::vector<Done> wait(Time until) = 0;
  virtual void wake() = 0;
  // Made so far to write and to wait, for benchmarks. Any thread.
  std::uint64_t system_calls() const { return calls_.load(std::memory_order_relaxed); }

 protected:
  void count_call() { calls_.fetch_add(1, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> calls_{0};
};

// Each write waits on a thread of its own; as many as were ever needed at once.
class ThreadWriteQueue final : public WriteQueue {
 public:
  explicit ThreadWriteQueue(std::size_t depth) : writes_(depth) {}
  ~ThreadWriteQueue() override;
  const char* name() const override { return "thread"; }
  std::size_t depth() const override { return writes_.size(); }
  MutableBytes buffer(Slot slot, std::size_t bytes) override;
  void start(Slot slot, File& file, std::uint64_t at, std::span<const Inlay> inlays) override;
  std::vector<Done> wait(Time until) override;
  void wake() override;

 private:
  struct Write {
    File* file = nullptr;
    std::uint64_t at = 0;
    AlignedBuffer buffer;
    std::vector<Bytes> pieces;
  };
  void run();

  std::vector<Write> writes_;  // from start() to its end one is the thread's that writes it
  std::vector<std::thread> threads_;

  std::mutex mutex_;
  std::condition_variable started_, ended_;
  std::deque<Slot> waiting_;  // for a thread
  std::size_t idle_ = 0;      // threads without a write
  std::vector<Done> done_;
  bool woken_ = false, stopping_ = false;
};

}  // namespace leat::storage
