// A row of the outbox on its way to the broker: which record it becomes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/records.h"

namespace leat::patterns {

// Borrows from where it was read.
struct OutboxRow {
  std::int64_t sequence = 0;
  std::string_view id, aggregate_type, aggregate_id, type;
  std::optional<Bytes> payload;
  std::string_view headers;  // as headers_text() has them
  std::optional<std::string_view> traceparent;
  std::optional<std::int64_t> deliver_at_ms;
};

// What a row becomes: topic from the pattern, key from the aggregate's id, the message id as id,
// headers "type", "traceparent" and the row's own. Borrows from the row and from itself.
class RoutedRow {
 public:
  // `pattern` names the topic, with {aggregatetype} or {type} in it replaced.
  // Error: kInvalidRequest, headers that cannot be read.
  static Result<RoutedRow> route(const OutboxRow& row, std::string_view pattern);

  const Record& record() const { return record_; }

 private:
  explicit RoutedRow(Topic topic, const OutboxRow& row);
  Result<> add_headers(std::string_view text);

  std::vector<std::string> decoded_;  // what the headers lie in
  Record record_;
};

// Of two hexadecimal digits; nothing if one is none.
std::optional<char> read_hex_byte(char high, char low);

}  // namespace leat::patterns
