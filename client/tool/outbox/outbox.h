// The verbs of `leat outbox`.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "client/tool/tool.h"

namespace leat::tool {

void add_relay(CLI::App& app, Context& context, Run& run);
void add_outbox_ls(CLI::App& app, Run& run);
void add_outbox_retry(CLI::App& app, Run& run);

// What `leat outbox relay` is told.
struct RelayOptions {
  std::string database, topic = "{aggregatetype}", name;
  std::int32_t partitions = 1;
  std::int64_t rows = 2'000, lease_ms = 10'000, look_again_ms = 1'000;
  bool keep = false, once = false;
  // With --tail.
  bool tail = false, begin_anew = false, remove_slot = false;
  std::string slot = "leat_outbox", publication = "leat_outbox";
};

// Reads PostgreSQL's log. The exit status.
int tail_outbox(const Context& context, const RelayOptions& given);

// `stop` is called, perhaps by a signal handler, when the program is to end, until `run` returns.
void run_until_stopped(void (*stop)(), const std::function<void()>& run);
void say_of_relay(const std::string& line);

}  // namespace leat::tool
