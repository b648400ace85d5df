#include "client/patterns/saga/saga_store.h"

#include <algorithm>

#include "client/patterns/tables.h"

namespace leat::patterns {
namespace {

const TableSet kSagaTables = {.name = "saga",
                              .version = 1,
                              .sqlite = R"(
CREATE TABLE IF NOT EXISTS leat_saga (
  id TEXT PRIMARY KEY, definition TEXT NOT NULL, version INTEGER NOT NULL, status TEXT NOT NULL,
  step TEXT NOT NULL, attempt INTEGER NOT NULL, backs_off INTEGER NOT NULL, done TEXT NOT NULL,
  data BLOB NOT NULL, why TEXT NOT NULL, reply_to TEXT NOT NULL, flow TEXT NOT NULL,
  traceparent TEXT NOT NULL, tracestate TEXT NOT NULL, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,
  deadline_ms INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS leat_saga_status ON leat_saga (status, updated_ms);
CREATE TABLE IF NOT EXISTS leat_saga_event (
  saga TEXT NOT NULL, version INTEGER NOT NULL, at_ms INTEGER NOT NULL, what TEXT NOT NULL,
  step TEXT NOT NULL, status TEXT NOT NULL, sent TEXT NOT NULL, detail TEXT NOT NULL,
  PRIMARY KEY (saga, version)) WITHOUT ROWID;
)",
                              .postgres = R"(
CREATE TABLE IF NOT EXISTS leat_saga (
  id TEXT PRIMARY KEY, definition TEXT NOT NULL, version BIGINT NOT NULL, status TEXT NOT NULL,
  step TEXT NOT NULL, attempt BIGINT NOT NULL, backs_off BIGINT NOT NULL, done TEXT NOT NULL,
  data BYTEA NOT NULL, why TEXT NOT NULL, reply_to TEXT NOT NULL, flow TEXT NOT NULL,
  traceparent TEXT NOT NULL, tracestate TEXT NOT NULL, created_ms BIGINT NOT NULL, updated_ms BIGINT NOT NULL,
  deadline_ms BIGINT NOT NULL);
CREATE INDEX IF NOT EXISTS leat_saga_status ON leat_saga (status, updated_ms);
CREATE TABLE IF NOT EXISTS leat_saga_event (
  saga TEXT NOT NULL, version BIGINT NOT NULL, at_ms BIGINT NOT NULL, what TEXT NOT NULL,
  step TEXT NOT NULL, status TEXT NOT NULL, sent TEXT NOT NULL, detail TEXT NOT NULL,
  PRIMARY KEY (saga, version));
)"};

constexpr std::string_view kColumns =
    "id, definition, version, status, step, attempt, backs_off, done, why, reply_to, flow, "
    "traceparent, tracestate, created_ms, updated_ms, deadline_ms";
constexpr std::size_t kData = 16;  // behind them, where it is asked for

std::int64_t ms(Timestamp time) {
  return time.time_since_epoch().count();
}
Timestamp time(std::int64_t ms) {
  return Timestamp(std::chrono::milliseconds(ms));
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ",") + name;
  return text;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> names;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    names.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return names;
}

Result<SagaStatus> read_status(std::string_view id, std::string_view text) {
  if (const auto status = saga_status(text)) return *status;
  return fail(ErrorCode::kDatabaseSchema, "saga '" + std::string(id) + "' has the status '" +
                                              std::string(text) + "', which there is not");
}

Result<SagaRow> saga_at(const SqlRows& rows, std::size_t i) {
  const auto status = read_status(rows.text(i, 0), rows.text(i, 3));
  if (!status) return fail(status.error());
  return SagaRow{.state = {.id = std::string(rows.text(i, 0)),
                           .data = {},
                           .step = std::string(rows.text(i, 4)),
                           .attempt = static_cast<std::uint32_t>(rows.integer(i, 5))},
                 .definition = std::string(rows.text(i, 1)),
                 .status = *status,
                 .backs_off = rows.integer(i, 6) != 0,
                 .done = split(rows.text(i, 7)),
                 .why = std::string(rows.text(i, 8)),
                 .reply_to = std::string(rows.text(i, 9)),
                 .flow = std::string(rows.text(i, 10)),
                 .traceparent = std::string(rows.text(i, 11)),
                 .tracestate = std::string(rows.text(i, 12)),
                 .version = rows.integer(i, 2),
                 .created = time(rows.integer(i, 13)),
                 .updated = time(rows.integer(i, 14)),
                 .deadline = time(rows.integer(i, 15))};
}

}  // namespace

Result<SagaStore> SagaStore::open(Database& database) {
  if (auto ok = ensure_tables(database, kSagaTables); !ok) return fail(ok.error());
  return SagaStore(database);
}

Result<SagaStore> SagaStore::existing(Database& database) {
  auto found =
      database.execute("SELECT version FROM leat_schema WHERE name = $1", {kSagaTables.name});
  if (!found && !(found.error() == ErrorCode::kDatabaseSchema)) return fail(found.error());
  if (!found || found->empty())
    return fail(ErrorCode::kDatabaseSchema,
                "the database has no sagas (no table leat_saga): is it the one of the service "
                "that runs them?");
  return open(database);
}

Result<bool> SagaStore::insert(const SagaRow& row, const SagaEvent& event) {
  const std::string done = joined(row.done);
  auto inserted = database_->execute(
      "INSERT INTO leat_saga (id, definition, version, status, step, attempt, backs_off, done, "
      "data, why, reply_to, flow, traceparent, tracestate, created_ms, updated_ms, deadline_ms) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) "
      "ON CONFLICT (id) DO NOTHING",
      {row.state.id, row.definition, row.version, name_of(row.status), row.state.step,
       std::int64_t(row.state.attempt), std::int64_t(row.backs_off), std::string_view(done),
       bytes(row.state.data), row.why, row.reply_to, row.flow, row.traceparent, row.tracestate,
       ms(row.created), ms(row.updated), ms(row.deadline)});
  if (!inserted) return fail(inserted.error());
  if (inserted->affected() == 0) return false;
  if (auto ok = remember(row.state.id, event); !ok) return fail(ok.error());
  return true;
}

Result<> SagaStore::change(const SagaRow& row, const SagaEvent& event) {
  const std::string done = joined(row.done);
  auto changed = database_->execute(
      "UPDATE leat_saga SET version = $2, status = $3, step = $4, attempt = $5, backs_off = $6, "
      "done = $7, data = $8, why = $9, updated_ms = $10, deadline_ms = $11 "
      "WHERE id = $1 AND version = $12",
      {row.state.id, row.version, name_of(row.status), row.state.step,
       std::int64_t(row.state.attempt), std::int64_t(row.backs_off), std::string_view(done),
       bytes(row.state.data), row.why, ms(row.updated), ms(row.deadline), row.version - 1});
  if (!changed) return fail(changed.error());
  if (changed->affected() == 0)
    return fail(ErrorCode::kDatabaseConflict,
                "saga '" + row.state.id + "' was changed by somebody else meanwhile");
  return remember(row.state.id, event);
}

Result<> SagaStore::remember(std::string_view id, const SagaEvent& event) {
  auto written = database_->execute(
      "INSERT INTO leat_saga_event (saga, version, at_ms, what, step, status, sent, detail) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
      {id, event.version, ms(event.at), event.what, event.step, name_of(event.status), event.sent,
       event.detail});
  if (!written) return fail(written.error());
  return {};
}

Result<std::optional<SagaRow>> SagaStore::find(std::string_view id) {
  static const std::string select =
      "SELECT " + std::string(kColumns) + ", data FROM leat_saga WHERE id = $1";
  auto rows = database_->execute(select, {id});
  if (!rows) return fail(rows.error());
  if (rows->empty()) return std::optional<SagaRow>();
  auto row = saga_at(*rows, 0);
  if (!row) return fail(row.error());
  row->state.data = rows->text(0, kData);
  return std::optional<SagaRow>(std::move(*row));
}

Result<std::vector<SagaRow>> SagaStore::list(const SagaFilter& filter) {
  std::vector<SqlValue> values = {filter.most};
  const auto parameter = [&](SqlValue value) {
    values.push_back(value);
    return "$" + std::to_string(values.size());
  };
  std::string where;
  const auto with = [&](const std::string& condition) {
    where += (where.empty() ? " WHERE " : " AND ") + condition;
  };
  if (filter.status) with("status = " + parameter(name_of(*filter.status)));
  if (!filter.definition.empty())
    with("definition = " + parameter(std::string_view(filter.definition)));
  if (filter.overdue_at)
    with("status IN ('running', 'compensating') AND deadline_ms < " +
         parameter(ms(*filter.overdue_at)));
  auto rows = database_->execute("SELECT " + std::string(kColumns) + " FROM leat_saga" + where +
                                     " ORDER BY updated_ms DESC, id LIMIT $1",
                                 values);
  if (!rows) return fail(rows.error());
  std::vector<SagaRow> sagas;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto row = saga_at(*rows, i);
    if (!row) return fail(row.error());
    sagas.push_back(std::move(*row));
  }
  return sagas;
}

Result<std::vector<SagaEvent>> SagaStore::history(std::string_view id) {
  auto rows = database_->execute(
      "SELECT version, at_ms, what, step, status, sent, detail FROM leat_saga_event "
      "WHERE saga = $1 ORDER BY version",
      {id});
  if (!rows) return fail(rows.error());
  std::vector<SagaEvent> events;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    const auto status = read_status(id, rows->text(i, 4));
    if (!status) return fail(status.error());
    events.push_back({.version = rows->integer(i, 0),
                      .at = time(rows->integer(i, 1)),
                      .what = std::string(rows->text(i, 2)),
                      .step = std::string(rows->text(i, 3)),
                      .status = *status,
                      .sent = std::string(rows->text(i, 5)),
                      .detail = std::string(rows->text(i, 6))});
  }
  return events;
}

Result<std::int64_t> SagaStore::clean_up(Timestamp before, std::int64_t most) {
  auto tx = Transaction::begin(*database_);
  if (!tx) return fail(tx.error());
  auto gone = database_->execute(
      "DELETE FROM leat_saga WHERE id IN (SELECT id FROM leat_saga WHERE "
      "status IN ('completed', 'compensated') AND updated_ms < $1 ORDER BY updated_ms LIMIT $2) "
      "RETURNING id",
      {ms(before), most});
  if (!gone) return fail(gone.error());
  for (std::size_t i = 0; i < gone->size(); ++i)
    if (auto done =
            database_->execute("DELETE FROM leat_saga_event WHERE saga = $1", {gone->text(i, 0)});
        !done)
      return fail(done.error());
  if (auto ok = tx->commit(); !ok) return fail(ok.error());
  return static_cast<std::int64_t>(gone->size());
}

}  // namespace leat::patterns
