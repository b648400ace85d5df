#include "client/patterns/inbox.h"

#include <algorithm>

#include "client/patterns/tables.h"
#include "protocol/reserved_headers.h"

namespace leat::patterns {
namespace {

// An index by time, or SQLite's by number, would be one more page to write in each transaction:
// what is old is looked for in the order of ids instead, of which leat_inbox_sweep says how far.
const TableSet kInboxTables = {.name = "inbox",
                               .version = 2,
                               .sqlite = R"(
CREATE TABLE IF NOT EXISTS leat_inbox (
  consumer TEXT NOT NULL, message_id BLOB NOT NULL, processed_ms INTEGER NOT NULL,
  PRIMARY KEY (consumer, message_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leat_inbox_sweep (
  consumer TEXT PRIMARY KEY, behind BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leat_inbox_position (
  consumer TEXT NOT NULL, topic_id TEXT NOT NULL, partition INTEGER NOT NULL,
  epoch INTEGER NOT NULL, record_offset INTEGER NOT NULL,
  PRIMARY KEY (consumer, topic_id, partition)) WITHOUT ROWID;
)",
                               .postgres = R"(
CREATE TABLE IF NOT EXISTS leat_inbox (
  consumer TEXT NOT NULL, message_id BYTEA NOT NULL, processed_ms BIGINT NOT NULL,
  PRIMARY KEY (consumer, message_id));
CREATE TABLE IF NOT EXISTS leat_inbox_sweep (
  consumer TEXT PRIMARY KEY, behind BYTEA NOT NULL);
CREATE TABLE IF NOT EXISTS leat_inbox_position (
  consumer TEXT NOT NULL, topic_id TEXT NOT NULL, partition BIGINT NOT NULL,
  epoch BIGINT NOT NULL, record_offset BIGINT NOT NULL,
  PRIMARY KEY (consumer, topic_id, partition));
)",
                               .upgrades = {{.sqlite = R"(
ALTER TABLE leat_inbox RENAME TO leat_inbox_1;
CREATE TABLE leat_inbox (
  consumer TEXT NOT NULL, message_id BLOB NOT NULL, processed_ms INTEGER NOT NULL,
  PRIMARY KEY (consumer, message_id)) WITHOUT ROWID;
INSERT INTO leat_inbox SELECT consumer, message_id, processed_ms FROM leat_inbox_1
  ORDER BY consumer, message_id;
DROP TABLE leat_inbox_1;
CREATE TABLE leat_inbox_sweep (
  consumer TEXT PRIMARY KEY, behind BLOB NOT NULL) WITHOUT ROWID;
)",
                                             .postgres = R"(
DROP INDEX IF EXISTS leat_inbox_age;
CREATE TABLE leat_inbox_sweep (consumer TEXT PRIMARY KEY, behind BYTEA NOT NULL);
)"}}};

// For each id that may be forgotten so many are looked at: what keeps up with a consumer's records
// then goes through them all ten times in a window, if all are to be forgotten at its end.
constexpr std::int64_t kLookedAt = 10, kMostForgotten = 1'000'000;

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
  if (auto ok = ensure_tables(database, kInboxTables); !ok) return fail(ok.error());
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

// Sweeps through the ids in their order, on from where the last call stopped, whose ever that was.
// Two that come at once look at the same, which one of them then forgets.
Result<std::int64_t> Inbox::clean_up(Timestamp now, std::int64_t most) {
  most = std::clamp<std::int64_t>(most, 1, kMostForgotten);
  const std::int64_t before = (now - options_.window).time_since_epoch().count();
  auto tx = Transaction::begin(*database_);
  if (!tx) return fail(tx.error());
  const auto swept = database_->execute("SELECT behind FROM leat_inbox_sweep WHERE consumer = $1",
                                        {options_.consumer});
  if (!swept) return fail(swept.error());
  const Bytes behind = swept->empty() ? Bytes() : swept->bytes(0, 0);
  // The last that may be forgotten, or looked at; null: there are not so many.
  const auto last = database_->execute(
      "WITH looked_at AS (SELECT message_id, processed_ms FROM leat_inbox "
      "WHERE consumer = $1 AND message_id > $2 ORDER BY message_id LIMIT $4) "
      "SELECT coalesce((SELECT message_id FROM looked_at WHERE processed_ms < $3 "
      "ORDER BY message_id LIMIT 1 OFFSET $5), "
      "(SELECT message_id FROM looked_at ORDER BY message_id LIMIT 1 OFFSET $6))",
      {options_.consumer, behind, before, most * kLookedAt, most - 1, most * kLookedAt - 1});
  if (!last) return fail(last.error());
  const Bytes upto = last->bytes(0, 0);
  const std::string forget =
      "DELETE FROM leat_inbox WHERE consumer = $1 AND message_id > $2 AND processed_ms < $3";
  const auto forgotten = upto.empty()
                             ? database_->execute(forget, {options_.consumer, behind, before})
                             : database_->execute(forget + " AND message_id <= $4",
                                                  {options_.consumer, behind, before, upto});
  if (!forgotten) return fail(forgotten.error());
  if (as_text(upto) != as_text(behind))
    if (auto kept =
            database_->execute("INSERT INTO leat_inbox_sweep VALUES ($1, $2) "
                               "ON CONFLICT (consumer) DO UPDATE SET behind = excluded.behind",
                               {options_.consumer, upto});
        !kept)
      return fail(kept.error());
  if (auto ok = tx->commit(); !ok) return fail(ok.error());
  return forgotten->affected();
}

}  // namespace leat::patterns
