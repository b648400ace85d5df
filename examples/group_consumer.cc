// A member of a group, on a thread that waits: reads its share of a topic, commits what it has
// printed, and says what moves. Start several; stop them with Ctrl-C.
//
//   group_consumer URL TOPIC GROUP [RECORDS]: ends after so many
#include <csignal>
#include <cstdlib>
#include <iostream>

#include "client/blocking.h"

namespace {
volatile std::sig_atomic_t g_stop = 0;

void say(const char* what, std::span<const leat::TopicPartition> partitions) {
  std::cerr << what;
  for (const auto& partition : partitions) std::cerr << " " << partition.partition.value;
  std::cerr << "\n";
}

int failed(const leat::Error& error) {
  std::cerr << "group_consumer: " << error.message() << "\n";
  return 1;
}
}  // namespace

int main(int argc, char** argv) {
  using namespace leat;
  if (argc != 4 && argc != 5) {
    std::cerr << "usage: group_consumer URL TOPIC GROUP [RECORDS]\n";
    return 2;
  }
  std::signal(SIGINT, [](int) { g_stop = 1; });
  long left = argc == 5 ? std::atol(argv[4]) : -1;

  auto client = blocking::Client::connect({.broker = argv[1]});
  if (!client) return failed(client.error());
  ConsumerOptions options{.topics = {argv[2]}, .group = Group{argv[3]}};
  options.on_assigned = [](auto partitions) { say("reading", partitions); };
  options.on_revoked = [](auto partitions) { say("giving back", partitions); };
  options.on_lost = [](auto partitions) { say("too late for", partitions); };
  auto consumer = client->consumer(options);
  if (!consumer) return failed(consumer.error());

  while (!g_stop && left != 0) {
    auto records = (*consumer)->poll(std::chrono::milliseconds(200));
    if (!records) return failed(records.error());
    std::vector<PartitionOffset> done;
    for (const ConsumedRecord& record : *records) {
      std::cout << as_text(record.value.value_or(Bytes())) << "\n";
      done = {{std::string(record.topic), record.partition, record.offset + 1}};
      if (--left == 0) break;
    }
    if (done.empty()) continue;
    std::cout.flush();
    // Refused when others have the partition by now, who print these again.
    if (auto ok = (*consumer)->commit(done); !ok) std::cerr << ok.error().message() << "\n";
  }
  return 0;
}
