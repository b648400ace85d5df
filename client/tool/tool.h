// What the verbs of `leat` share: the connection, and how errors become exit codes.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "client/blocking.h"

namespace leat::tool {

// Waits are cut into slices: so soon is a signal seen, and for so many slices what is under way may
// end.
inline constexpr auto kSignalSlice = std::chrono::milliseconds(200);
inline constexpr int kSlicesAfterSignal = 5;

// Options in front of every verb.
struct Context {
  std::string broker = "leat://127.0.0.1:5328";
  std::chrono::milliseconds timeout{10'000};

  Result<blocking::Client> connect() const {
    return blocking::Client::connect(
        {.broker = broker,
         .client_name = "leat",
         .connect_timeout = std::min(timeout, std::chrono::milliseconds(5'000)),
         .request_timeout = timeout});
  }
};

// Each verb registers itself; what it does runs after parsing and gives the exit code.
using Run = std::function<int()>;
void add_topic(CLI::App& app, Context& context, Run& run);
void add_trim(CLI::App& topic, Context& context, Run& run);
void add_produce(CLI::App& app, Context& context, Run& run);
void add_consume(CLI::App& app, Context& context, Run& run);
void add_ping(CLI::App& app, Context& context, Run& run);
void add_dlq(CLI::App& app, Context& context, Run& run);
void add_group(CLI::App& app, Context& context, Run& run);
void add_reset(CLI::App& app, Context& context, Run& run);
void add_snapshot(CLI::App& app, Context& context, Run& run);
void add_completion(CLI::App& app, Run& run);

// Transform what a flag is given: "500ms", "10s" to milliseconds, "64KiB" to bytes.
CLI::Validator durations();
CLI::Validator durations(std::int64_t most_ms, const char* expected);
CLI::Validator sizes(std::int64_t most, const char* expected);
// The same of a text, and back, in the largest unit that fits.
std::optional<std::int64_t> parse_duration_ms(std::string_view text);
std::optional<std::int64_t> parse_size(std::string_view text);
std::string duration_text(std::int64_t ms);
std::string size_text(std::int64_t bytes);

// One line on stderr; returns the error's exit code.
int failed(const std::string& doing, const Error& error);
int usage_failed(const std::string& what);
// Whether all output reached stdout; says why not, unless its reader has gone away.
bool flush_output();

// {"version":1,"NAME":VALUE} and a newline. Scripts rely on it: fields may be added, and the
// version rises when one changes its meaning or goes. Returns 0.
int print_json(const char* name, const std::string& value);
// Asks, on a terminal; true where there is nobody to ask.
bool confirmed(const std::string& question);

// 0, or 128 + the signal's number, once SIGINT or SIGTERM arrived. Verbs that go on for long look.
int interrupted();
// For a verb with a handler of its own: what interrupted() is to know. Async-signal-safe.
void note_signal(int signal);

}  // namespace leat::tool
