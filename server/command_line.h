// leatd's command line: flags from the option table, laid over the configuration file.
#pragma once

#include <optional>
#include <string>

#include "server/options.h"

namespace leat {

enum class Task { kServe, kCheck, kRepair };

struct CommandLine {
  DaemonOptions options;
  Task task = Task::kServe;
  std::optional<std::string> print = {};  // instead of running: help, version, configuration
};

// Errors: kUsage, and those of read_config().
Result<CommandLine> parse_command_line(int argc, const char* const* argv);

}  // namespace leat
