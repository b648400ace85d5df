// Operation k of the disk fails, for every k: of the journal, its segments and lists, and of
// RocksDB. What was told durable is there afterwards, after a power cut and after a restart alone,
// and storage closes.
//
//   LEAT_FAILING_OPERATIONS  up to which k, and then in each way: EIO, ENOSPC, a short write, once
//   and
//                            from there on; else each k in one of the six
#include <atomic>
#include <cstdlib>
#include <thread>

#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/storage/simulation/simulated_disk.h"
#include "tests/storage/simulation/storage_life.h"

namespace leat::test {
namespace {

constexpr unsigned kHangSeconds = 120;  // as tests/hang_report.cc, which takes the alarm

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kStride = 11;  // every eleventh k under a sanitizer
#else
constexpr std::uint64_t kStride = 1;
#endif
constexpr std::uint64_t kOperations = 500;
constexpr int kAtOnce = 64;
constexpr std::size_t kSteps = 600;  // make more operations than that

struct Planted {
  std::uint64_t operation;
  Failure failure;
  bool sticky;
};

std::string what(const Planted& planted) {
  const char* kinds[] = {"EIO", "ENOSPC", "a short write"};
  return std::string(kinds[static_cast<int>(planted.failure)]) +
         (planted.sticky ? " from operation " : " at operation ") +
         std::to_string(planted.operation);
}

// Lives on a disk that fails; empty if nothing is wrong. `hit`: the failure happened.
std::string live_with(const Planted& planted, bool& hit) {
  SimulatedDisk disk({.seed = planted.operation + 1,
                      .takes_direct_io = planted.operation % 3 != 0,
                      .write_queue = planted.operation % 4 != 0,
                      .in_order = "/data/rocksdb"});
  StorageModel model;
  disk.fail_at(planted.operation, planted.failure, planted.sticky);
  Promise promise;
  {
    StorageLife life(disk, model, promise, planted.operation);
    auto wrong = life.open();
    if (wrong.empty() && life.running()) wrong = life.run(kSteps);
    // What ends well afterwards counts: once storage has stopped nothing is told any more.
    promise = life.promised();
    life.close();
    if (!wrong.empty()) return wrong;
  }
  hit = disk.failures() > 0;
  disk.heal();
  promise.opened = false;
  for (const bool cut : {true, false}) {
    auto after = disk.copy();
    if (cut) after->cut_power(planted.operation);
    StorageModel found = model;
    StorageLife again(*after, found, promise, planted.operation + 7);
    auto wrong = again.open();
    if (wrong.empty()) wrong = again.run(10);
    again.close();
    if (!wrong.empty()) return (cut ? "after a power cut: " : "after a restart: ") + wrong;
  }
  return {};
}

TEST(FailingDisk, LosesNothingThatWasTold) {
  const char* text = std::getenv("LEAT_FAILING_OPERATIONS");
  const bool all_kinds = text != nullptr;
  const std::uint64_t operations = text ? std::strtoull(text, nullptr, 10) : kOperations;
  std::atomic<std::uint64_t> next{0}, hits{0}, runs{0};
  const auto work = [&] {
    for (std::uint64_t k; (k = next.fetch_add(kStride)) < operations;)
      for (const Failure failure : {Failure::kIoError, Failure::kNoSpace, Failure::kShortWrite})
        for (const bool sticky : {false, true}) {
          if (!all_kinds && 2 * static_cast<std::uint64_t>(failure) + sticky != k % 6) continue;
          const Planted planted{k, failure, sticky};
          bool hit = false;
          ::alarm(kHangSeconds);  // a hang is one run's, not all of theirs
          const auto wrong = live_with(planted, hit);
          EXPECT_TRUE(wrong.empty()) << what(planted) << ": " << wrong;
          ::alarm(kHangSeconds);
          ++runs;
          hits += hit;
        }
  };
  // RocksDB's threads sleep for a second after each failure: many at once, most of them idle.
  rocksdb::Env::Default()->SetBackgroundThreads(kAtOnce, rocksdb::Env::HIGH);
  rocksdb::Env::Default()->SetBackgroundThreads(kAtOnce, rocksdb::Env::LOW);
  std::vector<std::thread> threads;
  for (int i = 0; i < kAtOnce; ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(hits, runs) << "the workload is too short to reach every operation";
}

}  // namespace
}  // namespace leat::test
