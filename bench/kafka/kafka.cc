// librdkafka against Leat, beside librdkafka against the mock broker within it, turn by turn; and
// what Kafka's connections and the first record cost.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/kafka/kafka_client.h"
#include "bench/kafka/kafka_start.h"
#include "bench/kafka/leatd.h"
#include "bench/measure.h"
#include "client/blocking.h"
#include "server/server.h"

namespace leat::bench {
namespace {

constexpr std::size_t kBytes = 1024;
constexpr int kPartitions = 4;  // as many as the mock broker gives a topic
constexpr int kIdle = 1'000;

struct Wanted {
  std::uint64_t records = 500'000;
  int turns = 5;
  bool tmpfs = false;
  bool embedded = false;  // the broker lives in this process, as the mock broker does
  std::string broker;  // host:port of one that runs already; its topics are created by themselves
};

void complain(LogLevel level, std::string_view line) {
  if (level >= LogLevel::kWarning) std::cerr << line << "\n";
}

double median(std::vector<double> of) {
  std::sort(of.begin(), of.end());
  return of[of.size() / 2];
}

struct Turn {
  double mock = 0, sync = 0, interval = 0, consumed = 0;
};

// The broker that is measured: in a process of its own unless it is said otherwise.
class Broker {
 public:
  Broker(const Wanted& wanted, const std::string& directory) : address_(wanted.broker) {
    if (!address_.empty()) return;
    if (wanted.embedded) {
      server_ = must(Server::open(
          {.data_dir = directory + "/data", .listen = {"kafka://127.0.0.1:0"}, .log = complain}));
      const std::string url = server_->listeners().front();
      address_ = url.substr(url.find("//") + 2);
      client_ = must(server_->connect_local());
    } else {
      leatd_ = std::make_unique<Leatd>(leatd_beside(), directory);
      address_ = leatd_->kafka();
      client_ = must(blocking::Client::connect({.broker = leatd_->leat()}));
    }
    std::printf("file system %s, broker %s\n", file_system(directory),
                server_ ? "in this process" : "in a process of its own");
  }
  Settings settings() const { return {{"bootstrap.servers", address_}}; }
  bool ours() const { return client_.has_value(); }
  void create(const std::string& topic, const TopicConfig& config) {
    if (client_) must(client_->create_topic(topic, kPartitions, false, config));
  }

 private:
  std::unique_ptr<Server> server_;
  std::unique_ptr<Leatd> leatd_;
  std::optional<blocking::Client> client_;
  std::string address_;
};

Turn turn(Broker& broker, const Wanted& wanted, int number) {
  Turn result;
  const std::string suffix = std::to_string(number);
  result.mock = kafka_produce({{"test.mock.num.brokers", "1"}, {"log_level", "4"}}, "mock", kBytes,
                              wanted.records)
                    .records_per_second;
  broker.create("sync" + suffix, {});
  result.sync =
      kafka_produce(broker.settings(), "sync" + suffix, kBytes, wanted.records).records_per_second;
  result.consumed = kafka_consume(broker.settings(), "sync" + suffix,
                                  broker.ours() ? kPartitions : 1, wanted.records)
                        .records_per_second;
  if (!broker.ours()) return result;
  broker.create("interval" + suffix,
                {.durability = Durability::kInterval, .interval = std::chrono::milliseconds(100)});
  result.interval = kafka_produce(broker.settings(), "interval" + suffix, kBytes, wanted.records)
                        .records_per_second;
  return result;
}

void row(const char* name, const Turn& turn) {
  std::printf("%-8s %10.0f %10.0f %7.2f %12.0f %7.2f %10.0f %7.2f\n", name, turn.mock, turn.sync,
              turn.sync / turn.mock, turn.interval, turn.interval / turn.mock, turn.consumed,
              turn.consumed / turn.sync);
  std::fflush(stdout);
}

void rates(const Wanted& wanted, const std::string& directory) {
  Broker broker(wanted, directory);
  std::printf("%llu records of %zu B a turn, librdkafka's default batching, acks=all\n\n",
              static_cast<unsigned long long>(wanted.records), kBytes);
  std::printf("%-8s %10s %10s %7s %12s %7s %10s %7s\n", "turn", "mock", "sync", "x mock",
              "interval", "x mock", "consume", "x sync");
  std::vector<double> mock, sync, interval, consumed, sync_ratio, interval_ratio, consume_ratio;
  for (int i = 1; i <= wanted.turns; ++i) {
    const Turn now = turn(broker, wanted, i);
    row(std::to_string(i).c_str(), now);
    mock.push_back(now.mock);
    sync.push_back(now.sync);
    interval.push_back(now.interval);
    consumed.push_back(now.consumed);
    sync_ratio.push_back(now.sync / now.mock);
    interval_ratio.push_back(now.interval / now.mock);
    consume_ratio.push_back(now.consumed / now.sync);
  }
  std::printf("%-8s %10.0f %10.0f %7.2f %12.0f %7.2f %10.0f %7.2f\n", "median", median(mock),
              median(sync), median(sync_ratio), median(interval), median(interval_ratio),
              median(consumed), median(consume_ratio));
  std::printf(
      "wanted: sync >= 0.60 of the mock broker, interval >= 0.80, consume >= 1.00 of sync\n");
}

void starts(const std::string& directory) {
  const std::string leatd = leatd_beside();
  const auto fresh = [&](const std::string& name) {
    std::filesystem::create_directory(directory + "/" + name);
    return directory + "/" + name;
  };
  const IdleConnections idle = idle_kafka_connections(leatd, fresh("idle"), kIdle);
  std::printf(
      "\n%d idle Kafka connections: %.1f KiB each, leatd before them %.1f MiB (wanted <= 32 KiB)\n",
      idle.count, idle.kib_each, idle.kib_before / 1024);
  std::vector<double> ready, acked;
  for (int i = 0; i < 5; ++i) {
    const FirstAck first = first_kafka_ack(leatd, fresh("start" + std::to_string(i)));
    ready.push_back(first.ready_ms);
    acked.push_back(first.acked_ms);
  }
  std::printf(
      "leatd started: ready after %.0f ms, librdkafka's first record acknowledged after %.0f ms, "
      "in a topic that it creates (median of 5; wanted <= 100 ms)\n",
      median(ready), median(acked));
}

void run(const Wanted& wanted) {
  const WorkDirectory directory(wanted.tmpfs);
  rates(wanted, directory.path());
  if (wanted.broker.empty()) starts(directory.path());
}

}  // namespace
}  // namespace leat::bench

int main(int argc, char** argv) {
  leat::bench::Wanted wanted;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    const bool valued = i + 1 < argc;
    if (option == "--tmpfs") {
      wanted.tmpfs = true;
    } else if (option == "--embedded") {
      wanted.embedded = true;
    } else if (option == "--records" && valued) {
      wanted.records = std::strtoull(argv[++i], nullptr, 10);
    } else if (option == "--turns" && valued) {
      wanted.turns = std::max(1, std::atoi(argv[++i]));
    } else if (option == "--broker" && valued) {
      wanted.broker = argv[++i];
    } else {
      std::cerr << "usage: leat-kafka [--records N] [--turns N] [--embedded | --broker HOST:PORT] "
                   "[--tmpfs]\n";
      return 2;
    }
  }
  try {
    leat::bench::run(wanted);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench: " << error.what() << "\n";
    return 1;
  }
}
