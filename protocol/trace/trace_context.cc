#include "protocol/trace/trace_context.h"

#include <algorithm>
#include <array>

namespace leat {
namespace {

constexpr std::size_t kParentBytes = 55;  // 00-TRACE-SPAN-FLAGS
constexpr std::size_t kMaxStateMembers = 32, kMaxStateKey = 256, kMaxStateValue = 256;

void put_hex(std::string& text, std::uint64_t value) {
  static constexpr std::string_view digits = "0123456789abcdef";
  for (int shift = 60; shift >= 0; shift -= 4) text += digits[(value >> shift) & 15];
}

// At most 16 digits, lower case only.
std::optional<std::uint64_t> read_hex(std::string_view text) {
  std::uint64_t value = 0;
  for (const char c : text) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return std::nullopt;
    value = value << 4 | static_cast<std::uint64_t>(digit);
  }
  return value;
}

bool is_lower_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool valid_state_key(std::string_view key) {
  if (key.empty() || key.size() > kMaxStateKey || !is_lower_or_digit(key.front())) return false;
  return std::ranges::all_of(key, [](char c) {
    return is_lower_or_digit(c) || c == '_' || c == '-' || c == '*' || c == '/' || c == '@';
  });
}

bool valid_state_value(std::string_view value) {
  if (value.empty() || value.size() > kMaxStateValue || value.back() == ' ') return false;
  return std::ranges::all_of(value, [](char c) { return c >= ' ' && c <= '~' && c != '='; });
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace

std::optional<TraceContext> parse_traceparent(std::string_view text) {
  if (text.size() < kParentBytes || text[2] != '-' || text[35] != '-' || text[52] != '-')
    return std::nullopt;
  const auto version = read_hex(text.substr(0, 2)), high = read_hex(text.substr(3, 16)),
             low = read_hex(text.substr(19, 16)), span = read_hex(text.substr(36, 16)),
             flags = read_hex(text.substr(53, 2));
  if (!version || !high || !low || !span || !flags || *version == 0xff) return std::nullopt;
  const bool longer = text.size() > kParentBytes;
  if (longer && (*version == 0 || text[kParentBytes] != '-')) return std::nullopt;
  const TraceContext context{
      {*high, *low},
      {*span},
      static_cast<std::uint8_t>(*flags & (TraceContext::kSampled | TraceContext::kRandom))};
  if (!context.trace || !context.span) return std::nullopt;
  return context;
}

std::string format_traceparent(const TraceContext& context) {
  std::string text;
  text.reserve(kParentBytes);
  text += "00-";
  put_hex(text, context.trace.high);
  put_hex(text, context.trace.low);
  text += '-';
  put_hex(text, context.span.value);
  text += "-0";
  text += static_cast<char>('0' + (context.flags & 3));
  return text;
}

bool valid_tracestate(std::string_view text) {
  if (text.size() > kMaxTraceStateBytes) return false;
  std::array<std::string_view, kMaxStateMembers> keys;
  std::size_t members = 0;
  for (std::string_view rest = text;;) {
    const auto comma = rest.find(',');
    const std::string_view member = trimmed(rest.substr(0, comma));
    if (!member.empty()) {
      const auto equals = member.find('=');
      if (equals == std::string_view::npos || members == kMaxStateMembers) return false;
      const std::string_view key = member.substr(0, equals);
      if (!valid_state_key(key) || !valid_state_value(member.substr(equals + 1))) return false;
      const auto known = keys.begin() + static_cast<std::ptrdiff_t>(members);
      if (std::find(keys.begin(), known, key) != known) return false;
      keys[members++] = key;
    }
    if (comma == std::string_view::npos) return members > 0;
    rest.remove_prefix(comma + 1);
  }
}

std::string hex(const TraceId& id) {
  std::string text;
  put_hex(text, id.high);
  put_hex(text, id.low);
  return text;
}

std::string hex(const SpanId& id) {
  std::string text;
  put_hex(text, id.value);
  return text;
}

SpanId TraceIds::span() {
  SpanId id;
  while (!id) id.value = first_.next();
  return id;
}

TraceId TraceIds::trace() {
  TraceId id;
  while (!id) id = {first_.next(), second_.next()};
  return id;
}

}  // namespace leat
