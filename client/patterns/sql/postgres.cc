#include "client/patterns/sql/postgres.h"

#include <algorithm>
#include <cstring>
#include <map>

#include <poll.h>

#include <libpq-fe.h>

namespace leat::patterns {
namespace {

struct Clear {
  void operator()(PGresult* result) const { PQclear(result); }
};
using ResultPtr = std::unique_ptr<PGresult, Clear>;

// https://www.postgresql.org/docs/current/errcodes-appendix.html
ErrorCode code_of(std::string_view state) {
  if (state.empty() || state.starts_with("08") || state.starts_with("57P"))
    return ErrorCode::kDatabaseUnreachable;
  if (state.starts_with("40") || state == "55P03") return ErrorCode::kDatabaseConflict;
  if (state == "42P01" || state == "42703" || state == "3F000" || state == "3D000")
    return ErrorCode::kDatabaseSchema;
  if (state == "53100") return ErrorCode::kNoSpace;
  if (state.starts_with("53")) return ErrorCode::kDatabaseUnreachable;  // connections, memory
  if (state == "57014") return ErrorCode::kDatabaseUnreachable;         // its own time limits
  return ErrorCode::kDatabaseFailed;
}

std::string one_line(std::string_view said) {
  std::string line(said.substr(0, said.find('\n')));
  for (const std::string_view level : {"ERROR:  ", "FATAL:  "})
    if (line.starts_with(level)) line.erase(0, level.size());
  return line;
}

bool gave_rows(const PGresult* result) {
  const ExecStatusType status = PQresultStatus(result);
  return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

// Object ids of types that are built in: pg_type.dat.
enum : Oid { kBool = 16, kBytea = 17, kInt8 = 20, kInt2 = 21, kInt4 = 23, kXid8 = 5069 };

SqlValue cell(const PGresult* result, int row, int column) {
  if (PQgetisnull(result, row, column)) return {};
  const auto* at = reinterpret_cast<const std::byte*>(PQgetvalue(result, row, column));
  const auto size = static_cast<std::size_t>(PQgetlength(result, row, column));
  switch (PQftype(result, column)) {
    case kBool:
      return std::int64_t(at[0] != std::byte(0));
    case kInt2:
      return std::int64_t(load_be<std::int16_t>(at));
    case kInt4:
      return std::int64_t(load_be<std::int32_t>(at));
    case kInt8:
    case kXid8:
      return load_be<std::int64_t>(at);
    case kBytea:
      return Bytes(at, size);
    default:
      return as_text({at, size});
  }
}

SqlRows rows_of(ResultPtr result) {
  const int rows = PQntuples(result.get()), columns = PQnfields(result.get());
  std::vector<SqlValue> cells;
  cells.reserve(static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns));
  for (int row = 0; row < rows; ++row)
    for (int column = 0; column < columns; ++column)
      cells.push_back(cell(result.get(), row, column));
  const std::string_view affected = PQcmdTuples(result.get());
  const std::int64_t count = affected.empty() ? 0 : std::strtoll(affected.data(), nullptr, 10);
  return {std::shared_ptr<const PGresult>(result.release(), PQclear), std::move(cells),
          static_cast<std::size_t>(columns), count};
}

// Parameters as libpq takes them: texts end in 0, integers are texts.
class Parameters {
 public:
  explicit Parameters(std::span<const SqlValue> values) {
    texts_.reserve(values.size());
    for (const SqlValue& value : values) add(value);
  }
  int count() const { return static_cast<int>(values_.size()); }
  const char* const* values() const { return values_.data(); }
  const int* lengths() const { return lengths_.data(); }
  const int* formats() const { return formats_.data(); }

 private:
  void add(const SqlValue& value) {
    if (const auto* bytes = std::get_if<Bytes>(&value)) {
      // A null pointer would be NULL.
      const void* data = bytes->empty() ? "" : static_cast<const void*>(bytes->data());
      return push(static_cast<const char*>(data), bytes->size(), 1);
    }
    if (value.index() == 0) return push(nullptr, 0, 0);
    const auto* integer = std::get_if<std::int64_t>(&value);
    texts_.push_back(integer ? std::to_string(*integer)
                             : std::string(std::get<std::string_view>(value)));
    push(texts_.back().c_str(), texts_.back().size(), 0);
  }
  void push(const char* value, std::size_t length, int format) {
    values_.push_back(value);
    lengths_.push_back(static_cast<int>(length));
    formats_.push_back(format);
  }

  std::vector<std::string> texts_;
  std::vector<const char*> values_;
  std::vector<int> lengths_, formats_;
};

}  // namespace

Error postgres_error(const PGresult* result, const PGconn* connection) {
  const char* state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : nullptr;
  const std::string said =
      one_line(result && *PQresultErrorMessage(result) ? PQresultErrorMessage(result)
                                                       : PQerrorMessage(connection));
  if (PQstatus(connection) != CONNECTION_OK) return {ErrorCode::kDatabaseUnreachable, said};
  // Without a state it is libpq that speaks, of the connection.
  return {code_of(state ? state : ""),
          said + (state ? " (SQLSTATE " + std::string(state) + ")" : "")};
}

// By the texts they were made from; they live in the session.
struct PostgresDatabase::Prepared {
  std::map<std::string, std::string, std::less<>> names;
};

Result<std::unique_ptr<PostgresDatabase>> PostgresDatabase::open(const std::string& connection) {
  const char* const keys[] = {"connect_timeout", "dbname", nullptr};
  const char* const values[] = {"10", connection.c_str(), nullptr};
  PGconn* const handle = PQconnectdbParams(keys, values, 1);
  std::unique_ptr<PostgresDatabase> database(new PostgresDatabase(handle, true));
  if (PQstatus(handle) != CONNECTION_OK)
    return fail(ErrorCode::kDatabaseUnreachable, one_line(PQerrorMessage(handle)));
  PQsetNoticeProcessor(
      handle, [](void*, const char*) {}, nullptr);
  return database;
}

PostgresDatabase::PostgresDatabase(PGconn* borrowed) : PostgresDatabase(borrowed, false) {}
PostgresDatabase::PostgresDatabase(PGconn* handle, bool owned)
    : handle_(handle), owned_(owned), prepared_(std::make_unique<Prepared>()) {}

PostgresDatabase::~PostgresDatabase() {
  if (owned_) PQfinish(handle_);
}

Error PostgresDatabase::lost() const {
  const std::string said = one_line(PQerrorMessage(handle_));
  return {ErrorCode::kDatabaseUnreachable, said.empty() ? "the server went away" : said};
}

Result<> PostgresDatabase::connected() {
  if (PQstatus(handle_) == CONNECTION_OK && !out_of_step_) return {};
  if (!owned_) return fail(lost());
  prepared_->names.clear();
  PQreset(handle_);
  if (PQstatus(handle_) != CONNECTION_OK) return fail(lost());
  out_of_step_ = false;
  PQsetNoticeProcessor(
      handle_, [](void*, const char*) {}, nullptr);
  for (const std::string& script : settings_)
    if (const ResultPtr set(PQexec(handle_, script.c_str())); !gave_rows(set.get()))
      return fail(postgres_error(set.get(), handle_));
  return {};
}

Result<> PostgresDatabase::in_each_session(const std::string& script) {
  if (auto ok = run_script(script); !ok) return ok;
  if (std::ranges::find(settings_, script) == settings_.end()) settings_.push_back(script);
  return {};
}

Result<std::string> PostgresDatabase::prepare(std::string_view sql) {
  if (const auto found = prepared_->names.find(sql); found != prepared_->names.end())
    return found->second;
  // Unique among all that use the handle.
  const std::string name = "leat_" + std::to_string(reinterpret_cast<std::uintptr_t>(this)) + "_" +
                           std::to_string(prepared_->names.size());
  const ResultPtr made(PQprepare(handle_, name.c_str(), std::string(sql).c_str(), 0, nullptr));
  if (!gave_rows(made.get())) return fail(postgres_error(made.get(), handle_));
  prepared_->names.emplace(sql, name);
  return name;
}

Result<SqlRows> PostgresDatabase::execute(std::string_view sql,
                                          std::span<const SqlValue> parameters) {
  auto name = prepare(sql);
  if (!name) return fail(name.error());
  const Parameters given(parameters);
  ResultPtr result(PQexecPrepared(handle_, name->c_str(), given.count(), given.values(),
                                  given.lengths(), given.formats(), 1));
  if (!gave_rows(result.get())) return fail(postgres_error(result.get(), handle_));
  return rows_of(std::move(result));
}

Result<> PostgresDatabase::run_script(const std::string& sql) {
  if (auto ok = connected(); !ok) return ok;
  const ResultPtr result(PQexec(handle_, sql.c_str()));
  if (!gave_rows(result.get())) return fail(postgres_error(result.get(), handle_));
  return {};
}

Result<> PostgresDatabase::begin() {
  return run_script("BEGIN");
}

// All of them, before the first is answered.
Result<> PostgresDatabase::send(std::span<const SqlStatement> statements) {
  std::vector<std::string> names;
  for (const SqlStatement& statement : statements) {
    auto name = prepare(statement.sql);
    if (!name) return fail(name.error());
    names.push_back(std::move(*name));
  }
  if (!PQenterPipelineMode(handle_)) return fail(lost());
  for (std::size_t i = 0; i < statements.size(); ++i) {
    const Parameters given(statements[i].parameters);
    if (!PQsendQueryPrepared(handle_, names[i].c_str(), given.count(), given.values(),
                             given.lengths(), given.formats(), 1))
      return fail(lost());
  }
  if (!PQpipelineSync(handle_)) return fail(lost());
  return {};
}

Result<std::vector<SqlRows>> PostgresDatabase::execute_all(
    std::span<const SqlStatement> statements) {
  if (auto ok = send(statements); !ok) return fail(ok.error());
  std::vector<SqlRows> all;
  std::optional<Error> failed;
  for (bool synced = false, behind_one = false; !synced;) {
    ResultPtr result(PQgetResult(handle_));
    if (!result) {
      // Behind each statement's; else there is nothing left, and the end did not come: the server
      // went, which libpq may not have noticed.
      if (std::exchange(behind_one, false) && PQstatus(handle_) == CONNECTION_OK) continue;
      out_of_step_ = owned_;
      failed = lost();
      break;
    }
    behind_one = true;
    const ExecStatusType status = PQresultStatus(result.get());
    synced = status == PGRES_PIPELINE_SYNC;
    if (synced || status == PGRES_PIPELINE_ABORTED) continue;
    if (gave_rows(result.get()))
      all.push_back(rows_of(std::move(result)));
    else if (!failed)
      failed = postgres_error(result.get(), handle_);
  }
  PQexitPipelineMode(handle_);
  if (failed) return fail(*failed);
  return all;
}

Result<std::vector<SqlRows>> PostgresDatabase::begin_with(
    std::span<const SqlStatement> statements) {
  if (auto ok = connected(); !ok) return fail(ok.error());
  std::vector<SqlStatement> whole = {{"BEGIN", {}}};
  whole.insert(whole.end(), statements.begin(), statements.end());
  auto all = execute_all(whole);
  if (all)
    all->erase(all->begin());
  else
    rollback();
  return all;
}

Result<> PostgresDatabase::finish(const char* script) {
  const ResultPtr result(PQexec(handle_, script));
  if (!gave_rows(result.get())) return fail(postgres_error(result.get(), handle_));
  // What failed inside turns COMMIT into this.
  if (std::strcmp(PQcmdStatus(result.get()), "ROLLBACK") == 0)
    return fail(ErrorCode::kDatabaseFailed,
                "a statement of the transaction failed, so nothing was committed");
  return {};
}

Result<> PostgresDatabase::commit() {
  return finish("COMMIT");
}

Result<> PostgresDatabase::commit_lazily() {
  return finish("SET LOCAL synchronous_commit = off; COMMIT");
}

void PostgresDatabase::rollback() {
  if (PQtransactionStatus(handle_) != PQTRANS_IDLE && PQstatus(handle_) == CONNECTION_OK)
    PQclear(PQexec(handle_, "ROLLBACK"));
}

bool PostgresDatabase::in_transaction() const {
  const PGTransactionStatusType status = PQtransactionStatus(handle_);
  return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
}

Result<bool> PostgresDatabase::wait_for_notification(std::chrono::milliseconds timeout, int wake) {
  const auto taken = [this] {
    bool any = false;
    while (PGnotify* const note = PQnotifies(handle_)) {
      PQfreemem(note);
      any = true;
    }
    return any;
  };
  if (taken()) return true;
  pollfd waits[] = {{PQsocket(handle_), POLLIN, 0}, {wake, POLLIN, 0}};
  ::poll(waits, wake < 0 ? 1 : 2, static_cast<int>(timeout.count()));
  if (!PQconsumeInput(handle_)) return fail(lost());
  return taken();
}

}  // namespace leat::patterns
