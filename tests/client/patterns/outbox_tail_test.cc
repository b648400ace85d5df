// From the caller's transaction through PostgreSQL's log to the records of a broker: each event
// once and in order, whoever dies; and what is told when slot, publication or server are not as
// they must be.
#include "client/patterns/relay/outbox_tail.h"

#include <filesystem>
#include <map>
#include <mutex>
#include <thread>

#include <signal.h>

#include <gmock/gmock.h>

#include "client/patterns/outbox.h"
#include "client/patterns/relay/outbox_relay.h"
#include "examples/demo/postgres_server.h"
#include "examples/demo/process.h"
#include "protocol/base/random.h"
#include "protocol/reserved_headers.h"
#include "server/server.h"
#include "tests/temporary_directory.h"

namespace leat::patterns {
namespace {

using namespace std::chrono_literals;
using demo::PostgresServer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// One for all tests of this program, but for those that harm it.
PostgresServer& postgres_server() {
  static test::TemporaryDirectory directory;
  static PostgresServer server(directory.path(), {});
  return server;
}

OutboxEvent event(std::string_view aggregate, std::string_view payload) {
  return {.aggregate_type = "order",
          .aggregate_id = aggregate,
          .type = "Changed",
          .payload = bytes(payload)};
}

class OutboxTailTest : public ::testing::Test {
 protected:
  void SetUp() override { use(postgres_server()); }
  void use(PostgresServer& server) {
    static int number = 0;
    address_ = server.create_database("tail" + std::to_string(++number));
    slot_ = "slot" + std::to_string(number);  // of the whole server
    open_broker();
    database_ = open();
    auto outbox = Outbox::open(*database_, {.notify = false});
    ASSERT_TRUE(outbox) << outbox.error().message();
    outbox_.emplace(std::move(*outbox));
  }
  void TearDown() override {
    if (database_) [[maybe_unused]]
      auto removed = remove_slot(*database_, options().slot);
  }
  std::string url() const { return "unix://" + (directory_ / "socket"); }
  void open_broker() {
    client_.reset();
    server_.reset();
    auto server = Server::open({.data_dir = directory_ / "broker", .listen = {url()}});
    ASSERT_TRUE(server) << server.error().message();
    server_ = std::move(*server);
    auto client = blocking::Client::connect({.broker = url()});
    ASSERT_TRUE(client);
    client_.emplace(std::move(*client));
  }
  std::unique_ptr<PostgresDatabase> open() {
    auto database = PostgresDatabase::open(address_);
    EXPECT_TRUE(database) << (database ? "" : database.error().message());
    return database ? std::move(*database) : nullptr;
  }
  OutboxTailOptions options() {
    OutboxTailOptions options;
    options.slot = {.connection = address_, .slot = slot_, .publication = "leat_outbox"};
    options.on_problem = [this](const Error& why) {
      const std::lock_guard lock(mutex_);
      problems_.push_back(why);
    };
    options.on_refused = [this](const OutboxRow& row, const Error& why) {
      refused_[row.sequence] = why.message();
    };
    return options;
  }
  std::unique_ptr<OutboxTail> tail(OutboxTailOptions options) {
    auto opened = OutboxTail::open(*client_, std::move(options));
    EXPECT_TRUE(opened);
    return std::move(*opened);
  }
  std::unique_ptr<OutboxTail> tail() { return tail(options()); }
  void publish() {
    auto published = tail()->run_once();
    ASSERT_TRUE(published) << published.error().message();
  }
  Error refusal() { return refusal(options()); }
  Error refusal(OutboxTailOptions options) {
    auto published = tail(std::move(options))->run_once();
    return published ? Error(ErrorCode::kOk) : published.error();
  }
  void run(const std::string& sql) {
    auto ok = database_->run_script(sql);
    ASSERT_TRUE(ok) << sql << ": " << ok.error().message();
  }
  std::int64_t number(std::string_view sql) {
    auto rows = database_->execute(sql);
    EXPECT_TRUE(rows) << (rows ? "" : rows.error().message());
    return rows && !rows->empty() ? rows->integer(0, 0) : -1;
  }
  std::int64_t rows() { return number("SELECT count(*) FROM leat_outbox"); }
  void commit(std::initializer_list<OutboxEvent> events) {
    ASSERT_TRUE(database_->begin());
    for (const OutboxEvent& event : events) ASSERT_TRUE(outbox_->add(event));
    ASSERT_TRUE(database_->commit());
  }
  void commit(std::string_view payload) { commit({event("a", payload)}); }
  // All records of the topic there are, by partition and offset: key and value.
  std::vector<std::pair<std::string, std::string>> read(const std::string& topic = "order") {
    std::vector<std::pair<std::string, std::string>> seen;
    auto described = client_->describe_topic(topic);
    if (!described) return seen;
    std::int64_t total = 0;
    for (const auto& partition : described->partitions) total += partition.high_watermark.value;
    auto consumer = client_->consumer({.topics = {topic}});
    while (consumer && static_cast<std::int64_t>(seen.size()) < total) {
      auto records = (*consumer)->poll(10s);
      if (!records || records->empty()) break;
      for (const ConsumedRecord& record : *records)
        seen.emplace_back(as_text(record.key.value_or(Bytes())),
                          as_text(record.value.value_or(Bytes())));
    }
    return seen;
  }
  // How many records there are.
  std::int64_t stored() {
    auto described = client_->describe_topic("order");
    std::int64_t all = 0;
    for (std::size_t i = 0; described && i < described->partitions.size(); ++i)
      all += described->partitions[i].high_watermark.value;
    return all;
  }
  void wait_for(std::int64_t records) {
    while (stored() < records) std::this_thread::sleep_for(1ms);
  }
  std::vector<std::string> values(const std::string& topic = "order") {
    std::vector<std::string> all;
    for (const auto& [key, value] : read(topic)) all.push_back(value);
    return all;
  }
  // Every aggregate's events are 0, 1, 2 …, so many in all.
  void expect_each_once(std::size_t total) {
    std::map<std::string, int> next;
    const auto seen = read();
    for (const auto& [key, value] : seen) ASSERT_EQ(value, std::to_string(next[key]++)) << key;
    EXPECT_EQ(seen.size(), total);
  }

  test::TemporaryDirectory directory_;
  std::string address_, slot_;
  std::unique_ptr<Server> server_;
  std::optional<blocking::Client> client_;
  std::unique_ptr<PostgresDatabase> database_;
  std::optional<Outbox> outbox_;
  std::map<std::int64_t, std::string> refused_;
  std::mutex mutex_;
  std::vector<Error> problems_;
};

TEST_F(OutboxTailTest, WhatIsCommittedIsPublishedAndDeleted) {
  commit("before the slot");
  commit("so, too");
  publish();
  EXPECT_THAT(values(), ElementsAre("before the slot", "so, too"));
  {
    auto tx = Transaction::begin(*database_);
    ASSERT_TRUE(outbox_->add(event("a", "never")));
  }
  OutboxEvent rich = event("42", std::string_view("a\0b\xff", 4));
  const std::string trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  rich.headers = {{"traceparent", as_bytes(trace)}, {"x&y", as_bytes("\x01")}};
  OutboxEvent null = event("43", "");
  null.payload.reset();
  commit({rich, null});
  publish();
  EXPECT_EQ(rows(), 0);
  auto consumer = client_->consumer({.topics = {"order"}, .start = StartFrom::offset(2)});
  ASSERT_TRUE(consumer);
  const auto records = (*consumer)->poll(10s);
  ASSERT_TRUE(records);
  const ConsumedRecord& first = (*records)[0];
  EXPECT_EQ(as_text(*first.key), "42");
  EXPECT_EQ(as_text(*first.value), std::string_view("a\0b\xff", 4));
  std::map<std::string, std::string> headers;
  for (const RecordHeader& header : first.headers)
    headers[std::string(header.key)] = as_text(*header.value);
  EXPECT_EQ(headers["type"], "Changed");
  EXPECT_EQ(headers["traceparent"], trace);
  EXPECT_EQ(headers["x&y"], "\x01");
  EXPECT_EQ(headers[std::string(reserved_headers::kId)].size(), 36u);
  EXPECT_FALSE((*records)[1].value);
  publish();  // nothing: it is confirmed
  EXPECT_EQ(values().size(), 4u);
}

TEST_F(OutboxTailTest, RowsAreKeptIfThatIsWanted) {
  commit("backlog");
  auto keep = options();
  keep.keep = true;
  ASSERT_TRUE(tail(keep)->run_once());
  commit("later");
  ASSERT_TRUE(tail(keep)->run_once());
  EXPECT_THAT(values(), ElementsAre("backlog", "later"));
  EXPECT_EQ(number("SELECT count(*) FROM leat_outbox WHERE published_ms IS NOT NULL"), 2);
}

TEST_F(OutboxTailTest, ALargeTransactionComesInParts) {
  publish();
  run("INSERT INTO leat_outbox (id, aggregatetype, aggregateid, payload) "
      "SELECT gen_random_uuid(), 'order', 'a', convert_to((n - 1)::text, 'UTF8') "
      "FROM generate_series(1, 20000) n");
  auto small = options();
  small.rows = 300;
  const auto published = tail(small)->run_once();
  ASSERT_TRUE(published) << published.error().message();
  EXPECT_EQ(*published, 20'000u);
  expect_each_once(20'000);
  EXPECT_EQ(rows(), 0);
}

TEST_F(OutboxTailTest, WhatCanNeverBePublishedIsPutAside) {
  publish();
  commit("first");
  run("INSERT INTO leat_outbox (id, aggregatetype, aggregateid, payload, headers) "
      "VALUES (gen_random_uuid(), 'order', 'a', 'x', '%zz=1')");
  OutboxEvent nameless = event("a", "x");
  nameless.aggregate_type = "no topic's name";
  commit({nameless});
  commit("last");
  publish();
  EXPECT_THAT(values(), ElementsAre("first", "last"));
  EXPECT_EQ(refused_.size(), 2u);
  EXPECT_EQ(rows(), 2);
  EXPECT_EQ(number("SELECT count(*) FROM leat_outbox WHERE failed LIKE '%percent-encoded%'"), 1);
  publish();
  EXPECT_EQ(rows(), 2);
}

// Business goes on while relays are killed at random, and PostgreSQL and the broker with them.
TEST_F(OutboxTailTest, RelaysThatAreKilledLeaveNoDuplicateAndNoGap) {
  constexpr int kAggregates = 7;
  Random random(4);
  std::size_t total = 0;
  int next[kAggregates] = {};
  const auto work = [&](std::uint64_t transactions) {
    for (; transactions > 0; --transactions) {
      ASSERT_TRUE(database_->begin());
      for (auto events = 1 + random.below(4); events > 0; --events) {
        const auto aggregate = random.below(kAggregates);
        const std::string value = std::to_string(next[aggregate]++);
        ASSERT_TRUE(outbox_->add(event(std::to_string(aggregate), value)));
        ++total;
      }
      ASSERT_TRUE(database_->commit());
    }
  };
  work(200);
  for (int life = 0; life < 12; ++life) {
    demo::Process relay({TAIL_RELAY, url(), address_ + " application_name=" + slot_, "3"},
                        directory_ / "relay.log");
    const auto until =
        std::min<std::int64_t>(stored() + 1 + static_cast<std::int64_t>(random.below(150)),
                               static_cast<std::int64_t>(total));
    work(60);
    wait_for(until);
    relay.stop(SIGKILL);
  }
  slot_ = "leat_outbox";  // theirs
  auto rest = tail();
  // The server may not have noticed yet that the last of them is gone.
  for (;;) {
    const auto ended = rest->run_once();
    if (ended) break;
    ASSERT_EQ(ended.error(), ErrorCode::kDatabaseConflict) << ended.error().message();
  }
  expect_each_once(total);
  EXPECT_EQ(rows(), 0);
}

// A commit that waits for a standby is in the log already, and nobody's statement sees it.
TEST_F(OutboxTailTest, RowsOfACommitThatIsNotSeenYetAreRemovedOnceItIs) {
  test::TemporaryDirectory elsewhere;
  PostgresServer server(elsewhere.path(), {});
  use(server);
  const auto standby = [&](const std::string& name) {
    run("ALTER SYSTEM SET synchronous_standby_names = '" + name + "'");
    run("SELECT pg_reload_conf()");
  };
  publish();  // a slot is made once nothing is under way
  run("SET synchronous_commit = local");
  standby("nobody");
  std::thread waits([&] {
    const auto other = open();
    auto outbox = Outbox::open(*other, {.notify = false});
    ASSERT_TRUE(outbox);
    ASSERT_TRUE(other->begin());
    ASSERT_TRUE(outbox->add(event("a", "0")));
    ASSERT_TRUE(outbox->add({.aggregate_type = "not a topic!",
                             .aggregate_id = "b",
                             .type = "Changed",
                             .payload = bytes("1")}));
    ASSERT_TRUE(other->commit());
  });
  auto local = options();
  local.slot.connection += " options='-c synchronous_commit=local'";
  const auto running = tail(local);
  std::thread thread([&] { running->run(); });
  wait_for(1);
  EXPECT_EQ(rows(), 0) << "it waits for the standby";
  standby("");
  waits.join();
  while (number("SELECT count(*) FROM leat_outbox WHERE failed IS NULL") > 0 ||
         number("SELECT count(*) FROM leat_outbox WHERE failed IS NOT NULL") == 0)
    std::this_thread::sleep_for(1ms);
  running->stop();
  thread.join();
}

TEST_F(OutboxTailTest, LostConnectionsAreMadeAgain) {
  test::TemporaryDirectory elsewhere;
  PostgresServer server(elsewhere.path(), {.fsync = true});
  use(server);
  commit("0");
  const auto running = tail();
  std::thread thread([&] { running->run(); });
  wait_for(1);
  run("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots");
  commit("1");
  wait_for(2);
  server.kill();
  server.start();
  database_ = open();
  outbox_.emplace(*Outbox::open(*database_, {.notify = false}));
  commit("2");
  wait_for(3);
  running->stop();
  thread.join();
  EXPECT_THAT(values(), ElementsAre("0", "1", "2"));
  publish();
  EXPECT_THAT(values(), ElementsAre("0", "1", "2"));
  EXPECT_FALSE(problems_.empty());
  database_.reset();
}

TEST_F(OutboxTailTest, ABrokerThatIsAwayIsWaitedFor) {
  publish();
  const auto running = tail();
  std::thread thread([&] { running->run(); });
  commit("0");
  wait_for(1);
  server_.reset();
  commit("1");
  auto server = Server::open({.data_dir = directory_ / "broker", .listen = {url()}});
  ASSERT_TRUE(server);
  server_ = std::move(*server);
  commit("2");
  while (rows() > 0) std::this_thread::sleep_for(1ms);
  running->stop();
  thread.join();
  EXPECT_THAT(values(), ElementsAre("0", "1", "2"));
}

// ---- what is not as it must be ----

TEST_F(OutboxTailTest, ASlotThatIsGoneIsToldAndCanBeBegunAnew) {
  commit("0");
  publish();
  run("SELECT pg_drop_replication_slot('" + slot_ + "')");
  commit("1");
  const Error gone = refusal();
  EXPECT_EQ(gone, ErrorCode::kDatabaseFailed);
  EXPECT_THAT(gone.detail, HasSubstr("is gone"));
  EXPECT_THAT(gone.detail, HasSubstr("--begin-anew"));
  auto anew = options();
  anew.slot.begin_anew = true;
  ASSERT_TRUE(tail(anew)->run_once());
  commit("2");
  publish();
  EXPECT_THAT(values(), ElementsAre("0", "1", "2"));
}

TEST_F(OutboxTailTest, ASlotThatFellBehindIsToldAndCanBeBegunAnew) {
  test::TemporaryDirectory elsewhere;
  PostgresServer server(elsewhere.path(), {.settings = "max_slot_wal_keep_size = 1MB\n"
                                                       "max_wal_size = 32MB\nmin_wal_size = 32MB"});
  use(server);
  publish();
  commit("0");
  run("CREATE TABLE bulk (n INT, filler TEXT)");
  for (int i = 0; i < 4; ++i) {
    run("INSERT INTO bulk SELECT n, repeat('x', 1000) FROM generate_series(1, 20000) n");
    run("SELECT pg_switch_wal()");
    run("CHECKPOINT");
  }
  const Error lost = refusal();
  EXPECT_EQ(lost, ErrorCode::kDatabaseFailed);
  EXPECT_THAT(lost.detail, HasSubstr("max_slot_wal_keep_size"));
  auto anew = options();
  anew.slot.begin_anew = true;
  ASSERT_TRUE(tail(anew)->run_once());
  EXPECT_THAT(values(), ElementsAre("0"));
  EXPECT_TRUE(remove_slot(*database_, options().slot));
  database_.reset();
}

TEST_F(OutboxTailTest, ASlotOrPublicationOfAnotherKindIsTold) {
  run("SELECT pg_create_logical_replication_slot('" + slot_ + "', 'test_decoding')");
  EXPECT_THAT(refusal().detail, HasSubstr("test_decoding"));
  run("SELECT pg_drop_replication_slot('" + slot_ + "')");
  run("CREATE TABLE business (n INT); DROP PUBLICATION leat_outbox; "
      "CREATE PUBLICATION leat_outbox FOR TABLE business");
  EXPECT_THAT(refusal().detail, HasSubstr("ALTER PUBLICATION leat_outbox ADD TABLE leat_outbox"));
  run("ALTER PUBLICATION leat_outbox ADD TABLE leat_outbox");
  run("ALTER PUBLICATION leat_outbox SET (publish = 'delete')");
  EXPECT_THAT(refusal().detail, HasSubstr("SET (publish = 'insert')"));
  run("ALTER PUBLICATION leat_outbox SET (publish = 'insert')");
  commit("0");
  run("INSERT INTO business VALUES (1)");
  publish();
  EXPECT_THAT(values(), ElementsAre("0"));
  auto wrong = options();
  wrong.slot.slot = "Not A Slot";
  EXPECT_EQ(refusal(wrong), ErrorCode::kInvalidConfig);
  // Another slot would publish everything once more.
  auto second = options();
  second.slot.slot = slot_ + "b";
  EXPECT_EQ(refusal(second), ErrorCode::kDatabaseConflict);
}

TEST_F(OutboxTailTest, ASlotThatIsReadByAnotherIsWaitedFor) {
  publish();
  const auto first = tail();
  std::thread thread([&] { first->run(); });
  commit("0");
  wait_for(1);
  EXPECT_EQ(refusal(), ErrorCode::kDatabaseConflict);
  EXPECT_EQ(remove_slot(*database_, options().slot).error(), ErrorCode::kDatabaseConflict);
  first->stop();
  thread.join();
}

TEST_F(OutboxTailTest, ASchemaThatIsOlderIsTold) {
  publish();
  run("ALTER TABLE leat_outbox DROP COLUMN traceparent");
  run("INSERT INTO leat_outbox (id, aggregatetype, aggregateid) "
      "VALUES (gen_random_uuid(), 'order', 'a')");
  const Error older = refusal();
  EXPECT_EQ(older, ErrorCode::kDatabaseSchema);
  EXPECT_THAT(older.detail, HasSubstr("traceparent"));
}

TEST_F(OutboxTailTest, AServerThatDoesNotLogRowsIsTold) {
  test::TemporaryDirectory elsewhere;
  PostgresServer server(elsewhere.path(), {.settings = "wal_level = replica"});
  use(server);
  const Error level = refusal();
  EXPECT_EQ(level, ErrorCode::kInvalidConfig);
  EXPECT_THAT(level.detail, HasSubstr("ALTER SYSTEM SET wal_level"));
  database_.reset();
}

TEST_F(OutboxTailTest, RelaysThatPollAndTheTailKeepApart) {
  commit("0");
  const auto polled = open();
  OutboxRelayOptions polling;
  polling.rows = 1;
  {
    auto relay = OutboxRelay::open(*client_, *polled, wake_by_time(), polling);
    ASSERT_TRUE(relay);
    ASSERT_TRUE((*relay)->run_once());
    auto reader = OutboxReader::open(*polled, {.name = "polls"});
    ASSERT_TRUE(reader);
    ASSERT_TRUE(reader->renew_leases());
    const Error leased = refusal();
    EXPECT_EQ(leased, ErrorCode::kDatabaseConflict);
    EXPECT_THAT(leased.detail, HasSubstr("'polls'"));
    commit("1");
    ASSERT_TRUE(reader->next());
    reader->release();
    // It may have published what it was given.
    EXPECT_THAT(refusal().detail, HasSubstr("--once"));
    ASSERT_TRUE((*relay)->run_once());
  }
  publish();
  commit("2");
  polling.on_problem = options().on_problem;
  auto again = OutboxRelay::open(*client_, *polled, wake_by_time(), polling);
  ASSERT_TRUE(again);
  for (int times = 0; times < 2; ++times) ASSERT_TRUE((*again)->run_once());  // told at once
  EXPECT_EQ(rows(), 1) << "its lanes are the tail's";
  ASSERT_EQ(problems_.size(), 1u) << "told once";
  EXPECT_THAT(problems_[0].detail, HasSubstr("--remove-slot"));
  publish();
  EXPECT_THAT(values(), ElementsAre("0", "1", "2"));
  ASSERT_TRUE(remove_slot(*database_, options().slot));
  commit("3");
  ASSERT_TRUE((*again)->run_once());
  EXPECT_THAT(values(), ElementsAre("0", "1", "2", "3"));
}

}  // namespace
}  // namespace leat::patterns
