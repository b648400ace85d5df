// An edge collector: stores sensor readings and alarms in a broker inside the process, and forwards
// them when somebody takes them. Its space is bounded (max_stored_bytes). When that is used up
// while the uplink is down, old readings make room for new ones (OnFull::kDropOldest); an alarm is
// never dropped: it is refused, so that the application knows and can act.
//
//   embedded DIRECTORY
#include <cstdio>
#include <string>
#include <thread>

#include "server/server.h"

using namespace std::chrono_literals;

namespace {

// One record after the other; false when the store is full.
bool collect(leat::blocking::Producer& producer, int records) {
  for (int i = 0; i < records; ++i) {
    const std::string celsius = std::to_string(20 + i % 7) + "." + std::to_string(i % 10);
    const auto ack =
        producer.send_and_wait({.key = leat::as_bytes("cellar"), .value = leat::as_bytes(celsius)});
    if (!ack && ack.error().code == leat::ErrorCode::kNoSpace) return false;
    if (!ack) {
      std::fprintf(stderr, "embedded: %s\n", ack.error().message().c_str());
      return false;
    }
  }
  return true;
}

struct Forwarded {
  int taken = 0;
  long long missed = 0;  // gone before the uplink came
};

// The uplink, when there is one: hands on what is stored, commits what was taken, and gives its
// space back.
Forwarded forward(leat::blocking::Client& client, const std::string& topic) {
  Forwarded result;
  auto consumer = client.consumer({.topics = {topic}, .group = leat::Group{"uplink"}});
  if (!consumer) return result;
  for (;;) {
    const auto records = (*consumer)->poll(200ms);
    if (!records || records->empty()) break;
    result.taken += static_cast<int>(records->size());
    if (auto ok = (*consumer)->commit(); !ok) break;
    const auto& last = records->back();
    if (!client.delete_records({topic, last.partition}, last.offset + 1)) break;
  }
  result.missed = (*consumer)->skipped();
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: embedded DIRECTORY\n");
    return 2;
  }
  leat::ServerOptions options{.data_dir = argv[1], .memory_bytes = 16 << 20};
  options.limits.broker.max_stored_bytes = 64 << 10;
  auto server = leat::Server::open(options);
  if (!server) {
    std::fprintf(stderr, "embedded: %s\n", server.error().message().c_str());
    return leat::error_info(server.error().code).exit_status;
  }
  auto client = (*server)->connect_local();
  const leat::TopicConfig drop_oldest{.on_full = leat::OnFull::kDropOldest};
  if (!client || !client->create_topic("readings", 1, true, drop_oldest) ||
      !client->create_topic("alarms", 1, true))
    return 1;
  auto readings = client->producer(leat::Topic{"readings"}, {.linger = 0ms});
  auto alarms = client->producer(leat::Topic{"alarms"}, {.linger = 0ms});
  if (!readings || !alarms) return 1;

  std::printf("stored 200 readings: %s\n", collect(**readings, 200) ? "yes" : "no");
  std::printf("forwarded %d\n", forward(*client, "readings").taken);
  std::printf("stored 2000 more: %s\n", collect(**readings, 2'000) ? "yes" : "no");
  const Forwarded rest = forward(*client, "readings");
  std::printf("forwarded %d more, %lld had made room\n", rest.taken, rest.missed);
  std::printf("stored 2000 alarms: %s\n", collect(**alarms, 2'000) ? "yes" : "no, it is full");
  std::printf("forwarded %d alarms\n", forward(*client, "alarms").taken);
  return 0;
}
