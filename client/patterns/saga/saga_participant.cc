#include "client/patterns/saga/saga_participant.h"

#include "client/patterns/tables.h"

namespace leat::patterns {
namespace {

const TableSet kCommandTables = {.name = "saga command",
                                 .version = 1,
                                 .sqlite = R"(
CREATE TABLE IF NOT EXISTS leat_saga_command (
  participant TEXT NOT NULL, definition TEXT NOT NULL, saga TEXT NOT NULL, step TEXT NOT NULL,
  state TEXT NOT NULL, answer BLOB NOT NULL, handled_ms INTEGER NOT NULL,
  PRIMARY KEY (participant, definition, saga, step)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS leat_saga_command_age ON leat_saga_command (participant, handled_ms);
)",
                                 .postgres = R"(
CREATE TABLE IF NOT EXISTS leat_saga_command (
  participant TEXT NOT NULL, definition TEXT NOT NULL, saga TEXT NOT NULL, step TEXT NOT NULL,
  state TEXT NOT NULL, answer BYTEA NOT NULL, handled_ms BIGINT NOT NULL,
  PRIMARY KEY (participant, definition, saga, step));
CREATE INDEX IF NOT EXISTS leat_saga_command_age ON leat_saga_command (participant, handled_ms);
)"};

// Of the column `state`; 'new' is seen only by the transaction that wrote it.
constexpr std::string_view kStates[] = {"new", "done", "refused", "undone"};

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Result<SagaParticipant> SagaParticipant::open(Database& database, Outbox outbox, std::string name) {
  if (name.empty() || name.size() > 255)
    return fail(ErrorCode::kInvalidConfig,
                "a participant's name is 1 to 255 bytes: say whose commands they are");
  if (auto ok = ensure_tables(database, kCommandTables); !ok) return fail(ok.error());
  return SagaParticipant(database, outbox, std::move(name));
}

Result<> SagaParticipant::handle(const ConsumedRecord& record, const SagaHandler& handler) {
  if (!database_->in_transaction())
    return fail(ErrorCode::kInvalidRequest,
                "handle() belongs into the transaction of an inbox: consume_once() makes one");
  // Before anything is done that nobody could be told of.
  if (auto reply = saga_reply(record, SagaOutcome::kOk); !reply) return fail(reply.error());
  const SagaAddress about = *saga_address(record);
  auto remembered = recall(about);
  if (!remembered) return fail(remembered.error());
  const bool runs = remembered->known == (about.undo ? Known::kDone : Known::kNew);
  auto answer = runs ? run({.record = record,
                            .saga = about.saga,
                            .step = about.step,
                            .undo = about.undo,
                            .payload = record.value.value_or(Bytes())},
                           handler)
                     : again(about, *remembered);
  if (!answer) return fail(answer.error());
  if (runs && !(about.undo && answer->outcome == SagaOutcome::kFailed)) {
    const Known known = about.undo                            ? Known::kUndone
                        : answer->outcome == SagaOutcome::kOk ? Known::kDone
                                                              : Known::kRefused;
    if (auto ok = remember(about, known, answer->payload); !ok) return ok;
  }
  auto reply = saga_reply(record, answer->outcome, bytes(answer->payload));
  if (!reply) return fail(reply.error());
  auto added = outbox_.add(*reply);
  if (!added) return fail(added.error());
  return {};
}

// Inserts first, so that who comes second waits for what becomes of the first.
Result<SagaParticipant::Remembered> SagaParticipant::recall(const SagaAddress& about) {
  auto inserted = database_->execute(
      "INSERT INTO leat_saga_command (participant, definition, saga, step, state, answer, "
      "handled_ms) VALUES ($1, $2, $3, $4, 'new', $5, $6) ON CONFLICT DO NOTHING",
      {name_, about.definition, about.saga, about.step, Bytes(), now_ms()});
  if (!inserted) return fail(inserted.error());
  if (inserted->affected() > 0) return Remembered();
  const bool postgres = database_->dialect() == SqlDialect::kPostgres;
  auto rows = database_->execute(
      postgres ? "SELECT state, answer FROM leat_saga_command WHERE participant = $1 AND "
                 "definition = $2 AND saga = $3 AND step = $4 FOR UPDATE"
               : "SELECT state, answer FROM leat_saga_command WHERE participant = $1 AND "
                 "definition = $2 AND saga = $3 AND step = $4",
      {name_, about.definition, about.saga, about.step});
  if (!rows) return fail(rows.error());
  if (rows->empty())
    return fail(ErrorCode::kDatabaseConflict, "the command was forgotten meanwhile");
  for (const Known known : {Known::kDone, Known::kRefused, Known::kUndone})
    if (kStates[static_cast<std::size_t>(known)] == rows->text(0, 0))
      return Remembered{known, std::string(rows->text(0, 1))};
  return fail(ErrorCode::kDatabaseSchema, "a command in leat_saga_command has the state '" +
                                              std::string(rows->text(0, 0)) +
                                              "', which there is not");
}

// What a handler wrote that answers `failed` is taken back.
Result<SagaAnswer> SagaParticipant::run(const SagaTask& task, const SagaHandler& handler) {
  if (auto ok = database_->run_script("SAVEPOINT leat_saga_task"); !ok) return fail(ok.error());
  auto answer = handler(task);
  if (!answer) return answer;
  const char* const end = answer->outcome == SagaOutcome::kFailed
                              ? "ROLLBACK TO leat_saga_task; RELEASE leat_saga_task"
                              : "RELEASE leat_saga_task";
  if (auto ok = database_->run_script(end); !ok) return fail(ok.error());
  return answer;
}

Result<SagaAnswer> SagaParticipant::again(const SagaAddress& about, const Remembered& remembered) {
  ++answered_again_;
  if (about.undo) {
    if (remembered.known == Known::kUndone) return SagaAnswer::ok(remembered.answer);
    if (auto ok = remember(about, Known::kUndone, {}); !ok) return fail(ok.error());
    return SagaAnswer::ok();
  }
  if (remembered.known == Known::kUndone) return SagaAnswer::failed("undone already");
  return SagaAnswer{remembered.known == Known::kDone ? SagaOutcome::kOk : SagaOutcome::kFailed,
                    remembered.answer};
}

Result<> SagaParticipant::remember(const SagaAddress& about, Known known, std::string_view answer) {
  auto written = database_->execute(
      "UPDATE leat_saga_command SET state = $5, answer = $6, handled_ms = $7 WHERE "
      "participant = $1 AND definition = $2 AND saga = $3 AND step = $4",
      {name_, about.definition, about.saga, about.step, kStates[static_cast<std::size_t>(known)],
       bytes(answer), now_ms()});
  if (!written) return fail(written.error());
  return {};
}

Result<std::int64_t> SagaParticipant::clean_up(Timestamp before, std::int64_t most) {
  auto tx = Transaction::begin(*database_);
  if (!tx) return fail(tx.error());
  auto gone = database_->execute(
      "DELETE FROM leat_saga_command WHERE (participant, definition, saga, step) IN "
      "(SELECT participant, definition, saga, step FROM leat_saga_command WHERE participant = $1 "
      "AND handled_ms < $2 ORDER BY handled_ms LIMIT $3)",
      {name_, before.time_since_epoch().count(), most});
  if (!gone) return fail(gone.error());
  if (auto ok = tx->commit(); !ok) return fail(ok.error());
  return gone->affected();
}

}  // namespace leat::patterns
