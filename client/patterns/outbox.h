// Transactional outbox: an event is a row of the caller's own database, written in the transaction
// that changes the business rows, so that both are there or neither. A relay (patterns/relay/,
// `leat outbox relay`) publishes what was committed.
//
//   auto outbox = Outbox::open(database);
//   database.begin();
//   database.execute("UPDATE orders SET state = 'paid' WHERE id = $1", {42});   // locks the row
//   outbox->add({.aggregate_type = "order", .aggregate_id = "42", .type = "OrderPaid",
//                .payload = bytes(json)});
//   database.commit();
//
// Events of one aggregate are published in the order of their rows. So that this is the order of
// the commits, write the event after the business row it is about, whose lock then holds others
// back. Columns have the names that Debezium's outbox event router expects:
// https://debezium.io/documentation/reference/stable/transformations/outbox-event-router.html
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/patterns/sql/database.h"
#include "client/records.h"

namespace leat::patterns {

// Borrows.
struct OutboxEvent {
  std::string_view aggregate_type;  // decides the topic: 1 to 200 bytes
  std::string_view aggregate_id;    // the record's key
  std::string_view type;            // of the event; the header "type"
  std::optional<Bytes> payload;     // the record's value; absent: null
  // The message id, a UUID as text; empty: a new one.
  std::string_view id = {};
  // Correlation ids and traceparent among them; those of the thread's MessageScope are added.
  std::vector<RecordHeader> headers = {};
  std::optional<Timestamp> deliver_at = {};
};

struct OutboxOptions {
  // Each commit with events wakes the relays at once (PostgreSQL's NOTIFY), which otherwise look
  // only now and then. A trigger of the table, made once; costs committers a shared lock.
  bool notify = true;
};

// One thread at a time, as its database.
class Outbox {
 public:
  // Makes the table leat_outbox unless it is there. `database` outlives the outbox.
  // Errors: kDatabaseSchema (a table of another version), and Database's.
  static Result<Outbox> open(Database& database, const OutboxOptions& options = {});

  // Inside a transaction of the caller's; the event's id.
  // Errors: kInvalidRequest (no transaction; no aggregate type; an id that is no UUID), and
  // Database's.
  Result<std::string> add(const OutboxEvent& event);

 private:
  explicit Outbox(Database& database) : database_(&database) {}
  Database* database_;
};

// A random (version 4) UUID, from the kernel.
std::string new_message_id();

// Headers as the column `headers` holds them, for people and SQL to read and write: "a=1&b=x%20y",
// in the order of the record; one without '=' is null.
std::string headers_text(const std::vector<RecordHeader>& headers);

}  // namespace leat::patterns
