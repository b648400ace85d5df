// An edge collector: stores sensor readings in a broker inside the process and forwards them when
// somebody takes them. When its space is used up it refuses new readings and keeps the old
// (max_stored_bytes); the application decides what to do then.
//
//   embedded DIRECTORY
#include <cstdio>
#include <string>
#include <thread>

#include "server/server.h"

using namespace std::chrono_literals;

namespace {

// One reading after the other; false when the store is full.
bool collect(leat::blocking::Producer& producer, int readings) {
  for (int i = 0; i < readings; ++i) {
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

// The uplink, when there is one: hands on what is stored, commits what was taken.
int forward(leat::blocking::Client& client) {
  auto consumer = client.consumer({.topics = {"readings"}, .group = leat::Group{"uplink"}});
  if (!consumer) return 0;
  int taken = 0;
  for (;;) {
    const auto records = (*consumer)->poll(200ms);
    if (!records || records->empty()) return taken;
    taken += static_cast<int>(records->size());
    if (auto ok = (*consumer)->commit(); !ok) return taken;
  }
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
  if (!client || !client->create_topic("readings", 1, true)) return 1;
  auto producer = client->producer(leat::Topic{"readings"}, {.linger = 0ms});
  if (!producer) return 1;

  std::printf("stored 200 readings: %s\n", collect(**producer, 200) ? "yes" : "no");
  std::printf("forwarded %d\n", forward(*client));
  std::printf("stored 2000 more: %s\n", collect(**producer, 2'000) ? "yes" : "no, it is full");
  std::printf("forwarded %d more\n", forward(*client));
  return 0;
}
