// What it costs to carry a context, and to trace: the same records sent, read in batches, and taken
// one by one with an ack each, without any of it (twice, which shows how far runs differ), with a
// context, and with spans of one in a hundred and of all, which are written to /dev/null.
#include <algorithm>
#include <array>
#include <cstdio>
#include <future>
#include <iostream>
#include <string>
#include <vector>

#include <asio.hpp>

#include "bench/measure.h"
#include "client/blocking.h"
#include "client/client.h"
#include "server/server.h"

namespace leat::bench {
namespace {

constexpr std::size_t kValueBytes = 100;
constexpr int kRounds = 5;
constexpr double kShares[] = {0.01, 1};

struct Mode {
  const char* name;
  bool context = false;
  double traced = 0;
};
constexpr std::array<Mode, 5> kModes{{{"nothing"},
                                      {"nothing, once more"},
                                      {"a context"},
                                      {"spans of 1 %", false, kShares[0]},
                                      {"spans of all", false, kShares[1]}}};

// Of one round, in microseconds of processor time a record, of client and broker together.
struct Costs {
  double send = 0, poll = 0, next = 0;
};

class Tracing {
 public:
  Tracing(const std::string& directory, int records)
      : server_(must(Server::open({.data_dir = directory + "/data"}))), records_(records) {}

  void run() {
    std::array<std::vector<Costs>, kModes.size()> seen;
    // Turn and turn about, so that what else goes on meets all.
    for (int round = 0; round < kRounds; ++round)
      for (std::size_t i = 0; i < kModes.size(); ++i) seen[i].push_back(measure(kModes[i]));
    std::printf("us of processor time a record of %zu B, medians of %d rounds of %d records\n\n",
                kValueBytes, kRounds, records_);
    std::printf("%-22s %14s %14s %14s\n", "", "send", "poll", "next, ack");
    const Costs none = median(seen[0]);
    for (std::size_t i = 0; i < kModes.size(); ++i) {
      const Costs costs = median(seen[i]);
      std::printf("%-22s %7.3f (%4.2f) %7.3f (%4.2f) %7.3f (%4.2f)\n", kModes[i].name, costs.send,
                  costs.send / none.send, costs.poll, costs.poll / none.poll, costs.next,
                  costs.next / none.next);
    }
    std::printf("\n%llu spans written, %llu dropped by a full queue\n",
                static_cast<unsigned long long>(exported_),
                static_cast<unsigned long long>(dropped_));
  }

 private:
  static Costs median(const std::vector<Costs>& rounds) {
    const auto of = [&](double Costs::*part) {
      std::vector<double> all;
      for (const Costs& costs : rounds) all.push_back(costs.*part);
      std::nth_element(all.begin(), all.begin() + kRounds / 2, all.end());
      return all[kRounds / 2];
    };
    return {of(&Costs::send), of(&Costs::poll), of(&Costs::next)};
  }

  template <class Work>
  double cost_of(Work work) const {
    const Used before = used();
    work();
    return (used() - before).cpu_seconds * 1e6 / records_;
  }

  // Without the disk: topics whose records are acknowledged in memory.
  Costs measure(const Mode& mode) {
    ClientOptions options;
    if (mode.traced > 0) {
      options.trace.endpoint = "file:///dev/null";
      options.trace.sample = mode.traced;
    }
    auto client = must(server_->connect_local(options));
    const std::string topic = "records" + std::to_string(++topics_);
    must(client.create_topic(topic, 1, false, {.durability = Durability::kMemory}));
    Costs costs;
    costs.send = cost_of([&] { send(client, topic, mode); });
    costs.poll = cost_of([&] { poll(client, topic); });
    costs.next = cost_of([&] { next(client.async(), topic); });
    const TraceStats stats = client.async().trace_stats();
    exported_ += stats.exported;
    dropped_ += stats.dropped;
    must(client.delete_topic(topic));
    return costs;
  }

  void send(blocking::Client& client, const std::string& topic, const Mode& mode) const {
    auto producer = must(client.producer(Topic{topic}, {}));
    const std::string value(kValueBytes, 'v');
    OutgoingRecord record{.value = as_bytes(value)};
    if (mode.context)
      record.context = std::make_shared<MessageContext>(MessageContext::begin("flow-1"));
    for (int i = 0; i < records_; ++i) must(producer->send(record, {}));
    must(producer->flush(std::chrono::seconds(60)));
  }

  void poll(blocking::Client& client, const std::string& topic) const {
    auto consumer = must(client.consumer({.topics = {topic}}));
    for (int seen = 0; seen < records_;)
      seen += static_cast<int>(must(consumer->poll(std::chrono::seconds(60))).size());
  }

  void next(Client client, const std::string& topic) const {
    asio::io_context io;
    ConsumerOptions options{.topics = {topic}, .kind = GroupKind::kShared};
    Consumer consumer = client.consumer(Group{"measuring"}, options);
    asio::co_spawn(io, take(consumer, records_), asio::detached);
    io.run();
    consumer.close(asio::use_future).get();
  }
  static asio::awaitable<void> take(Consumer& consumer, int records) {
    for (int i = 0; i < records; ++i) {
      const SharedRecord record = co_await consumer.next();
      record.ack(asio::detached);
    }
  }

  std::unique_ptr<Server> server_;
  const int records_;
  int topics_ = 0;
  std::size_t exported_ = 0, dropped_ = 0;
};

}  // namespace
}  // namespace leat::bench

int main(int argc, char** argv) {
  using namespace leat::bench;
  try {
    const int records = argc > 1 ? std::stoi(argv[1]) : 200'000;
    const WorkDirectory directory(true);  // nothing waits for the disk
    Tracing(directory.path(), records).run();
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "leat-tracing: " << error.what() << "\n";
    return 1;
  }
}
