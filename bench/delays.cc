// Delayed records over TCP: how fast they are taken in, beside the same records without a time and
// with an id, and how long after their time they reach a member of a shared group.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "client/blocking.h"
#include "client/client.h"
#include "protocol/base/random.h"
#include "protocol/record_extras.h"
#include "server/server.h"

namespace leat::bench {
namespace {

constexpr std::size_t kValueBytes = 100;
constexpr int kPartitions = 8;
constexpr int kRounds = 5;                                  // of producing
constexpr auto kAhead = std::chrono::milliseconds(10'000);  // the first is due so much later
constexpr std::int64_t kSoonMs = 3'600'000;                 // further than a run takes

struct Options {
  std::uint64_t records = 1'000'000;
  std::int64_t seconds = 30;   // within which they are due
  std::size_t memory_mib = 0;  // of the broker; 0: as it comes
  bool deliver = true;         // or only enqueue
  bool tmpfs = false;
};

enum class Kind { kPlain, kDelayed, kWithId };

// What producing came to, each at its best.
struct Rate {
  double per_s = 0;
  double cpu_us = 1e9;  // a record, of client and broker
};

void complain(LogLevel level, std::string_view line) {
  if (level >= LogLevel::kWarning) std::cerr << line << "\n";
}

std::int64_t wall_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

class Delays {
 public:
  Delays(const std::string& directory, const Options& options)
      : server_(must(Server::open(server_options(directory, options)))),
        url_(server_->listeners().front()),
        options_(options) {
    std::printf(
        "file system %s, %llu records of %zu B in %d partitions, load of the machine %.2f\n\n",
        file_system(directory), static_cast<unsigned long long>(options_.records), kValueBytes,
        kPartitions, load_average());
  }

  void run() {
    Rate plain, delayed, with_id;
    // Turn and turn about, so that what else goes on meets all.
    for (int round = 0; round < kRounds; ++round) {
      const std::string number = std::to_string(round);
      take_best(plain, produce("plain" + number, Kind::kPlain));
      take_best(delayed, produce("delayed" + number, Kind::kDelayed, kSoonMs, kSoonMs));
      take_best(with_id, produce("with_id" + number, Kind::kWithId));
    }
    report("without a time, best of 5", plain);
    report("delayed, best of 5", delayed);
    report("with an id of 16 B, best of 5", with_id);
    std::printf("%-44s %12.2f\n", "delayed to without", delayed.per_s / plain.per_s);
    std::printf("%-44s %12.2f\n\n", "with an id to without", with_id.per_s / plain.per_s);
    if (!options_.deliver) return;
    deliver("due in the order of their offsets", false);
    deliver("due in any order", true);
  }

 private:
  static ServerOptions server_options(const std::string& directory, const Options& options) {
    ServerOptions server{
        .data_dir = directory + "/data", .listen = {"leat://127.0.0.1:0"}, .log = complain};
    if (options.memory_mib > 0) server.memory_bytes = options.memory_mib << 20;
    return server;
  }
  static void report(const char* what, const Rate& rate) {
    std::printf("%-44s %12.0f records/s   %.2f us of CPU each\n", what, rate.per_s, rate.cpu_us);
    std::fflush(stdout);
  }
  static void take_best(Rate& best, const Rate& rate) {
    best = {std::max(best.per_s, rate.per_s), std::min(best.cpu_us, rate.cpu_us)};
  }

  // Delayed records are due one after the other, or in any order.
  Rate produce(const std::string& topic, Kind kind, std::int64_t ahead_ms = 0,
               std::int64_t spread_ms = 0, bool any_order = true) {
    auto client = must(blocking::Client::connect({.broker = url_}));
    must(client.create_topic(topic, kPartitions));
    auto producer = must(client.producer(Topic{topic}));
    const std::string value(kValueBytes, 'v');
    const auto spread = static_cast<std::uint64_t>(spread_ms);
    const std::int64_t from_ms = wall_us() / 1'000 + ahead_ms;
    std::array<std::uint64_t, 2> id{random_.next(), 0};
    const Used before = used();
    const auto began = Clock::now();
    for (std::uint64_t i = 0; i < options_.records; ++i) {
      OutgoingRecord record{.value = as_bytes(value)};
      if (kind == Kind::kDelayed) {
        const std::uint64_t later =
            any_order ? random_.below(spread) : i * spread / options_.records;
        record.deliver_at =
            Timestamp(std::chrono::milliseconds(from_ms + static_cast<std::int64_t>(later)));
      } else if (kind == Kind::kWithId) {
        id[1] = i;
        record.id = std::as_bytes(std::span(id));
        record.partition =
            PartitionIndex(static_cast<std::int32_t>(i * kPartitions / options_.records));
      }
      must(producer->send(record));
    }
    must(producer->flush());
    const auto records = static_cast<double>(options_.records);
    return {records / seconds_since(began), (used() - before).cpu_seconds * 1e6 / records};
  }

  void deliver(const char* what, bool any_order) {
    const std::string topic = any_order ? "any_order" : "in_order";
    auto client = must(blocking::Client::connect({.broker = url_}));
    produce(topic, Kind::kDelayed, kAhead.count(), options_.seconds * 1'000, any_order);
    auto consumer = must(client.consumer({.topics = {topic},
                                          .group = Group{"late"},
                                          .kind = GroupKind::kShared,
                                          .prefetch_records = 10'000}));
    std::vector<std::int64_t> late_us;
    late_us.reserve(options_.records);
    const Used before = used();
    const auto began = Clock::now();
    while (late_us.size() < options_.records) {
      const auto records = must(consumer->poll(std::chrono::seconds(1)));
      const std::int64_t now_us = wall_us();
      for (const ConsumedRecord& record : records) {
        const auto extras = must(read_extras(record.headers));
        late_us.push_back(now_us - *extras.deliver_at_ms * 1'000);
        must(consumer->ack_async(record, {}));
      }
    }
    const double cores = (used() - before).cpu_seconds / seconds_since(began);
    std::ranges::sort(late_us);
    const auto at = [&](double share) {
      const auto index = static_cast<std::size_t>(share * static_cast<double>(late_us.size() - 1));
      return static_cast<double>(late_us[index]) / 1'000;
    };
    std::printf(
        "%-34s %8.0f/s, after their time: first %.1f, p50 %.1f, p99 %.1f, p99.9 %.1f, last %.1f "
        "ms; "
        "%.2f processors\n",
        what, static_cast<double>(options_.records) / static_cast<double>(options_.seconds), at(0),
        at(0.5), at(0.99), at(0.999), at(1), cores);
    std::fflush(stdout);
  }

  std::unique_ptr<Server> server_;
  std::string url_;
  Options options_;
  Random random_{1};
};

}  // namespace
}  // namespace leat::bench

int main(int argc, char** argv) {
  leat::bench::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--tmpfs") {
      options.tmpfs = true;
    } else if (option == "--records" && i + 1 < argc) {
      options.records = std::stoull(argv[++i]);
    } else if (option == "--seconds" && i + 1 < argc) {
      options.seconds = std::stoll(argv[++i]);
    } else if (option == "--only" && i + 1 < argc && std::string(argv[i + 1]) == "enqueue") {
      options.deliver = false;
      ++i;
    } else if (option == "--memory" && i + 1 < argc) {
      options.memory_mib = std::stoull(argv[++i]);
    } else {
      std::cerr << "usage: leat-delays [--only enqueue] [--records N] [--seconds N] [--memory MIB] "
                   "[--tmpfs]\n";
      return 2;
    }
  }
  try {
    const leat::bench::WorkDirectory directory(options.tmpfs);
    leat::bench::Delays(directory.path(), options).run();
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench: " << error.what() << "\n";
    return 1;
  }
}
