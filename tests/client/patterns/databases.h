// Tests that hold for SQLite and PostgreSQL alike: each in an empty database of its own.
#pragma once

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "client/patterns/sql/postgres.h"
#include "client/patterns/sql/sqlite.h"
#include "examples/demo/postgres_server.h"
#include "tests/temporary_directory.h"

namespace leat::patterns {

// One for all tests of a program.
inline demo::PostgresServer& postgres_server() {
  static test::TemporaryDirectory directory;
  static demo::PostgresServer server(directory.path(), {});
  return server;
}

class Databases : public ::testing::TestWithParam<SqlDialect> {
 protected:
  void SetUp() override {
    if (postgres()) {
      static int number = 0;
      address_ = postgres_server().create_database("test" + std::to_string(++number));
    } else {
      address_ = directory_ / "test.db";
    }
    database_ = open();
  }
  bool postgres() const { return GetParam() == SqlDialect::kPostgres; }
  // Another connection to it.
  std::unique_ptr<Database> open() {
    if (postgres()) return opened(PostgresDatabase::open(address_));
    return opened(SqliteDatabase::open(address_));
  }
  std::int64_t number(std::string_view sql) {
    auto rows = database_->execute(sql);
    EXPECT_TRUE(rows) << (rows ? "" : rows.error().message());
    return rows && !rows->empty() ? rows->integer(0, 0) : -1;
  }
  Database& db() { return *database_; }

  test::TemporaryDirectory directory_;
  std::string address_;
  std::unique_ptr<Database> database_;

 private:
  template <class D>
  static std::unique_ptr<Database> opened(Result<std::unique_ptr<D>> database) {
    EXPECT_TRUE(database) << (database ? "" : database.error().message());
    return database ? std::move(*database) : nullptr;
  }
};

inline std::string dialect_name(const ::testing::TestParamInfo<SqlDialect>& info) {
  return info.param == SqlDialect::kPostgres ? "Postgres" : "Sqlite";
}
#define LEAT_ON_EVERY_DATABASE(suite) \
  INSTANTIATE_TEST_SUITE_P(           \
      Every, suite, ::testing::Values(SqlDialect::kSqlite, SqlDialect::kPostgres), dialect_name)

}  // namespace leat::patterns
