// SQLite, https://www.sqlite.org/c3ref/intro.html
//
//   auto database = SqliteDatabase::open("orders.db");
//   database->execute("INSERT INTO orders VALUES ($1, $2)", {42, std::string_view("paid")});
//   sqlite3_exec(database->handle(), …);     // the same connection
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "client/patterns/sql/database.h"

struct sqlite3;

namespace leat::patterns {

class SqliteDatabase final : public Database {
 public:
  // A file that is there or is made, in WAL mode, every commit synced (synchronous=FULL). Others
  // that hold the write lock are waited for so long.
  // Errors: kDatabaseUnreachable (cannot be opened), kDatabaseFailed (no database).
  static Result<std::unique_ptr<SqliteDatabase>> open(
      const std::string& path, std::chrono::milliseconds busy_timeout = std::chrono::seconds(5));
  // A connection of the caller's, which outlives this; its settings stay as they are.
  explicit SqliteDatabase(sqlite3* borrowed);
  ~SqliteDatabase() override;

  sqlite3* handle() const { return handle_; }

  using Database::execute;
  SqlDialect dialect() const override { return SqlDialect::kSqlite; }
  Result<SqlRows> execute(std::string_view sql, std::span<const SqlValue> parameters) override;
  Result<> run_script(const std::string& sql) override;
  Result<> begin() override;
  Result<> commit() override;
  void rollback() override;
  bool in_transaction() const override;

 private:
  struct Statements;
  SqliteDatabase(sqlite3* handle, bool owned);
  Error error(std::string_view doing) const;

  sqlite3* handle_;
  bool owned_;
  std::unique_ptr<Statements> statements_;
};

}  // namespace leat::patterns
