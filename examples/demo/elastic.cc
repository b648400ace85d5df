// ./dev demo elastic: a backlog that one consumer cannot work off in time. Members join its group
// one by one, each takes its share while the others go on; one is killed with SIGKILL, and what it
// had not committed is done by the rest. Ends with an account of every record.
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/blocking.h"
#include "examples/demo/process.h"

namespace leat::demo {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr auto kHang = 60s;
constexpr auto kWork = 400us;  // what one record takes a member
constexpr int kPartitions = 12;
constexpr std::uint64_t kRecords = 20'000;
constexpr const char* kTopic = "jobs";
constexpr const char* kGroup = "workers";

template <class T>
T must(Result<T> result, const std::string& doing) {
  if (!result) throw std::runtime_error(doing + ": " + result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

volatile sig_atomic_t g_stop = 0;

// ---- a member: prints the number of each record when it is done, then commits ----

int work(const std::string& url) {
  ::signal(SIGTERM, [](int) { g_stop = 1; });
  auto client =
      must(blocking::Client::connect({.broker = url, .client_name = "elastic"}), "connecting");
  auto consumer =
      must(client.consumer({.topics = {kTopic}, .group = Group{kGroup}, .fetch_bytes = 4 << 10}),
           "joining");
  while (!g_stop) {
    const auto records = must(consumer->poll(100ms), "polling");
    if (records.empty()) continue;
    std::this_thread::sleep_for(kWork * records.size());
    std::string lines;
    for (const ConsumedRecord& record : records)
      lines.append(as_text(record.value.value_or(Bytes()))).append("\n");
    std::fwrite(lines.data(), 1, lines.size(), stdout);
    std::fflush(stdout);
    // Refused when the partition has gone to another meanwhile, who does these again.
    [[maybe_unused]] const auto ok = consumer->commit();
  }
  return 0;
}

// ---- the story ----

class Elastic {
 public:
  Elastic(std::string leatd, std::string self) : leatd_(std::move(leatd)), self_(std::move(self)) {
    std::string path = std::filesystem::temp_directory_path() / "leat-elastic-XXXXXX";
    if (!::mkdtemp(path.data())) throw std::runtime_error("cannot create " + path);
    directory_ = path;
  }
  ~Elastic() {
    for (auto& member : members_) member->finish(SIGKILL);
    broker_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  int run() {
    start_broker();
    client_.emplace(must(blocking::Client::connect({.broker = url_}), "connecting"));
    build_backlog();
    std::printf("%8s %9s %9s  %s\n", "time", "backlog", "records/s", "partitions of each member");
    began_ = steady_clock::now();
    const std::pair<std::uint64_t, int> plan[] = {{0, 1}, {2, 1}, {5, 1}, {8, 1}, {12, -1}};
    for (const auto& [twentieths, change] : plan) {
      until_done(kRecords * twentieths / 20);
      if (change > 0)
        add_member();
      else
        kill_member();
    }
    until_done(kRecords);
    return conclude();
  }

 private:
  struct Member {
    Member(Elastic& elastic, int number_of, const std::vector<std::string>& command)
        : number(number_of),
          process(command, elastic.directory_ + "/member.log"),
          thread([this, &elastic] {
            for (std::string line; process.read_line(line);) elastic.done(*this, line);
          }) {}
    void finish(int signal) {
      if (!thread.joinable()) return;
      process.stop(signal);
      thread.join();
    }
    int number;
    std::uint64_t records = 0;
    bool killed = false;
    Process process;
    std::thread thread;
  };

  void start_broker() {
    broker_ = std::make_unique<Process>(
        std::vector<std::string>{leatd_, "--data-dir", directory_ + "/data", "--listen",
                                 "leat://127.0.0.1:0"},
        directory_ + "/leatd.log");
    std::string ready;
    if (!broker_->read_line(ready)) throw std::runtime_error("leatd did not start");
    const std::size_t begin = ready.find("leat://"), end = ready.find('"', begin);
    url_ = ready.substr(begin, end - begin);
  }

  void build_backlog() {
    must(client_->create_topic(kTopic, kPartitions), "creating the topic");
    auto producer = must(client_->producer(Topic{kTopic}), "producing");
    for (std::uint64_t i = 0; i < kRecords; ++i) {
      const std::string number = std::to_string(i);
      must(producer->send({.key = as_bytes(number), .value = as_bytes(number)}), "sending");
    }
    must(producer->flush(kHang), "waiting for the acknowledgements");
    std::printf("a backlog of %llu records in %d partitions, %lld us of work each\n\n",
                static_cast<unsigned long long>(kRecords), kPartitions,
                static_cast<long long>(kWork.count()));
  }

  void add_member() {
    const int number = static_cast<int>(members_.size()) + 1;
    members_.push_back(
        std::make_unique<Member>(*this, number, std::vector<std::string>{self_, "work", url_}));
    std::printf("%7.2fs member %d joins (process %d)\n", seconds(), number,
                members_.back()->process.pid());
  }

  void kill_member() {
    Member& victim = *members_[1];
    victim.finish(SIGKILL);
    victim.killed = true;
    std::printf("%7.2fs SIGKILL to member %d after %llu records\n", seconds(), victim.number,
                static_cast<unsigned long long>(victim.records));
  }

  void done(Member& member, const std::string& line) {
    const std::lock_guard lock(mutex_);
    ++member.records;
    ++times_[std::stoull(line)];
    changed_.notify_all();
  }

  double seconds() const {
    return std::chrono::duration<double>(steady_clock::now() - began_).count();
  }

  // Until so many different records are done; says how it goes.
  void until_done(std::uint64_t count) {
    auto progress = steady_clock::now();
    for (std::uint64_t seen = 0;;) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, 250ms, [&] { return g_stop || times_.size() >= count; });
        if (g_stop) throw std::runtime_error("interrupted");
        if (times_.size() != std::exchange(seen, times_.size())) progress = steady_clock::now();
        if (times_.size() >= count) return;
      }
      if (steady_clock::now() - progress > kHang) throw std::runtime_error("no progress");
      report();
    }
  }

  void report() {
    auto group = client_->describe_group(kGroup);
    if (!group) return;  // nobody has joined yet
    std::int64_t backlog = 0;
    std::map<std::string, int> held;
    for (const GroupMember& member : group->members) held[member.id] = 0;
    for (const GroupPartition& row : group->partitions) {
      backlog += row.lag();
      if (!row.member.empty()) ++held[row.member];
    }
    std::string shares;
    for (const auto& [id, partitions] : held) shares += std::to_string(partitions) + " ";
    const std::lock_guard lock(mutex_);
    const auto now = steady_clock::now();
    const double rate = static_cast<double>(times_.size() - last_done_) /
                        std::chrono::duration<double>(now - last_report_).count();
    last_done_ = times_.size();
    last_report_ = now;
    std::printf("%7.2fs %9lld %9.0f  %s%s\n", seconds(), static_cast<long long>(backlog), rate,
                shares.c_str(), group->group.settled ? "" : "(rebalancing)");
  }

  int conclude() {
    const double took = seconds();
    for (auto& member : members_) member->finish(SIGTERM);
    const int stopped = broker_->stop(SIGTERM);
    std::uint64_t repeated = 0;
    bool everyone = true;
    for (const auto& [number, times] : times_) repeated += times - 1;
    std::puts("");
    for (const auto& member : members_) {
      std::printf("member %d          %llu records%s\n", member->number,
                  static_cast<unsigned long long>(member->records),
                  member->killed ? ", then killed" : "");
      everyone = everyone && member->records > 0;
    }
    const std::uint64_t lost = kRecords - times_.size();
    std::printf(
        "lost              %llu\nrepeated          %llu (done, not yet committed)\n"
        "seconds           %.1f (one member alone: at least %.1f)\n",
        static_cast<unsigned long long>(lost), static_cast<unsigned long long>(repeated), took,
        std::chrono::duration<double>(kWork).count() * kRecords);
    const bool ok = lost == 0 && everyone && stopped == 0;
    std::puts(ok ? "\nEvery record was done, whoever came and went: lost 0."
                 : "\nSOMETHING IS OFF.");
    return ok ? 0 : 1;
  }

  std::string leatd_, self_, directory_, url_;
  std::unique_ptr<Process> broker_;
  std::optional<blocking::Client> client_;
  steady_clock::time_point began_, last_report_ = steady_clock::now();
  std::uint64_t last_done_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, std::uint64_t> times_;  // record -> how often it was done
  std::vector<std::unique_ptr<Member>> members_;
};

}  // namespace
}  // namespace leat::demo

int main(int argc, char** argv) {
  using namespace leat::demo;
  try {
    if (argc == 3 && std::string(argv[1]) == "work") return work(argv[2]);
    const std::string self = std::filesystem::canonical("/proc/self/exe");
    const std::string leatd =
        argc == 2 ? argv[1] : (std::filesystem::path(self).parent_path() / "leatd").string();
    ::signal(SIGINT, [](int) { g_stop = 1; });
    ::signal(SIGTERM, [](int) { g_stop = 1; });
    ::setvbuf(stdout, nullptr, _IOLBF, 0);
    return Elastic(leatd, self).run();
  } catch (const std::exception& error) {
    std::cerr << "elastic: " << error.what() << "\n";
    return 1;
  }
}
