#include "client/patterns/sql/sqlite.h"

#include <chrono>
#include <cstring>
#include <map>
#include <thread>

#include <sqlite3.h>

namespace leat::patterns {
namespace {

ErrorCode code_of(int primary) {
  switch (primary) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ErrorCode::kDatabaseConflict;
    case SQLITE_FULL:
      return ErrorCode::kNoSpace;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_INTERRUPT:
      return ErrorCode::kDatabaseUnreachable;
    default:
      return ErrorCode::kDatabaseFailed;
  }
}

// SQLite has no code of its own for these.
bool names_what_is_missing(std::string_view said) {
  for (const std::string_view start : {"no such table", "no such column", "no such index"})
    if (said.starts_with(start)) return true;
  return said.find("has no column named") != std::string_view::npos;
}

// SQLite numbers parameters with ?1, ?2 …
std::string own_parameters(std::string_view sql) {
  std::string own(sql);
  for (std::size_t at = own.find('$'); at != std::string::npos; at = own.find('$', at + 1))
    if (at + 1 < own.size() && own[at + 1] >= '1' && own[at + 1] <= '9') own[at] = '?';
  return own;
}

int bind(sqlite3_stmt* statement, int number, const SqlValue& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value))
    return sqlite3_bind_int64(statement, number, *integer);
  // A null pointer would bind NULL.
  if (const auto* text = std::get_if<std::string_view>(&value))
    return sqlite3_bind_text64(statement, number, text->data() ? text->data() : "", text->size(),
                               SQLITE_STATIC, SQLITE_UTF8);
  if (const auto* bytes = std::get_if<Bytes>(&value))
    return sqlite3_bind_blob64(statement, number,
                               bytes->data() ? static_cast<const void*>(bytes->data()) : "",
                               bytes->size(), SQLITE_STATIC);
  return sqlite3_bind_null(statement, number);
}

// A column's bytes are SQLite's only until the next step.
struct Arena {
  std::vector<std::unique_ptr<char[]>> blocks;
  std::string_view keep(const void* from, int size) {
    const auto length = static_cast<std::size_t>(size);
    blocks.push_back(std::make_unique<char[]>(length + 1));
    if (length > 0) std::memcpy(blocks.back().get(), from, length);
    return {blocks.back().get(), length};
  }
};

SqlValue column(sqlite3_stmt* statement, int number, Arena& arena) {
  switch (sqlite3_column_type(statement, number)) {
    case SQLITE_NULL:
      return {};
    case SQLITE_INTEGER:
      return sqlite3_column_int64(statement, number);
    case SQLITE_BLOB: {
      const void* blob = sqlite3_column_blob(statement, number);
      return as_bytes(arena.keep(blob, sqlite3_column_bytes(statement, number)));
    }
    default: {
      const unsigned char* text = sqlite3_column_text(statement, number);
      return arena.keep(text, sqlite3_column_bytes(statement, number));
    }
  }
}

// SQLite's own handler sleeps longer and longer, up to 100 ms, and so hardly ever meets the moment
// in which somebody who writes all the time has let go.
int wait_for_lock(void* most_ms, int tries) {
  if (tries >= reinterpret_cast<std::intptr_t>(most_ms)) return 0;
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return 1;
}

}  // namespace

// By the texts they were made from.
struct SqliteDatabase::Statements {
  static constexpr std::size_t kMost = 64;  // of which an application has a handful

  ~Statements() { clear(); }
  void clear() {
    for (const auto& [sql, statement] : prepared) sqlite3_finalize(statement);
    prepared.clear();
  }
  std::map<std::string, sqlite3_stmt*, std::less<>> prepared;
};

Result<std::unique_ptr<SqliteDatabase>> SqliteDatabase::open(
    const std::string& path, std::chrono::milliseconds busy_timeout) {
  sqlite3* handle = nullptr;
  const int opened =
      sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  std::unique_ptr<SqliteDatabase> database(new SqliteDatabase(handle, true));
  if (opened != SQLITE_OK) return fail(database->error("cannot open '" + path + "'"));
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_handler(handle, wait_for_lock, reinterpret_cast<void*>(busy_timeout.count()));
  if (auto ok = database->run_script("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"); !ok)
    return fail(ok.error().code, "'" + path + "': " + ok.error().detail);
  return database;
}

SqliteDatabase::SqliteDatabase(sqlite3* borrowed) : SqliteDatabase(borrowed, false) {}
SqliteDatabase::SqliteDatabase(sqlite3* handle, bool owned)
    : handle_(handle), owned_(owned), statements_(std::make_unique<Statements>()) {}

SqliteDatabase::~SqliteDatabase() {
  statements_.reset();
  if (owned_) sqlite3_close(handle_);
}

Error SqliteDatabase::error(std::string_view doing) const {
  const std::string_view said = handle_ ? sqlite3_errmsg(handle_) : "out of memory";
  const ErrorCode code = names_what_is_missing(said)
                             ? ErrorCode::kDatabaseSchema
                             : code_of(handle_ ? sqlite3_errcode(handle_) & 0xff : SQLITE_NOMEM);
  return {code, std::string(doing) + ": " + std::string(said)};
}

Result<SqlRows> SqliteDatabase::execute(std::string_view sql,
                                        std::span<const SqlValue> parameters) {
  auto found = statements_->prepared.find(sql);
  if (found == statements_->prepared.end()) {
    if (statements_->prepared.size() == Statements::kMost) statements_->clear();
    sqlite3_stmt* statement = nullptr;
    const std::string own = own_parameters(sql);
    if (sqlite3_prepare_v3(handle_, own.c_str(), -1, SQLITE_PREPARE_PERSISTENT, &statement,
                           nullptr) != SQLITE_OK)
      return fail(error("SQLite"));
    found = statements_->prepared.emplace(sql, statement).first;
  }
  sqlite3_stmt* const statement = found->second;
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (bind(statement, static_cast<int>(i + 1), parameters[i]) != SQLITE_OK) {
      const Error failed = error("SQLite");
      sqlite3_clear_bindings(statement);
      return fail(failed);
    }
  auto arena = std::make_shared<Arena>();
  std::vector<SqlValue> cells;
  const int columns = sqlite3_column_count(statement);
  int stepped = sqlite3_step(statement);
  for (; stepped == SQLITE_ROW; stepped = sqlite3_step(statement))
    for (int i = 0; i < columns; ++i) cells.push_back(column(statement, i, *arena));
  const Error failed = stepped == SQLITE_DONE ? Error(ErrorCode::kOk) : error("SQLite");
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);  // they borrow
  if (failed.code != ErrorCode::kOk) return fail(failed);
  return SqlRows(std::move(arena), std::move(cells), static_cast<std::size_t>(columns),
                 sqlite3_stmt_readonly(statement) ? 0 : sqlite3_changes64(handle_));
}

Result<> SqliteDatabase::run_script(const std::string& sql) {
  if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return fail(error("SQLite"));
}

Result<> SqliteDatabase::begin() {
  auto begun = execute("BEGIN IMMEDIATE", {});
  if (!begun) return fail(begun.error());
  return {};
}

Result<> SqliteDatabase::commit() {
  auto committed = execute("COMMIT", {});
  if (!committed) return fail(committed.error());
  return {};
}

void SqliteDatabase::rollback() {
  if (in_transaction()) (void)execute("ROLLBACK", {});
}

bool SqliteDatabase::in_transaction() const {
  return sqlite3_get_autocommit(handle_) == 0;
}

}  // namespace leat::patterns
