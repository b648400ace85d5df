// The tables of the outbox and of its relays.
#pragma once

#include "client/patterns/tables.h"

namespace leat::patterns {

// Aggregates are divided into so many lanes, which relays lease. What a lane publishes is numbered
// in rounds, so that it can be published again after a crash, and is stored once.
constexpr int outbox_lanes(SqlDialect dialect) {
  return dialect == SqlDialect::kPostgres ? 8 : 1;  // SQLite has one writer at a time anyway
}
// What is notified when events were committed, PostgreSQL.
inline constexpr const char* kOutboxChannel = "leat_outbox";

// Who has all lanes while the log is read, as if it were a relay's name.
inline constexpr std::string_view kTailHolder = "log tailing";

TableSet outbox_tables();
// What notifies, PostgreSQL.
TableSet outbox_notify();

}  // namespace leat::patterns
