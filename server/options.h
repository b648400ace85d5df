// leatd's options: one table (options.cc) from which come the keys of the configuration file, the
// flags, --help, --print-config and docs/configuration.md (rule 15).
//
// To add one: put the field into the struct it belongs to, with its default, and one row into the
// table. Run `leatd --help-config > docs/configuration.md`; the tests do the rest.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/base/clock.h"
#include "server/server.h"

namespace leat {

// What leatd is told: the server's options, and the daemon's own.
struct DaemonOptions {
  ServerOptions server{.listen = {"leat://127.0.0.1:5328", "kafka://127.0.0.1:9092"}};
  std::vector<std::string> topics;  // NAME or NAME:PARTITIONS, beside those in server.topics
  bool dev = false;
  std::string log_level = "info";
  std::string profile = "default";
};

enum class OptionType { kFlag, kCount, kSize, kDuration, kText, kChoice, kList };

// A value on its way from text to its field: sizes in bytes, durations in milliseconds.
using OptionValue = std::variant<bool, std::int64_t, std::string, std::vector<std::string>>;

// The field an option sets: a bool for kFlag, a string for kText and kChoice, a list for kList, any
// of the others for numbers.
using OptionField =
    std::variant<bool*, std::int32_t*, std::size_t*, Duration*, std::chrono::milliseconds*,
                 std::string*, std::vector<std::string>*>;

struct Option {
  std::string_view key;  // in the file: "limits.batch_bytes"; the flag is --limits-batch-bytes
  OptionType type;
  std::string_view help;
  OptionField (*field)(DaemonOptions&);
  // kCount, kSize, kDuration: the range, in bytes or milliseconds.
  std::int64_t least = 0, most = std::numeric_limits<std::int64_t>::max();
  std::string_view choices = {};  // kChoice: "debug|info"
  std::string_view edge = {};     // the default under profile = "edge", where it is another one
  std::string_view kafka = {};    // what Kafka calls it
};

std::span<const Option> option_table();
const Option* find_option(std::string_view key);
std::string flag_of(const Option& option);  // "--limits-batch-bytes"

OptionValue value_of(const Option& option, const DaemonOptions& options);
// `value` is of the option's type and has passed check_value().
void set_value(const Option& option, const OptionValue& value, DaemonOptions& options);

// What a person wrote behind a flag. Errors: kUsage, naming what was expected.
Result<OptionValue> parse_value(const Option& option, std::string_view text);
// Range and choices. Error: kUsage.
Result<> check_value(const Option& option, const OptionValue& value);
std::string toml_text(std::string_view text);  // in quotes
// As the configuration file has it: "64MiB" in quotes, 10000, true, ["a", "b"].
std::string toml_of(const Option& option, const OptionValue& value);
// "a size such as \"64MiB\""
std::string expectation(const Option& option);
// "1KiB to 64MiB", "debug, info"; empty where everything is allowed.
std::string range_of(const Option& option);

// Defaults, with the profile's laid over them.
DaemonOptions default_options(std::string_view profile);

// The one of `known` that `word` is most likely meant to be, or nothing.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> known);

}  // namespace leat
