// `leat dlq redrive`: dead letters go back to where they came from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "client/tool/dlq/dead_letter.h"
#include "client/tool/tool.h"

namespace leat::tool {

struct RedriveOptions {
  std::string topic;  // of dead letters
  LetterFilter filter;
  std::uint64_t count = 0;     // at most; 0: all
  std::optional<double> rate;  // a second
  bool dry_run = false, yes = false;
};

// Sends back what the filter means, and acks in the group of redrives what was acknowledged: broken
// off in between, a record is sent twice at worst. Returns the exit code.
int redrive(const Context& context, const RedriveOptions& options);

}  // namespace leat::tool
