#include "client/patterns/relay/outbox_row.h"

#include <algorithm>

namespace leat::patterns {
namespace {

std::optional<int> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

// RFC 3986, section 2.1. Nothing: a '%' without two digits.
std::optional<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const auto byte = read_hex_byte(text[i + 1], text[i + 2]);
    if (!byte) return std::nullopt;
    decoded += *byte;
    i += 2;
  }
  return decoded;
}

std::string replaced(std::string_view pattern, std::string_view name, std::string_view by) {
  std::string text(pattern);
  if (const std::size_t at = text.find(name); at != std::string::npos)
    text.replace(at, name.size(), by);
  return text;
}

}  // namespace

std::optional<char> read_hex_byte(char high, char low) {
  const auto upper = hex_digit(high), lower = hex_digit(low);
  if (!upper || !lower) return std::nullopt;
  return static_cast<char>(*upper * 16 + *lower);
}

RoutedRow::RoutedRow(Topic topic, const OutboxRow& row)
    : record_(std::move(topic), OutgoingRecord{.key = as_bytes(row.aggregate_id),
                                               .value = row.payload,
                                               .id = as_bytes(row.id)}) {
  if (row.deliver_at_ms)
    record_.deliver_at = Timestamp(std::chrono::milliseconds(*row.deliver_at_ms));
  if (!row.type.empty()) record_.headers.push_back({"type", as_bytes(row.type)});
  if (row.traceparent) record_.headers.push_back({"traceparent", as_bytes(*row.traceparent)});
}

Result<RoutedRow> RoutedRow::route(const OutboxRow& row, std::string_view pattern) {
  RoutedRow routed(
      Topic(replaced(replaced(pattern, "{aggregatetype}", row.aggregate_type), "{type}", row.type)),
      row);
  if (auto ok = routed.add_headers(row.headers); !ok) return fail(ok.error());
  return routed;
}

Result<> RoutedRow::add_headers(std::string_view text) {
  if (text.empty()) return {};
  decoded_.reserve(2 * (1 + static_cast<std::size_t>(std::ranges::count(text, '&'))));
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t end = std::min(text.find('&', from), text.size());
    const std::string_view pair = text.substr(from, end - from);
    from = end + 1;
    const std::size_t equals = pair.find('=');
    auto key = percent_decoded(pair.substr(0, equals));
    auto value = percent_decoded(equals == pair.npos ? "" : pair.substr(equals + 1));
    if (!key || key->empty() || !value)
      return fail(ErrorCode::kInvalidRequest,
                  "the column headers holds '" + std::string(pair.substr(0, 60)) +
                      "', where NAME=VALUE is wanted, percent-encoded and joined by &");
    RecordHeader header;
    header.key = decoded_.emplace_back(std::move(*key));
    if (equals != pair.npos) header.value = as_bytes(decoded_.emplace_back(std::move(*value)));
    record_.headers.push_back(header);
  }
  return {};
}

}  // namespace leat::patterns
