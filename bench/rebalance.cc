// How long a group of many members takes to settle, and whether those that keep their partitions
// notice: records flow to every partition all the while, and the longest pause of one that stayed
// where it was is told beside the longest when nothing moves.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <stdlib.h>

#include "client/blocking.h"
#include "server/server.h"

namespace leat::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr int kMembers = 50, kPartitions = 100;
constexpr auto kEach = 10ms;  // between two records of a partition

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

double ms_since(Clock::time_point began) {
  return std::chrono::duration<double, std::milli>(Clock::now() - began).count();
}

class Rebalance {
 public:
  explicit Rebalance(const std::string& directory)
      : server_(must(
            Server::open({.data_dir = directory + "/data", .listen = {"leat://127.0.0.1:0"}}))),
        admin_(connect()) {
    must(admin_.create_topic("t", kPartitions));
  }

  void run() {
    std::thread producer([this] { produce(); });
    auto began = Clock::now();
    for (int i = 0; i < kMembers; ++i) add();
    settle(kMembers);
    std::printf("%d members join at once: settled after %.0f ms\n", kMembers, ms_since(began));
    std::this_thread::sleep_for(500ms);  // the first records of partitions that are new
    const double quiet = longest_pause([] { std::this_thread::sleep_for(1s); });
    const double moving = longest_pause([&] {
      began = Clock::now();
      add();
      settle(kMembers + 1);
      std::printf("one more joins: settled after %.0f ms\n", ms_since(began));
      std::this_thread::sleep_for(500ms);
    });
    std::printf(
        "longest pause of a partition that stays, a record each %lld ms: %.0f ms while one joins, "
        "%.0f ms in a second without change\n",
        static_cast<long long>(kEach.count()), moving, quiet);
    stop_ = true;
    producer.join();
    for (auto& member : members_) member.join();
  }

 private:
  blocking::Client connect() {
    return must(blocking::Client::connect({.broker = server_->listeners().front()}));
  }

  void produce() {
    auto client = connect();
    auto producer = must(client.producer(Topic{"t"}, {.linger = 1ms}));
    for (auto next = Clock::now(); !stop_; next += kEach) {
      for (int p = 0; p < kPartitions; ++p)
        must(producer->send({.value = as_bytes("x"), .partition = PartitionIndex(p)}));
      std::this_thread::sleep_until(next + kEach);
    }
    must(producer->flush());
  }

  void add() {
    const int id = ++last_id_;
    members_.emplace_back([this, id] {
      auto client = connect();
      auto consumer = must(
          client.consumer({.topics = {"t"}, .group = Group{"g"}, .start = StartFrom::latest()}));
      while (!stop_) {
        const auto records = must(consumer->poll(100ms));
        const auto now = Clock::now();
        const std::lock_guard lock(mutex_);
        for (const ConsumedRecord& record : records) {
          Seen& seen = seen_[record.partition];
          if (seen.by == id)
            seen.longest = std::max(seen.longest, now - seen.last);
          else
            seen.moved = true;
          seen.by = id;
          seen.last = now;
        }
      }
    });
  }

  void settle(std::size_t members) {
    for (;;) {
      const auto group = admin_.describe_group("g");
      std::size_t owned = 0;
      if (group)
        for (const GroupPartition& row : group->partitions) owned += row.member.empty() ? 0 : 1;
      if (group && group->members.size() == members && group->group.settled && owned == kPartitions)
        return;
      std::this_thread::sleep_for(2ms);
    }
  }

  template <class Work>
  double longest_pause(Work work) {
    {
      const std::lock_guard lock(mutex_);
      for (auto& [partition, seen] : seen_) seen.longest = {}, seen.moved = false;
    }
    work();
    const std::lock_guard lock(mutex_);
    Clock::duration longest{};
    for (const auto& [partition, seen] : seen_)
      if (!seen.moved) longest = std::max(longest, seen.longest);
    return std::chrono::duration<double, std::milli>(longest).count();
  }

  struct Seen {
    int by = 0;
    Clock::time_point last;
    Clock::duration longest{};
    bool moved = false;
  };

  std::unique_ptr<Server> server_;
  blocking::Client admin_;
  std::atomic<bool> stop_{false};
  int last_id_ = 0;
  std::mutex mutex_;
  std::map<PartitionIndex, Seen> seen_;
  std::vector<std::thread> members_;
};

}  // namespace
}  // namespace leat::bench

int main() {
  std::string directory = std::filesystem::current_path() / "leat-bench-XXXXXX";
  if (!::mkdtemp(directory.data())) return 1;
  int status = 0;
  try {
    leat::bench::Rebalance(directory).run();
  } catch (const std::exception& error) {
    std::cerr << "bench: " << error.what() << "\n";
    status = 1;
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
  return status;
}
