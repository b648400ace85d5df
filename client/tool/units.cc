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

constexpr Unit kDurations[] = {{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}};
constexpr Unit kSizes[] = {{"", 1}, {"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};

}  // namespace

CLI::Validator durations() {
  constexpr std::int64_t kDay = 24 * 3'600'000;
  return in_units(kDurations, kDay, "a duration up to 24h, such as 500ms or 10s");
}

CLI::Validator sizes(std::int64_t most, const char* expected) {
  return in_units(kSizes, most, expected);
}

Result<TopicConfig> parse_durability(std::string_view text) {
  if (text == "sync") return TopicConfig{};
  if (text == "memory") return TopicConfig{Durability::kMemory, {}};
  constexpr std::string_view kInterval = "interval=";
  if (text.starts_with(kInterval))
    if (const auto ms = with_unit(text.substr(kInterval.size()), kDurations))
      return TopicConfig{Durability::kInterval, std::chrono::milliseconds(*ms)};
  return fail(ErrorCode::kUsage,
              "--durability takes sync, memory or a bounded loss such as "
              "interval=100ms; not '" +
                  std::string(text) + "'");
}

std::string durability_text(const TopicConfig& config) {
  switch (config.durability) {
    case Durability::kSync:
      return "sync";
    case Durability::kInterval:
      return "interval=" + std::to_string(config.interval.count()) + "ms";
    case Durability::kMemory:
      return "memory";
  }
  return "unknown";
}

}  // namespace leat::tool
