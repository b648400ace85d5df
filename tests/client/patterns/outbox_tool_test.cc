// `leat outbox relay --tail` by hand: executables, a broker and a PostgreSQL as people run them.
// Deadlines only detect hangs.
#include <cstdio>
#include <fstream>
#include <thread>

#include <signal.h>
#include <sys/wait.h>

#include <gmock/gmock.h>

#include "client/blocking.h"
#include "client/patterns/outbox.h"
#include "client/patterns/sql/postgres.h"
#include "examples/demo/postgres_server.h"
#include "examples/demo/process.h"
#include "tests/temporary_directory.h"

namespace leat::patterns {
namespace {

using namespace std::chrono_literals;
using demo::PostgresServer;
using demo::Process;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// One for all tests of this program.
PostgresServer& postgres_server() {
  static test::TemporaryDirectory directory;
  static PostgresServer server(directory.path(), {});
  return server;
}

class OutboxToolTest : public ::testing::Test {
 protected:
  void SetUp() override {
    start_broker();
    auto client = blocking::Client::connect({.broker = url()});
    ASSERT_TRUE(client) << client.error().message();
    client_.emplace(std::move(*client));
    TopicConfig forgetful;
    forgetful.dedup.time = 0ms;  // what came twice would be there twice, were it not for its place
    ASSERT_TRUE(client_->create_topic("order", 1, false, forgetful));
    use(postgres_server());
  }
  void start_broker() {
    broker_.emplace(
        std::vector<std::string>{LEATD, "--data-dir", directory_ / "broker", "--listen", url()},
        directory_ / "leatd.log");
    std::string ready;
    ASSERT_TRUE(broker_->read_line(ready));
  }
  void use(PostgresServer& server) {
    static int number = 0;
    slot_ = "tool" + std::to_string(++number);
    address_ = server.create_database(slot_);
    database_ = connect(address_);
    outbox_.emplace(std::move(*Outbox::open(*database_, {.notify = false})));
  }
  void TearDown() override {
    if (database_) relay("--remove-slot");
  }
  static std::unique_ptr<PostgresDatabase> connect(const std::string& address) {
    auto database = PostgresDatabase::open(address);
    EXPECT_TRUE(database) << (database ? "" : database.error().message());
    return std::move(*database);
  }
  std::string url() const { return "unix://" + (directory_ / "socket"); }
  std::string log() const { return directory_ / "relay.log"; }
  std::vector<std::string> command() const {
    return {LEAT,     "outbox", "relay",    "--tail", "--database",    address_,
            "--slot", slot_,    "--broker", url(),    "--publication", "leat_outbox"};
  }
  // Runs it to its end: what it says, errors included.
  std::string relay(const std::string& arguments) { return relay_of(address_, arguments); }
  std::string relay_of(const std::string& address, const std::string& arguments) {
    return leat("outbox relay --tail --slot " + slot_ + " --database '" + address + "' " +
                arguments);
  }
  std::string leat(const std::string& arguments) {
    const std::string line = "'" LEAT "' " + arguments + " --broker '" + url() + "' 2>&1";
    std::FILE* const pipe = ::popen(line.c_str(), "r");
    std::string said;
    for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) said += static_cast<char>(c);
    status_ = WEXITSTATUS(::pclose(pipe));
    return said;
  }
  void commit(std::initializer_list<std::string_view> payloads) {
    ASSERT_TRUE(database_->begin());
    for (const std::string_view payload : payloads)
      ASSERT_TRUE(outbox_->add({.aggregate_type = "order",
                                .aggregate_id = "42",
                                .type = "Changed",
                                .payload = bytes(payload)}));
    ASSERT_TRUE(database_->commit());
  }
  std::int64_t number(std::string_view sql) { return database_->execute(sql)->integer(0, 0); }
  void run(const std::string& sql) {
    auto ok = database_->run_script(sql);
    ASSERT_TRUE(ok) << ok.error().message();
  }
  std::int64_t stored() {
    auto described = client_->describe_topic("order");
    return described ? described->partitions[0].high_watermark.value : -1;
  }
  template <class Done>
  void wait_until(Done done) {
    const auto hang = std::chrono::steady_clock::now() + 60s;
    while (!done() && std::chrono::steady_clock::now() < hang) std::this_thread::sleep_for(5ms);
    EXPECT_TRUE(done()) << said();
  }
  std::string said() const {
    std::ifstream file(log());
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::vector<std::string> values() {
    std::vector<std::string> all;
    auto consumer = client_->consumer({.topics = {"order"}});
    while (consumer && static_cast<std::int64_t>(all.size()) < stored()) {
      auto records = (*consumer)->poll(10s);
      if (!records || records->empty()) break;
      for (const ConsumedRecord& record : *records) all.emplace_back(as_text(*record.value));
    }
    return all;
  }

  test::TemporaryDirectory directory_;
  std::string address_, slot_;
  std::optional<Process> broker_;
  std::optional<blocking::Client> client_;
  std::unique_ptr<PostgresDatabase> database_;
  std::optional<Outbox> outbox_;
  int status_ = 0;
};

TEST_F(OutboxToolTest, TailsUntilItIsToldToStopAndGoesOnFromThere) {
  commit({"before the slot"});
  {
    Process tail(command(), log());
    wait_until([&] { return stored() == 1; });
    commit({"1", "2"});
    wait_until([&] { return stored() == 3; });
    EXPECT_EQ(tail.stop(SIGTERM), 128 + SIGTERM);
  }
  EXPECT_THAT(said(),
              AllOf(HasSubstr("from PostgreSQL's log"), HasSubstr("3 published, 0 put aside")));
  EXPECT_EQ(number("SELECT count(*) FROM leat_outbox"), 0);
  commit({"3"});  // while nobody reads
  {
    Process tail(command(), log());
    wait_until([&] { return stored() == 4; });
    commit({"4"});
    wait_until([&] { return stored() == 5; });
    tail.stop(SIGKILL);  // wherever it is
  }
  commit({"5"});
  EXPECT_THAT(relay("--once"), HasSubstr("published"));
  EXPECT_EQ(status_, 0);
  EXPECT_THAT(relay("--once"), HasSubstr("0 published"));
  EXPECT_THAT(values(), ElementsAre("before the slot", "1", "2", "3", "4", "5"));
}

TEST_F(OutboxToolTest, IsToldToStopWhileTheBrokerIsAway) {
  relay("--once");
  broker_->stop(SIGKILL);
  Process tail(command(), log());
  wait_until([&] { return said().find("trying again") != std::string::npos; });
  EXPECT_EQ(tail.stop(SIGTERM), 128 + SIGTERM);
}

TEST_F(OutboxToolTest, SaysThatASlotIsGoneAndBeginsAnew) {
  commit({"0"});
  relay("--once");
  EXPECT_EQ(status_, 0);
  run("SELECT pg_drop_replication_slot('" + slot_ + "')");
  commit({"1"});
  EXPECT_THAT(relay("--once"), AllOf(HasSubstr("'" + slot_ + "' is gone"),
                                     HasSubstr("leat outbox relay --tail --begin-anew")));
  EXPECT_EQ(status_, 1);
  EXPECT_EQ(stored(), 1);
  EXPECT_THAT(relay("--once --begin-anew"), HasSubstr("1 published"));
  EXPECT_EQ(status_, 0);
  EXPECT_THAT(values(), ElementsAre("0", "1"));
}

TEST_F(OutboxToolTest, SaysWhatTheRoleNeeds) {
  const std::string role = "app_" + slot_;
  run("CREATE ROLE " + role + " LOGIN; GRANT ALL ON SCHEMA public TO " + role +
      "; GRANT CREATE ON DATABASE " + slot_ + " TO " + role +
      "; DROP TABLE leat_outbox, leat_outbox_lane, leat_outbox_relay, leat_outbox_identity, "
      "leat_schema");
  std::string as_role = address_;
  as_role.replace(as_role.find("user=postgres"), 13, "user=" + role);
  EXPECT_THAT(relay_of(as_role, "--once"),
              AllOf(HasSubstr("REPLICATION"), HasSubstr("ALTER ROLE")));
  EXPECT_NE(status_, 0);
  run("ALTER ROLE " + role + " REPLICATION");
  EXPECT_THAT(relay_of(as_role, "--once"), HasSubstr("0 published"));
  EXPECT_EQ(status_, 0);
}

TEST_F(OutboxToolTest, SaysThatTheServerDoesNotLogRows) {
  test::TemporaryDirectory elsewhere;
  PostgresServer server(elsewhere.path(), {.settings = "wal_level = replica"});
  use(server);
  EXPECT_THAT(relay("--once"),
              AllOf(HasSubstr("wal_level is 'replica'"), HasSubstr("ALTER SYSTEM SET wal_level")));
  EXPECT_EQ(status_, 2);
  outbox_.reset();
  database_.reset();
}

TEST_F(OutboxToolTest, OutlivesADatabaseThatGoesBeforeTheBrokerComes) {
  test::TemporaryDirectory elsewhere;
  PostgresServer server(elsewhere.path(), {});
  use(server);
  commit({"0"});
  broker_->stop(SIGKILL);
  Process polling({LEAT, "outbox", "relay", "--database", address_, "--broker", url()}, log());
  wait_until([&] { return said().find("broker: ") != std::string::npos; });
  server.kill();
  start_broker();
  wait_until([&] { return said().find("database: ") != std::string::npos; });
  server.start();
  wait_until([&] { return stored() == 1; });
  EXPECT_EQ(polling.stop(SIGTERM), 128 + SIGTERM);
  outbox_.reset();
  database_.reset();
}

TEST_F(OutboxToolTest, RelaysThatPollAreSentAwayAndCalledBack) {
  relay("--once");
  commit({"0"});
  const std::string polling = "outbox relay --once --database '" + address_ + "'";
  EXPECT_THAT(leat(polling), AllOf(HasSubstr("--remove-slot"), HasSubstr("0 published")));
  EXPECT_THAT(relay("--remove-slot"), HasSubstr("'" + slot_ + "' is removed"));
  EXPECT_EQ(status_, 0);
  EXPECT_THAT(leat(polling), HasSubstr("1 published"));
  EXPECT_THAT(relay_of("sqlite:" + (directory_ / "shop.db"), "--once"),
              HasSubstr("--tail reads PostgreSQL's log"));
  EXPECT_EQ(status_, 2);
}

}  // namespace
}  // namespace leat::patterns
