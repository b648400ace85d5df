#include "client/tool/start.h"

#include <charconv>
#include <limits>

namespace leat::tool {
namespace {

using std::chrono::milliseconds;

template <class T>
bool whole_number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

// `digits` of them, and the separator behind, if any.
bool take_number(std::string_view& text, std::size_t digits, int& value, char separator = '\0') {
  if (text.size() < digits || text[0] == '-' || !whole_number(text.substr(0, digits), value))
    return false;
  text.remove_prefix(digits);
  if (separator == '\0') return true;
  if (text.empty() || text[0] != separator) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<milliseconds> take_fraction(std::string_view& text) {
  if (text.empty() || text[0] != '.') return milliseconds(0);
  std::size_t end = 1;
  int scale = 100, fraction = 0;
  for (; end < text.size() && text[end] >= '0' && text[end] <= '9'; ++end, scale /= 10)
    fraction += (text[end] - '0') * scale;
  if (end == 1) return std::nullopt;
  text.remove_prefix(end);
  return milliseconds(fraction);
}

std::optional<std::chrono::minutes> zone(std::string_view text) {
  if (text == "Z" || text == "z") return std::chrono::minutes(0);
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  const int sign = text[0] == '-' ? -1 : 1;
  int hours = 0, minutes = 0;
  text.remove_prefix(1);
  if (!take_number(text, 2, hours, ':') || !take_number(text, 2, minutes)) return std::nullopt;
  return std::chrono::minutes(sign * (hours * 60 + minutes));
}

Error unknown(std::string_view flag, const char* known, std::string_view text) {
  return {ErrorCode::kUsage,
          std::string(flag) + " takes " + known + "; not '" + std::string(text) + "'"};
}

}  // namespace

std::optional<Timestamp> parse_time(std::string_view text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (!take_number(text, 4, year, '-') || !take_number(text, 2, month, '-') ||
      !take_number(text, 2, day))
    return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  const Timestamp midnight = std::chrono::sys_days(date);
  if (text.empty()) return midnight;
  if (text[0] != 'T' && text[0] != 't' && text[0] != ' ') return std::nullopt;
  text.remove_prefix(1);
  if (!take_number(text, 2, hour, ':') || !take_number(text, 2, minute, ':') ||
      !take_number(text, 2, second) || hour > 23 || minute > 59 || second > 60)
    return std::nullopt;
  const auto fraction = take_fraction(text);
  const auto east = zone(text);
  if (!fraction || !east) return std::nullopt;
  return midnight + std::chrono::hours(hour) + std::chrono::minutes(minute) - *east +
         std::chrono::seconds(second) + *fraction;
}

Result<StartFrom> parse_start(std::string_view text, std::string_view flag) {
  if (text.empty() || text == "start" || text == "earliest") return StartFrom::earliest();
  if (text == "end" || text == "latest") return StartFrom::latest();
  if (const auto time = parse_time(text)) return StartFrom::time(*time);
  std::int64_t value = 0;
  if (!whole_number(text, value))
    return fail(unknown(
        flag, "earliest (start), latest (end), OFFSET, -N or a time like 2026-01-31T12:00:00Z",
        text));
  if (value == std::numeric_limits<std::int64_t>::min()) return StartFrom::earliest();
  return value < 0 ? StartFrom::last(-value) : StartFrom::offset(value);
}

Result<StartFrom> parse_since(std::string_view text, std::string_view flag, Timestamp now) {
  if (const auto time = parse_time(text)) return StartFrom::time(*time);
  constexpr std::pair<char, std::int64_t> kUnits[] = {
      {'s', 1'000}, {'m', 60'000}, {'h', 3'600'000}, {'d', 86'400'000}};
  std::int64_t count = 0, past = 0;
  for (const auto& [unit, factor] : kUnits)
    if (text.ends_with(unit) && whole_number(text.substr(0, text.size() - 1), count) &&
        count >= 0 && !__builtin_mul_overflow(count, factor, &past))
      return StartFrom::time(now - milliseconds(past));
  return fail(unknown(flag, "90s, 10m, 2h, 7d or a time like 2026-01-31T12:00:00Z", text));
}

Result<std::vector<PartitionIndex>> parse_partitions(std::string_view text) {
  constexpr std::int32_t kMost = 100'000;
  std::vector<PartitionIndex> partitions;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    const std::size_t dash = part.find('-');
    std::int32_t first = 0, last = 0;
    const bool good = whole_number(part.substr(0, dash), first) &&
                      whole_number(dash == part.npos ? part : part.substr(dash + 1), last);
    if (!good || first < 0 || last < first || last > kMost)
      return fail(unknown("--partitions", "0-3 or 0,2", part));
    for (auto i = first; i <= last; ++i) partitions.emplace_back(i);
  }
  return partitions;
}

Result<Offset> resolve(blocking::Client& client, const TopicDescription& topic,
                       PartitionIndex partition, const StartFrom& to) {
  const auto index = static_cast<std::size_t>(partition.value);
  if (partition.value < 0 || index >= topic.partitions.size())
    return fail(ErrorCode::kUnknownPartition, std::to_string(partition.value) + "; topic '" +
                                                  topic.name + "' has partitions 0 to " +
                                                  std::to_string(topic.partitions.size() - 1));
  const auto& bounds = topic.partitions[index];
  switch (to.kind) {
    case StartFrom::Kind::kEarliest:
      break;
    case StartFrom::Kind::kLatest:
      return bounds.high_watermark;
    case StartFrom::Kind::kLast:
      return std::max(bounds.log_start, bounds.high_watermark + -to.value);
    case StartFrom::Kind::kTime: {
      auto found = client.find_offset({topic.name, partition},
                                      Timestamp(std::chrono::milliseconds(to.value)));
      if (!found) return fail(found.error());
      return found->offset;
    }
    case StartFrom::Kind::kOffset:
      if (to.value >= bounds.log_start.value && to.value <= bounds.high_watermark.value)
        return Offset(to.value);
      return fail(ErrorCode::kOffsetOutOfRange,
                  std::to_string(to.value) + "; partition " + std::to_string(partition.value) +
                      " of '" + topic.name + "' holds " + std::to_string(bounds.log_start.value) +
                      " to " + std::to_string(bounds.high_watermark.value));
  }
  return bounds.log_start;
}

}  // namespace leat::tool
