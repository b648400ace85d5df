// A database as the patterns see it: one connection, on which transactions run one after another.
// SQLite (sqlite.h) inside the process, PostgreSQL (postgres.h) through libpq. The handle is yours
// to use beside it: whatever runs on it inside a transaction commits or vanishes together.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

namespace leat::patterns {

// Null, integer, text or bytes. Borrows.
using SqlValue = std::variant<std::monostate, std::int64_t, std::string_view, Bytes>;
// Of bytes that may not be there.
inline SqlValue sql_bytes(const std::optional<Bytes>& bytes) {
  return bytes ? SqlValue(*bytes) : SqlValue();
}

// What a statement gave. Copies share it; views live as long as one of them.
class SqlRows {
 public:
  SqlRows() = default;
  SqlRows(std::shared_ptr<const void> owner, std::vector<SqlValue> cells, std::size_t columns,
          std::int64_t affected)
      : owner_(std::move(owner)),
        cells_(std::move(cells)),
        columns_(columns),
        affected_(affected) {}

  std::size_t size() const { return columns_ == 0 ? 0 : cells_.size() / columns_; }
  bool empty() const { return cells_.empty(); }
  // How many rows a statement inserted, changed or deleted.
  std::int64_t affected() const { return affected_; }

  const SqlValue& at(std::size_t row, std::size_t column) const {
    return cells_[row * columns_ + column];
  }
  bool is_null(std::size_t row, std::size_t column) const { return at(row, column).index() == 0; }
  // Of another kind: 0, or empty.
  std::int64_t integer(std::size_t row, std::size_t column) const {
    const auto* value = std::get_if<std::int64_t>(&at(row, column));
    return value ? *value : 0;
  }
  std::string_view text(std::size_t row, std::size_t column) const {
    const SqlValue& value = at(row, column);
    if (const auto* text = std::get_if<std::string_view>(&value)) return *text;
    const auto* raw = std::get_if<Bytes>(&value);
    return raw ? as_text(*raw) : std::string_view();
  }
  Bytes bytes(std::size_t row, std::size_t column) const { return as_bytes(text(row, column)); }

 private:
  std::shared_ptr<const void> owner_;
  std::vector<SqlValue> cells_;
  std::size_t columns_ = 0;
  std::int64_t affected_ = 0;
};

// Borrows what its parameters do.
struct SqlStatement {
  std::string_view sql;
  std::vector<SqlValue> parameters;
};

enum class SqlDialect { kSqlite, kPostgres };

// One thread at a time. Statements are prepared once per connection and text; parameters are $1,
// $2 … in both dialects.
// Errors of all: kDatabaseUnreachable (no connection, or the database cannot serve it now; whatever
// ran is rolled back, or, of commit(), not known), kDatabaseConflict (deadlock, serialization,
// locked: roll back and run the transaction again), kDatabaseSchema (no such table or column),
// kNoSpace, kDatabaseFailed (anything else), each with what the database said.
class Database {
 public:
  virtual ~Database() = default;
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  virtual SqlDialect dialect() const = 0;
  virtual Result<SqlRows> execute(std::string_view sql, std::span<const SqlValue> parameters) = 0;
  Result<SqlRows> execute(std::string_view sql, std::initializer_list<SqlValue> parameters = {}) {
    return execute(sql, std::span(parameters.begin(), parameters.size()));
  }
  // One after the other up to the first that fails, in one round trip: what each gave. None but the
  // last should give many rows.
  virtual Result<std::vector<SqlRows>> execute_all(std::span<const SqlStatement> statements) {
    std::vector<SqlRows> all;
    for (const SqlStatement& statement : statements) {
      auto rows = execute(statement.sql, statement.parameters);
      if (!rows) return fail(rows.error());
      all.push_back(std::move(*rows));
    }
    return all;
  }
  // Several statements without parameters or results, for tables.
  virtual Result<> run_script(const std::string& sql) = 0;

  // A script that runs now, and on each connection that is made anew: settings.
  virtual Result<> in_each_session(const std::string& script) { return run_script(script); }

  // Connects anew where the connection was lost. SQLite takes the write lock, so that nothing
  // inside fails because somebody else wrote meanwhile.
  virtual Result<> begin() = 0;
  // The same, and first statements in the same round trip: what each gave. After an error there is
  // no transaction.
  virtual Result<std::vector<SqlRows>> begin_with(std::span<const SqlStatement> statements) {
    if (auto ok = begin(); !ok) return fail(ok.error());
    auto all = execute_all(statements);
    if (!all) rollback();
    return all;
  }
  Result<SqlRows> begin_with(std::string_view sql, std::span<const SqlValue> parameters) {
    const SqlStatement first[] = {{sql, {parameters.begin(), parameters.end()}}};
    auto all = begin_with(first);
    if (!all) return fail(all.error());
    return std::move(all->front());
  }
  virtual Result<> commit() = 0;
  // For what may be lost with the machine, as long as nothing that came before is: does not wait
  // for the disk where the database can do that. The next commit() makes it durable, too.
  virtual Result<> commit_lazily() { return commit(); }
  // Also what is left of a transaction that failed; does nothing outside of one.
  virtual void rollback() = 0;
  virtual bool in_transaction() const = 0;

 protected:
  Database() = default;
};

// Rolls back unless committed.
//
//   auto tx = Transaction::begin(database);
//   if (!tx) return fail(tx.error());
//   if (auto ok = pay(database); !ok) return ok;
//   return tx->commit();
class Transaction {
 public:
  static Result<Transaction> begin(Database& database) {
    if (auto ok = database.begin(); !ok) return fail(ok.error());
    return Transaction(database);
  }
  // One that has begun.
  explicit Transaction(Database& database) : database_(&database) {}
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction() {
    if (database_) database_->rollback();
  }
  // Error kDatabaseUnreachable: whether it was committed is not known.
  Result<> commit() { return ended(database_->commit()); }
  Result<> commit_lazily() { return ended(database_->commit_lazily()); }

 private:
  Result<> ended(Result<> committed) {
    if (committed) database_ = nullptr;
    return committed;
  }
  Database* database_;
};

}  // namespace leat::patterns
