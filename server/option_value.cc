// What people write for an option, and how it is written down for them.
#include <algorithm>
#include <charconv>

#include "server/options.h"

namespace leat {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t factor;
};
// The first of a factor's names is the one that is written.
constexpr Unit kSizes[] = {
    {"TiB", std::int64_t{1} << 40}, {"GiB", 1 << 30},  {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1},
    {"GB", 1'000'000'000},          {"MB", 1'000'000}, {"KB", 1'000},
};
constexpr Unit kDurations[] = {{"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}};

std::span<const Unit> units_of(OptionType type) {
  if (type == OptionType::kSize) return kSizes;
  if (type == OptionType::kDuration) return kDurations;
  return {};
}

bool same(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, {}, [](unsigned char c) { return std::tolower(c); },
      [](unsigned char c) { return std::tolower(c); });
}

// "64MiB" -> bytes, "500ms" -> milliseconds. Only a size may go without a unit.
std::optional<std::int64_t> parse_number(std::string_view text, OptionType type) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return std::nullopt;
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (unit.starts_with(' ')) unit.remove_prefix(1);
  if (unit.empty() && type != OptionType::kDuration) return number;
  for (const Unit& known : units_of(type)) {
    std::int64_t value;
    if (!same(unit, known.name)) continue;
    if (__builtin_mul_overflow(number, known.factor, &value)) return std::nullopt;
    return value;
  }
  return std::nullopt;
}

// In the largest unit that leaves no rest.
std::string number_text(std::int64_t value, OptionType type) {
  for (const Unit& unit : units_of(type))
    if (value % unit.factor == 0 && (value != 0 || unit.factor == 1))
      return std::to_string(value / unit.factor) + std::string(unit.name);
  return std::to_string(value);
}

std::string listed(std::string_view choices) {
  std::string text(choices);
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
    text.replace(at, 1, ", ");
  return text;
}

bool is_choice(std::string_view choices, std::string_view word) {
  for (std::string_view rest = choices; !rest.empty();) {
    const std::size_t bar = std::min(rest.find('|'), rest.size());
    if (rest.substr(0, bar) == word) return true;
    rest.remove_prefix(std::min(bar + 1, rest.size()));
  }
  return false;
}

}  // namespace

std::string toml_text(std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string toml = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      toml += '\\';
      toml += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      toml += std::string("\\u00") + kDigits[byte >> 4] + kDigits[byte & 15];
    } else {
      toml += c;
    }
  }
  return toml + "\"";
}

std::string toml_of(const Option& option, const OptionValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* text = std::get_if<std::string>(&value)) return toml_text(*text);
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    const std::string text = number_text(*number, option.type);
    return option.type == OptionType::kCount ? text : toml_text(text);
  }
  std::string list;
  for (const std::string& item : std::get<std::vector<std::string>>(value))
    list += (list.empty() ? "" : ", ") + toml_text(item);
  return "[" + list + "]";
}

std::string range_of(const Option& option) {
  if (option.type == OptionType::kChoice) return listed(option.choices);
  if (option.type != OptionType::kCount && option.type != OptionType::kSize &&
      option.type != OptionType::kDuration)
    return {};
  return number_text(option.least, option.type) + " to " + number_text(option.most, option.type);
}

std::string expectation(const Option& option) {
  switch (option.type) {
    case OptionType::kFlag:
      return "true or false";
    case OptionType::kCount:
      return "a whole number such as " + std::to_string(std::max<std::int64_t>(option.least, 100));
    case OptionType::kSize:
      return "a size such as \"64MiB\"";
    case OptionType::kDuration:
      return "a duration such as \"500ms\" or \"10s\"";
    case OptionType::kChoice:
      return "one of " + listed(option.choices) + ", in quotes";
    case OptionType::kText:
      return "text in quotes";
    case OptionType::kList:
      return "a list such as [\"leat://127.0.0.1:5328\"]";
  }
  return {};
}

Result<OptionValue> parse_value(const Option& option, std::string_view text) {
  OptionValue value;
  switch (option.type) {
    case OptionType::kFlag:
      if (text != "true" && text != "false") break;
      return OptionValue(text == "true");
    case OptionType::kText:
      return OptionValue(std::string(text));
    case OptionType::kChoice:
      if (!is_choice(option.choices, text)) break;
      return OptionValue(std::string(text));
    case OptionType::kList:
      return OptionValue(std::vector<std::string>{std::string(text)});
    case OptionType::kCount:
    case OptionType::kSize:
    case OptionType::kDuration:
      if (const auto number = parse_number(text, option.type)) return OptionValue(*number);
      break;
  }
  return fail(ErrorCode::kUsage, "expected " + expectation(option) + ", not " + toml_text(text));
}

Result<> check_value(const Option& option, const OptionValue& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value))
    if (*number < option.least || *number > option.most)
      return fail(ErrorCode::kUsage,
                  number_text(*number, option.type) + " is out of range: " + range_of(option));
  if (const auto* text = std::get_if<std::string>(&value))
    if (option.type == OptionType::kChoice && !is_choice(option.choices, *text))
      return fail(ErrorCode::kUsage, toml_text(*text) + " is none of: " + range_of(option));
  return {};
}

const Option* find_option(std::string_view key) {
  const auto found = std::ranges::find(option_table(), key, &Option::key);
  return found == option_table().end() ? nullptr : &*found;
}

std::string flag_of(const Option& option) {
  std::string flag = "--" + std::string(option.key);
  std::ranges::replace_if(
      flag, [](char c) { return c == '.' || c == '_'; }, '-');
  return flag;
}

}  // namespace leat
