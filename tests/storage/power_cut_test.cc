// Power cuts and SIGKILLs out of random histories on a simulated disk, each followed by a start, a
// comparison with the model, and, for some, by another life that is cut in turn: stale bytes of an
// earlier one would show there. Threads make a seed's history differ a little from run to run.
//
//   LEAT_POWER_CUT_STATES  how many crashes to look at
//   LEAT_POWER_CUT_SEED    the first history's seed
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

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

// Fewer under a sanitizer, which makes each take several times as long.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kDefaultStates = 100;
#else
constexpr std::uint64_t kDefaultStates = 300;
#endif

// How many copies a life of that depth leaves, and what it does.
struct Depth {
  std::size_t steps, copies;
  std::uint64_t lives_of_8;  // so many of eight crashes of it live on
};
constexpr Depth kDepths[] = {{350, 10, 3}, {120, 4, 3}, {60, 3, 0}};

// All that comes of one seed.
class History {
 public:
  History(std::uint64_t seed, std::atomic<std::uint64_t>& states)
      : random_(seed), states_(states) {}

  // The first violation with the way to it; empty if there is none.
  std::string run() {
    const SimulatedDiskOptions options{.seed = random_.next(),
                                       .takes_direct_io = random_.below(4) != 0,
                                       .write_queue = random_.below(3) != 0,
                                       .in_order = "/data/rocksdb"};
    SimulatedDisk disk(options);
    return live(disk, StorageModel(), Promise{}, 0, true);
  }

 private:
  struct Crash {
    std::unique_ptr<SimulatedDisk> disk;
    Promise promise;
    std::uint64_t operation;
  };

  // Opens and checks; lives on if told so, and follows all crashes of that.
  std::string live(SimulatedDisk& disk, StorageModel model, Promise before, std::size_t depth,
                   bool lives_on) {
    std::vector<Crash> crashes;
    StorageLife life(disk, model, before, random_.next());
    if (lives_on) watch(disk, life, depth, crashes);
    auto wrong = life.open();
    // What a start has made visible is durable.
    std::unique_ptr<SimulatedDisk> started;
    if (wrong.empty() && lives_on) started = disk.copy();
    const Promise at_start = life.promised();
    if (wrong.empty() && lives_on) wrong = life.run(kDepths[depth].steps);
    const bool stops = random_.below(2) == 0;
    const Promise last = life.promised();
    life.close();
    if (!wrong.empty() || !lives_on) return wrong;
    disk.watch({}, {});
    const std::uint64_t operation = started->operations();
    crashes.push_back({std::move(started), at_start, operation});
    if (stops) crashes.push_back({disk.copy(), clean_stop(last), disk.operations()});
    for (Crash& crash : crashes) {
      if (!crash.promise.opened) crash.promise.sent = life.found();
      if (wrong = follow(crash, model, depth); !wrong.empty()) return wrong;
    }
    return {};
  }

  static Promise clean_stop(Promise last) {
    last.told = last.sent;
    return last;
  }

  void watch(SimulatedDisk& disk, StorageLife& life, std::size_t depth,
             std::vector<Crash>& crashes) {
    const std::size_t copies = kDepths[depth].copies;
    // About so many operations a step makes, and as many at a start as forty steps.
    const std::uint64_t mean = (kDepths[depth].steps + 40) * 5 / 4 / copies;
    auto random = std::make_shared<Random>(random_.next());
    auto next = std::make_shared<std::uint64_t>(disk.operations() + random->below(2 * mean));
    disk.watch(
        [=, &crashes](std::uint64_t operation) {
          if (operation < *next || crashes.size() >= copies) return false;
          *next = operation + 1 + random->below(2 * mean);
          return true;
        },
        [&crashes, &life](std::unique_ptr<SimulatedDisk> copy) {
          const std::uint64_t operation = copy->operations();
          crashes.push_back({std::move(copy), life.promised(), operation});
        });
  }

  std::string follow(Crash& crash, const StorageModel& model, std::size_t depth) {
    const bool kill = random_.below(4) == 0;
    const std::uint64_t seed = random_.next();
    if (kill)
      crash.disk->kill_process(seed);
    else
      crash.disk->cut_power(seed);
    states_.fetch_add(1);
    // What a killed process left may be lost after it was seen: only a second crash shows that.
    const bool lives_on =
        kill ? depth + 1 < std::size(kDepths) : random_.below(8) < kDepths[depth].lives_of_8;
    crash.promise.opened = false;
    auto wrong = live(*crash.disk, model, crash.promise, depth + 1, lives_on);
    if (wrong.empty()) return {};
    return (kill ? "killed" : "power cut") + std::string(" at operation ") +
           std::to_string(crash.operation) + " > " + wrong;
  }

  Random random_;
  std::atomic<std::uint64_t>& states_;
};

TEST(PowerCut, WhatWasToldIsThereAndNothingElse) {
  const std::uint64_t states = from_environment("LEAT_POWER_CUT_STATES", kDefaultStates);
  const std::uint64_t first = from_environment("LEAT_POWER_CUT_SEED", 1);
  std::atomic<std::uint64_t> seen{0}, seed{first};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  const auto work = [&] {
    while (seen < states && !stop) {
      const std::uint64_t mine = seed.fetch_add(1);
      ::alarm(kHangSeconds);  // a hang is one history's, not a long run's
      const auto wrong = History(mine, seen).run();
      if (wrong.empty()) continue;
      stop = true;
      const std::lock_guard lock(mutex);
      ADD_FAILURE() << "LEAT_POWER_CUT_SEED=" << mine << ", near state " << seen << ": " << wrong;
    }
  };
  std::thread other(work);
  work();
  other.join();
  std::printf("%llu states of %llu histories\n", static_cast<unsigned long long>(seen),
              static_cast<unsigned long long>(seed - first));
}

}  // namespace
}  // namespace leat::test
