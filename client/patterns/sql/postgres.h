// PostgreSQL through libpq, https://www.postgresql.org/docs/current/libpq.html
//
//   auto database = PostgresDatabase::open("host=/run/postgresql dbname=orders");
//   (*database)->execute("INSERT INTO orders VALUES ($1, $2)", {42, std::string_view("paid")});
//   PQexec((*database)->handle(), …);        // the same connection
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/patterns/sql/database.h"

struct pg_conn;
struct pg_result;

namespace leat::patterns {

class PostgresDatabase final : public Database {
 public:
  // A connection string or URL of libpq's. Connects; later, when the connection was lost, begin()
  // connects anew, and nothing else, so that no half of a transaction runs. Waits ten seconds
  // unless the string has a connect_timeout. Error: kDatabaseUnreachable.
  static Result<std::unique_ptr<PostgresDatabase>> open(const std::string& connection);
  // A connection of the caller's, which outlives this and is never connected anew.
  explicit PostgresDatabase(pg_conn* borrowed);
  ~PostgresDatabase() override;

  pg_conn* handle() const { return handle_; }

  using Database::begin_with;
  using Database::execute;
  SqlDialect dialect() const override { return SqlDialect::kPostgres; }
  // Integers, text, bytea, boolean, uuid come back; cast what else there is to text.
  Result<SqlRows> execute(std::string_view sql, std::span<const SqlValue> parameters) override;
  Result<> run_script(const std::string& sql) override;
  Result<> in_each_session(const std::string& script) override;
  Result<> begin() override;
  // These two in libpq's pipeline mode, so that all take one round trip.
  Result<std::vector<SqlRows>> execute_all(std::span<const SqlStatement> statements) override;
  Result<std::vector<SqlRows>> begin_with(std::span<const SqlStatement> statements) override;
  Result<> commit() override;
  Result<> commit_lazily() override;
  void rollback() override;
  bool in_transaction() const override;

  // Waits for a notification of a channel that is listened to, or until the time is over or `wake`,
  // a descriptor (none: -1), can be read. True: there was one.
  Result<bool> wait_for_notification(std::chrono::milliseconds timeout, int wake = -1);

 private:
  struct Prepared;
  PostgresDatabase(pg_conn* handle, bool owned);
  Result<> connected();
  Result<std::string> prepare(std::string_view sql);
  Result<> send(std::span<const SqlStatement> statements);
  Result<> finish(const char* script);
  Error lost() const;

  pg_conn* handle_;
  bool out_of_step_ = false;  // with the server, though libpq takes the connection for a good one
  bool owned_;
  std::unique_ptr<Prepared> prepared_;
  std::vector<std::string> settings_;  // scripts of each session
};

// What a result that is not one says, by its SQLSTATE.
Error postgres_error(const pg_result* result, const pg_conn* connection);

}  // namespace leat::patterns
