// Durations and sizes, as people write them behind a flag.
#include <charconv>

#include "client/tool/tool.h"

namespace leat::tool {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

// The number that `text` is, in the smallest unit, or nothing.
std::optional<std::int64_t> with_unit(std::string_view text, std::span<const Unit> units) {
  std::int64_t number = 0, value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const Unit& known : units)
    if (unit == known.name && !__builtin_mul_overflow(number, known.factor, &value)) return value;
  return std::nullopt;
}

// In the largest unit that leaves nothing over.
std::string in_unit(std::int64_t value, std::span<const Unit> units) {
  const Unit* unit = &units.front();
  for (const Unit& larger : units)
    if (value != 0 && value % larger.factor == 0) unit = &larger;
  return std::to_string(value / unit->factor) + std::string(unit->name);
}

CLI::Validator in_units(std::span<const Unit> units, std::int64_t most, const char* expected) {
  return CLI::Validator(
      [units, most, expected](std::string& text) {
        const auto value = with_unit(text, units);
        if (!value || *value > most)
          return "expected " + std::string(expected) + ", not '" + text + "'";
        text = std::to_string(*value);
        return std::string();
      },
      "");
}

constexpr Unit kDurations[] = {
    {"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
constexpr Unit kSizes[] = {{"", 1},          {"B", 1},         {"KiB", 1 << 10},
                           {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", std::int64_t{1} << 40}};

}  // namespace

CLI::Validator durations() {
  constexpr std::int64_t kDay = 24 * 3'600'000;
  return durations(kDay, "a duration up to 24h, such as 500ms or 10s");
}

CLI::Validator durations(std::int64_t most_ms, const char* expected) {
  return in_units(kDurations, most_ms, expected);
}

CLI::Validator sizes(std::int64_t most, const char* expected) {
  return in_units(kSizes, most, expected);
}

std::optional<std::int64_t> parse_duration_ms(std::string_view text) {
  return with_unit(text, kDurations);
}
std::optional<std::int64_t> parse_size(std::string_view text) {
  return with_unit(text, kSizes);
}
std::string duration_text(std::int64_t ms) {
  return in_unit(ms, kDurations);
}
std::string size_text(std::int64_t bytes) {
  return in_unit(bytes, std::span(kSizes).subspan(1));
}

}  // namespace leat::tool
