// What lies in an outbox, as the records that a relay would make of it.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "client/patterns/relay/outbox_row.h"
#include "client/patterns/sql/database.h"
#include "tests/client/patterns/some_records.h"

namespace leat::patterns {

struct Message {
  std::string topic, key, id, value;
  std::vector<std::pair<std::string, std::string>> headers;
  std::optional<std::int64_t> deliver_at_ms;

  std::string header(std::string_view name) const {
    for (const auto& [header, content] : headers)
      if (header == name) return content;
    return "";
  }
  SomeRecord record() const {
    SomeRecord record(0);
    record.id(id).value(value);
    for (const auto& [header, content] : headers) record.header(header, content);
    return record;
  }
};

inline Message message_of(const OutboxRow& row) {
  auto routed = RoutedRow::route(row, "{aggregatetype}");
  EXPECT_TRUE(routed) << (routed ? "" : routed.error().message());
  const Record& record = routed->record();
  Message message{.topic = record.topic.name,
                  .key = std::string(as_text(record.key.value_or(Bytes()))),
                  .id = std::string(row.id),
                  .value = std::string(as_text(record.value.value_or(Bytes()))),
                  .headers = {},
                  .deliver_at_ms = row.deliver_at_ms};
  for (const RecordHeader& header : record.headers)
    message.headers.emplace_back(header.key, as_text(header.value.value_or(Bytes())));
  return message;
}

// All that is there, in its order; it is there no more.
inline std::vector<Message> take_outbox(Database& database) {
  const std::string id = database.dialect() == SqlDialect::kPostgres ? "id::text" : "id";
  auto rows = database.execute("SELECT sequence, " + id +
                               ", aggregatetype, aggregateid, type, payload, headers, traceparent, "
                               "deliver_at_ms FROM leat_outbox ORDER BY sequence");
  EXPECT_TRUE(rows) << (rows ? "" : rows.error().message());
  std::vector<Message> messages;
  for (std::size_t i = 0; rows && i < rows->size(); ++i) {
    OutboxRow row{.sequence = rows->integer(i, 0),
                  .id = rows->text(i, 1),
                  .aggregate_type = rows->text(i, 2),
                  .aggregate_id = rows->text(i, 3),
                  .type = rows->text(i, 4),
                  .headers = rows->text(i, 6)};
    if (!rows->is_null(i, 5)) row.payload = rows->bytes(i, 5);
    if (!rows->is_null(i, 7)) row.traceparent = rows->text(i, 7);
    if (!rows->is_null(i, 8)) row.deliver_at_ms = rows->integer(i, 8);
    messages.push_back(message_of(row));
  }
  EXPECT_TRUE(database.execute("DELETE FROM leat_outbox"));
  return messages;
}

}  // namespace leat::patterns
