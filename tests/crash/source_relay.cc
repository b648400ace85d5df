// A relay to be killed: source_relay URL CONFIRMED RECORDS PATIENCE_MS sends the records of a
// source, the numbers 1 to RECORDS, that lie behind the number in the file CONFIRMED, and notes
// there, now and then, up to where all are acked. Tells each so many on standard output. Exits with
// 0 when it has sent all, with 1 when it has to begin anew. For the crash tests alone.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "client/blocking.h"

namespace {

constexpr int kPartitions = 3;
constexpr std::uint64_t kConfirmedEach = 200, kToldEach = 25;

std::uint64_t read_number(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  file >> number;
  return number;
}

void write_number(const std::string& path, std::uint64_t number) {
  std::ofstream(path + ".new", std::ios::trunc) << number;
  std::filesystem::rename(path + ".new", path);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace leat;
  using std::chrono::milliseconds;
  if (argc != 5) return 2;
  const std::string confirmed = argv[2];
  const std::uint64_t records = std::stoull(argv[3]);
  const milliseconds patience(std::stoi(argv[4]));
  auto client = blocking::Client::connect({.broker = argv[1]});
  if (!client || !client->create_topic("events", kPartitions, true)) return 1;
  auto producer = client->producer(Topic{"events"}, {.linger = milliseconds(0),
                                                     .batch_bytes = 20'000,
                                                     .delivery_timeout = patience,
                                                     .source = "crash"});
  if (!producer) return 1;
  std::atomic<bool> failed{false};
  for (std::uint64_t at = read_number(confirmed) + 1; at <= records; ++at) {
    std::string value = std::to_string(at);
    value.resize(3'000, '.');
    const auto partition = PartitionIndex(static_cast<std::int32_t>(at % kPartitions));
    const auto sent = (*producer)->send({.value = as_bytes(value),
                                         .partition = partition,
                                         .source_position = SourcePosition{at, 0}},
                                        [&failed](const Result<Ack>& ack) {
                                          if (!ack) failed = true;
                                        });
    if (!sent) return 1;
    if (at % kToldEach == 0) std::cout << at << std::endl;
    if (at % kConfirmedEach != 0 && at != records) continue;
    if (!(*producer)->flush(2 * patience) || failed) return 1;
    write_number(confirmed, at);
  }
  return 0;
}
