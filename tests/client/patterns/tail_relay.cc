// A relay that tails the log, to be killed: tail_relay BROKER CONNECTION PARTITIONS. For the tests
// alone.
#include <iostream>
#include <string>

#include "client/patterns/relay/outbox_tail.h"

int main(int argc, char** argv) {
  using namespace leat;
  if (argc != 4) return 2;
  auto client = blocking::Client::connect({.broker = argv[1]});
  if (!client) return 1;
  patterns::OutboxTailOptions options;
  options.slot.connection = argv[2];
  options.publish.partitions = std::stoi(argv[3]);
  options.rows = 50;
  options.on_problem = [](const Error& why) { std::cerr << why.message() << std::endl; };
  auto tail = patterns::OutboxTail::open(*client, options);
  if (!tail) return 1;
  (*tail)->run();
}
