// The configuration file: TOML, read by the option table, and topics.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/options.h"

namespace leat {

// One option as somebody set it.
struct Setting {
  const Option* option;
  OptionValue value;
};

// What a file says.
struct Configuration {
  std::vector<Setting> settings;
  std::vector<broker::TopicDeclaration> topics;
};

// `text` is the file's, `name` what messages call it. Errors: kUsage, each with file, line, column,
// what is wrong and what would be right: syntax, duplicate and unknown keys, types, ranges.
Result<Configuration> parse_config(std::string_view text, const std::string& name);

// Errors besides: kNotFound, kNotAllowed, kIoError.
Result<Configuration> read_config(const std::string& path);

}  // namespace leat
