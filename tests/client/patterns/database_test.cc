// What the patterns rely on of a database: transactions, values as they were given, errors by kind.
#include <thread>

#include <signal.h>

#include <gmock/gmock.h>
#include <libpq-fe.h>
#include <sqlite3.h>

#include "tests/client/patterns/databases.h"

namespace leat::patterns {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class DatabaseTest : public Databases {
 protected:
  void SetUp() override {
    Databases::SetUp();
    const char* table = postgres() ? "CREATE TABLE t (k BIGINT PRIMARY KEY, s TEXT, b BYTEA)"
                                   : "CREATE TABLE t (k INTEGER PRIMARY KEY, s TEXT, b BLOB)";
    ASSERT_TRUE(db().run_script(table));
  }
};
LEAT_ON_EVERY_DATABASE(DatabaseTest);

TEST_P(DatabaseTest, ValuesComeBackAsTheyWereGiven) {
  const std::string all_bytes = [] {
    std::string all;
    for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
    return all;
  }();
  ASSERT_TRUE(db().execute("INSERT INTO t VALUES ($1, $2, $3)",
                           {std::int64_t(-5'000'000'000), "\xc3\xa4 'x'", as_bytes(all_bytes)}));
  ASSERT_TRUE(db().execute("INSERT INTO t VALUES ($1, $2, $3)", {7, "", Bytes()}));
  ASSERT_TRUE(
      db().execute("INSERT INTO t VALUES ($1, $2, $3)", {8, std::monostate(), std::monostate()}));
  auto rows = db().execute("SELECT k, s, b FROM t ORDER BY k");
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), 3u);
  EXPECT_EQ(rows->integer(0, 0), -5'000'000'000);
  EXPECT_EQ(rows->text(0, 1), "\xc3\xa4 'x'");
  EXPECT_EQ(as_text(rows->bytes(0, 2)), all_bytes);
  EXPECT_FALSE(rows->is_null(1, 1));
  EXPECT_FALSE(rows->is_null(1, 2));
  EXPECT_TRUE(rows->bytes(1, 2).empty());
  EXPECT_TRUE(rows->is_null(2, 1));
  EXPECT_TRUE(rows->is_null(2, 2));
}

TEST_P(DatabaseTest, CountsWhatItChanged) {
  auto inserted = db().execute("INSERT INTO t (k) VALUES (1), (2), (3)");
  ASSERT_TRUE(inserted);
  EXPECT_EQ(inserted->affected(), 3);
  auto again = db().execute("INSERT INTO t (k) VALUES (1) ON CONFLICT DO NOTHING");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->affected(), 0);
}

TEST_P(DatabaseTest, ATransactionIsThereAsAWholeOrNotAtAll) {
  const auto other = open();
  const auto seen = [&] { return other->execute("SELECT count(*) FROM t")->integer(0, 0); };
  {
    auto tx = Transaction::begin(db());
    ASSERT_TRUE(tx);
    EXPECT_TRUE(db().in_transaction());
    ASSERT_TRUE(db().execute("INSERT INTO t (k) VALUES (1)"));
    EXPECT_EQ(seen(), 0);
  }
  EXPECT_FALSE(db().in_transaction());
  EXPECT_EQ(seen(), 0);
  auto tx = Transaction::begin(db());
  ASSERT_TRUE(db().execute("INSERT INTO t (k) VALUES (1)"));
  ASSERT_TRUE(tx->commit());
  EXPECT_EQ(seen(), 1);
}

TEST_P(DatabaseTest, BeginsWithAStatement) {
  const SqlValue one[] = {std::int64_t(1)};
  auto rows = db().begin_with("INSERT INTO t (k) VALUES ($1)", one);
  ASSERT_TRUE(rows) << rows.error().message();
  EXPECT_EQ(rows->affected(), 1);
  EXPECT_TRUE(db().in_transaction());
  ASSERT_TRUE(db().commit());
  EXPECT_EQ(number("SELECT count(*) FROM t"), 1);
  // Where that fails nothing has begun, and the connection is as good as before.
  EXPECT_FALSE(db().begin_with("INSERT INTO t (k) VALUES ($1)", one));
  EXPECT_FALSE(db().in_transaction());
  EXPECT_EQ(number("SELECT count(*) FROM t"), 1);
}

TEST_P(DatabaseTest, RunsSeveralStatementsUpToTheFirstThatFails) {
  const SqlStatement all[] = {{"INSERT INTO t (k) VALUES ($1), ($2)", {1, 2}},
                              {"DELETE FROM t WHERE k = $1", {2}},
                              {"SELECT k FROM t", {}}};
  auto gave = db().begin_with(all);
  ASSERT_TRUE(gave) << gave.error().message();
  ASSERT_EQ(gave->size(), 3u);
  EXPECT_EQ((*gave)[0].affected(), 2);
  EXPECT_EQ((*gave)[1].affected(), 1);
  EXPECT_EQ((*gave)[2].integer(0, 0), 1);
  const SqlStatement wrong[] = {{"INSERT INTO t (k) VALUES (3)", {}},
                                {"INSERT INTO t (k) VALUES (1)", {}},
                                {"INSERT INTO t (k) VALUES (4)", {}}};
  EXPECT_FALSE(db().execute_all(wrong));
  db().rollback();
  EXPECT_EQ(number("SELECT count(*) FROM t"), 0);
  const SqlStatement twice[] = {wrong[0], wrong[0]};
  EXPECT_FALSE(db().begin_with(twice));
  EXPECT_FALSE(db().in_transaction());
}

TEST_P(DatabaseTest, CommitsLazily) {
  ASSERT_TRUE(db().begin());
  ASSERT_TRUE(db().execute("INSERT INTO t (k) VALUES (1)"));
  ASSERT_TRUE(db().commit_lazily());
  EXPECT_FALSE(db().in_transaction());
  const auto other = open();
  EXPECT_EQ(other->execute("SELECT count(*) FROM t")->integer(0, 0), 1);
  if (!postgres()) return;
  EXPECT_EQ(db().execute("SHOW synchronous_commit")->text(0, 0), "on");  // only of that one
  ASSERT_TRUE(db().begin());
  EXPECT_FALSE(db().execute("INSERT INTO t (k) VALUES (1)"));
  EXPECT_FALSE(db().commit_lazily());
  db().rollback();
  EXPECT_FALSE(db().in_transaction());
}

TEST_P(DatabaseTest, SaysWhatIsWrongByKind) {
  auto missing = db().execute("SELECT * FROM absent");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kDatabaseSchema) << missing.error().message();
  EXPECT_THAT(missing.error().message(), HasSubstr("absent"));
  auto column = db().execute("SELECT absent FROM t");
  ASSERT_FALSE(column);
  EXPECT_EQ(column.error().code, ErrorCode::kDatabaseSchema) << column.error().message();
  ASSERT_TRUE(db().execute("INSERT INTO t (k) VALUES (1)"));
  auto twice = db().execute("INSERT INTO t (k) VALUES (1)");
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, ErrorCode::kDatabaseFailed) << twice.error().message();
  auto nonsense = db().execute("SELEKT 1");
  ASSERT_FALSE(nonsense);
  EXPECT_EQ(nonsense.error().code, ErrorCode::kDatabaseFailed);
}

// SQLite does not even fail inside.
TEST_P(DatabaseTest, ACommitBehindAFailureIsNone) {
  if (!postgres()) GTEST_SKIP() << "a failed statement of SQLite leaves the transaction as it was";
  ASSERT_TRUE(db().begin());
  ASSERT_TRUE(db().execute("INSERT INTO t (k) VALUES (1)"));
  ASSERT_FALSE(db().execute("INSERT INTO t (k) VALUES (1)"));
  EXPECT_FALSE(db().commit());
  EXPECT_EQ(number("SELECT count(*) FROM t"), 0);
}

TEST_P(DatabaseTest, WhoeverMeetsAnotherIsToldToRunAgain) {
  const auto other = open();
  if (postgres()) {
    ASSERT_TRUE(db().execute("INSERT INTO t (k, s) VALUES (1, ''), (2, '')"));
    ASSERT_TRUE(db().begin());
    ASSERT_TRUE(other->begin());
    ASSERT_TRUE(db().execute("UPDATE t SET s = 'a' WHERE k = 1"));
    ASSERT_TRUE(other->execute("UPDATE t SET s = 'b' WHERE k = 2"));
    Result<SqlRows> theirs = fail(ErrorCode::kInternal);
    std::thread thread([&] {
      theirs = other->execute("UPDATE t SET s = 'b' WHERE k = 1");
      if (!theirs) other->rollback();
    });
    auto ours = db().execute("UPDATE t SET s = 'a' WHERE k = 2");
    if (!ours) db().rollback();
    thread.join();
    ASSERT_NE(ours.has_value(), theirs.has_value());  // a deadlock has one victim
    EXPECT_EQ((ours ? theirs : ours).error().code, ErrorCode::kDatabaseConflict);
  } else {
    ASSERT_TRUE(other->begin());
    sqlite3_busy_timeout(static_cast<SqliteDatabase&>(db()).handle(), 1);
    auto begun = db().begin();
    ASSERT_FALSE(begun);
    EXPECT_EQ(begun.error().code, ErrorCode::kDatabaseConflict) << begun.error().message();
  }
}

TEST_P(DatabaseTest, UsesTheCallersConnectionToo) {
  if (postgres()) {
    PGconn* const own = PQconnectdb(address_.c_str());
    PostgresDatabase borrowed(own);
    PQclear(PQexec(own, "BEGIN"));
    EXPECT_TRUE(borrowed.in_transaction());
    ASSERT_TRUE(borrowed.execute("INSERT INTO t (k) VALUES ($1)", {1}));
    PQclear(PQexec(own, "ROLLBACK"));
    EXPECT_EQ(borrowed.execute("SELECT count(*) FROM t")->integer(0, 0), 0);
    PQfinish(own);
  } else {
    sqlite3* own = nullptr;
    ASSERT_EQ(sqlite3_open(address_.c_str(), &own), SQLITE_OK);
    {
      SqliteDatabase borrowed(own);
      sqlite3_exec(own, "BEGIN", nullptr, nullptr, nullptr);
      EXPECT_TRUE(borrowed.in_transaction());
      ASSERT_TRUE(borrowed.execute("INSERT INTO t (k) VALUES ($1)", {1}));
      sqlite3_exec(own, "ROLLBACK", nullptr, nullptr, nullptr);
      EXPECT_EQ(borrowed.execute("SELECT count(*) FROM t")->integer(0, 0), 0);
    }
    EXPECT_EQ(sqlite3_close(own), SQLITE_OK);  // nothing of it is in use any more
  }
}

TEST(PostgresDatabaseTest, AnAddressThatLeadsNowhereIsUnreachable) {
  auto database = PostgresDatabase::open("host=/nowhere dbname=x");
  ASSERT_FALSE(database);
  EXPECT_EQ(database.error().code, ErrorCode::kDatabaseUnreachable);
}

TEST(SqliteDatabaseTest, APathThatLeadsNowhereIsUnreachable) {
  auto database = SqliteDatabase::open("/nowhere/x.db");
  ASSERT_FALSE(database);
  EXPECT_EQ(database.error().code, ErrorCode::kDatabaseUnreachable);
  EXPECT_THAT(database.error().message(), HasSubstr("/nowhere/x.db"));
}

TEST(SqliteDatabaseTest, AFileThatIsNoDatabaseIsRefused) {
  test::TemporaryDirectory directory;
  const std::string path = directory / "text";
  std::FILE* const file = std::fopen(path.c_str(), "w");
  std::fputs(std::string(4'096, 'x').c_str(), file);
  std::fclose(file);
  auto database = SqliteDatabase::open(path);
  ASSERT_FALSE(database);
  EXPECT_EQ(database.error().code, ErrorCode::kDatabaseFailed) << database.error().message();
}

// No half of a transaction runs on the new connection.
TEST(PostgresDatabaseTest, ConnectsAnewWithTheNextTransactionOnly) {
  test::TemporaryDirectory directory;
  demo::PostgresServer server(directory.path(), {});
  auto database = PostgresDatabase::open(server.create_database("test"));
  ASSERT_TRUE(database);
  ASSERT_TRUE((*database)->run_script("CREATE TABLE t (k BIGINT PRIMARY KEY)"));
  ASSERT_TRUE((*database)->in_each_session("SET enable_sort = off"));
  ASSERT_TRUE((*database)->begin());
  ASSERT_TRUE((*database)->execute("INSERT INTO t VALUES (1)"));
  server.kill();
  auto lost = (*database)->execute("INSERT INTO t VALUES (2)");
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, ErrorCode::kDatabaseUnreachable) << lost.error().message();
  (*database)->rollback();
  auto away = (*database)->begin();
  ASSERT_FALSE(away);
  EXPECT_EQ(away.error().code, ErrorCode::kDatabaseUnreachable) << away.error().message();
  server.start();
  EXPECT_FALSE((*database)->execute("INSERT INTO t VALUES (3)"));
  ASSERT_TRUE((*database)->begin());
  EXPECT_EQ((*database)->execute("SELECT count(*) FROM t")->integer(0, 0), 0);
  EXPECT_EQ((*database)->execute("SHOW enable_sort")->text(0, 0), "off");
  ASSERT_TRUE((*database)->commit());
}

TEST(SqliteDatabaseTest, SaysWhenThereIsNoSpace) {
  test::TemporaryDirectory directory;
  auto database = SqliteDatabase::open(directory / "full.db");
  ASSERT_TRUE(database);
  ASSERT_TRUE((*database)->run_script("CREATE TABLE t (b BLOB); PRAGMA max_page_count = 3"));
  ASSERT_TRUE((*database)->begin());
  const std::string large(100'000, 'x');
  auto full = (*database)->execute("INSERT INTO t VALUES ($1)", {as_bytes(large)});
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::kNoSpace) << full.error().message();
  (*database)->rollback();
  EXPECT_TRUE((*database)->begin());
}

TEST(PostgresDatabaseTest, ADatabaseThatIsTooSlowCanBeTriedAgain) {
  auto database = PostgresDatabase::open(postgres_server().create_database("slow"));
  ASSERT_TRUE(database);
  ASSERT_TRUE((*database)->run_script("SET statement_timeout = '20ms'"));
  auto slow = (*database)->execute("SELECT pg_sleep(30)::text");
  ASSERT_FALSE(slow);
  EXPECT_EQ(slow.error().code, ErrorCode::kDatabaseUnreachable) << slow.error().message();
  EXPECT_TRUE(slow.error().retryable());
  EXPECT_TRUE((*database)->execute("SELECT 1"));
}

TEST(PostgresDatabaseTest, WaitsForNotifications) {
  const std::string address = postgres_server().create_database("notifications");
  auto listener = PostgresDatabase::open(address), other = PostgresDatabase::open(address);
  ASSERT_TRUE(listener && other);
  ASSERT_TRUE((*listener)->run_script("LISTEN here"));
  auto none = (*listener)->wait_for_notification(1ms);
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  ASSERT_TRUE((*other)->run_script("NOTIFY here"));
  auto some = (*listener)->wait_for_notification(30s);
  ASSERT_TRUE(some);
  EXPECT_TRUE(*some);
}

}  // namespace
}  // namespace leat::patterns
