#include "client/patterns/inbox.h"

#include "client/patterns/tables.h"
#include "protocol/reserved_headers.h"

namespace leat::patterns {
namespace {

// Rows of SQLite are numbered as they come, so the oldest are found without an index of times;
// those of PostgreSQL lie as they came, which is what BRIN needs.
const TableSet kTables = {.name = "inbox",
                          .version = 1,
                          .sqlite = R"(
CREATE TABLE IF NOT EXISTS leat_inbox (
  number INTEGER PRIMARY KEY, consumer TEXT NOT NULL, message_id BLOB NOT NULL,
  processed_ms INTEGER NOT NULL, UNIQUE (consumer, message_id));
CREATE TABLE IF NOT EXISTS leat_inbox_position (
  consumer TEXT NOT NULL, topic_id TEXT NOT NULL, partition INTEGER NOT NULL,
  epoch INTEGER NOT NULL, record_offset INTEGER NOT NULL,
  PRIMARY KEY (consumer, topic_id, partition)) WITHOUT ROWID;
)",
                          .postgres = R"(
CREATE TABLE IF NOT EXISTS leat_inbox (
  consumer TEXT NOT NULL, message_id BYTEA NOT NULL, processed_ms BIGINT NOT NULL,
  PRIMARY KEY (consumer, message_id));
CREATE INDEX IF NOT EXISTS leat_inbox_age ON leat_inbox USING brin (processed_ms);
CREATE TABLE IF NOT EXISTS leat_inbox_position (
  consumer TEXT NOT NULL, topic_id TEXT NOT NULL, partition BIGINT NOT NULL,
  epoch BIGINT NOT NULL, record_offset BIGINT NOT NULL,
  PRIMARY KEY (consumer, topic_id, partition));
)"};

std::string hours(std::chrono::milliseconds time) {
  return std::to_string(std::chrono::duration_cast<std::chrono::hours>(time).count()) + " hours";
}

Result<> check(const InboxOptions& options) {
  if (options.consumer.empty() || options.consumer.size() > 255)
    return fail(ErrorCode::kInvalidConfig,
                "InboxOptions::consumer is 1 to 255 bytes: say whose inbox it is");
  if (options.by == InboxBy::kMessageId && options.window < options.redrive_horizon)
    return fail(ErrorCode::kInvalidConfig,
                "ids are remembered for " + hours(options.window) +
                    ", but dead letters may be redriven for " + hours(options.redrive_horizon) +
                    ", and would be processed twice: make InboxOptions::window as long");
  return {};
}

}  // namespace

std::string message_id(const ConsumedRecord& record) {
  if (const auto id = record.headers.find(reserved_headers::kId);
      id && id->value && !id->value->empty())
    return std::string(as_text(*id->value));
  return (record.topic_id ? record.topic_id->to_string() : std::string(record.topic)) + "/" +
         std::to_string(record.partition.value) + "/" + std::to_string(record.offset.value);
}

Result<Inbox> Inbox::open(Database& database, InboxOptions options) {
  if (auto ok = check(options); !ok) return fail(ok.error());
  if (auto ok = ensure_tables(database, kTables); !ok) return fail(ok.error());
  return Inbox(database, std::move(options));
}

Result<bool> Inbox::begin(const ConsumedRecord& record) {
  auto rows = options_.by == InboxBy::kMessageId ? remember_id(record) : remember_position(record);
  if (!rows) return fail(rows.error());
  if (rows->affected() > 0) return true;
  database_->rollback();
  ++swallowed_;
  return false;
}

Result<SqlRows> Inbox::remember_id(const ConsumedRecord& record) {
  const std::string id = message_id(record);
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const SqlValue values[] = {options_.consumer, as_bytes(id), now.time_since_epoch().count()};
  return database_->begin_with(
      "INSERT INTO leat_inbox (consumer, message_id, processed_ms) VALUES ($1, $2, $3) "
      "ON CONFLICT DO NOTHING",
      values);
}

// Epochs are raised where a crash cut the log: what then has an offset again is another record.
Result<SqlRows> Inbox::remember_position(const ConsumedRecord& record) {
  if (!record.topic_id)
    return fail(ErrorCode::kInvalidRequest, "the record does not say which topic it is from");
  const std::string topic = record.topic_id->to_string();
  const SqlValue values[] = {options_.consumer, topic, std::int64_t(record.partition.value),
                             std::int64_t(record.leader_epoch), record.offset.value};
  return database_->begin_with(
      "INSERT INTO leat_inbox_position AS known (consumer, topic_id, partition, epoch, "
      "record_offset) VALUES ($1, $2, $3, $4, $5) "
      "ON CONFLICT (consumer, topic_id, partition) DO UPDATE "
      "SET epoch = excluded.epoch, record_offset = excluded.record_offset "
      "WHERE (known.epoch, known.record_offset) < (excluded.epoch, excluded.record_offset)",
      values);
}

Result<> Inbox::commit() {
  return database_->commit();
}

void Inbox::rollback() {
  database_->rollback();
}

Result<std::int64_t> Inbox::clean_up(Timestamp now, std::int64_t most) {
  const std::int64_t before = (now - options_.window).time_since_epoch().count();
  auto tx = Transaction::begin(*database_);
  if (!tx) return fail(tx.error());
  auto rows = database_->execute(
      database_->dialect() == SqlDialect::kPostgres
          ? "DELETE FROM leat_inbox WHERE ctid = ANY(ARRAY(SELECT ctid FROM leat_inbox "
            "WHERE processed_ms < $1 AND consumer = $2 LIMIT $3))"
          // Oldest first, as far as the first that is young enough.
          : "DELETE FROM leat_inbox WHERE number IN (SELECT number FROM (SELECT number, "
            "processed_ms FROM leat_inbox WHERE consumer = $2 ORDER BY number LIMIT $3) "
            "WHERE processed_ms < $1)",
      {before, options_.consumer, most});
  if (!rows) return fail(rows.error());
  if (auto ok = tx->commit(); !ok) return fail(ok.error());
  return rows->affected();
}

}  // namespace leat::patterns
