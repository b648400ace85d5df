// Idempotent consumers against a broker: every record has its effect once, whatever comes twice,
// fails, or is away.
#include "client/patterns/consume_once.h"

#include <future>
#include <map>
#include <thread>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <gmock/gmock.h>

#include "protocol/reserved_headers.h"
#include "server/server.h"
#include "tests/client/patterns/databases.h"

namespace leat::patterns {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

// A consumer at work on a thread of its own, until it ends by itself or is cancelled.
class Running {
 public:
  template <class F>
  Running(Client client, ConsumerOptions consumer, Inbox& inbox, F handler,
          ConsumeOnceOptions options)
      : client_(std::move(client)) {
    auto loop = consume_once(client_, Group{"billing"}, std::move(consumer), inbox,
                             std::move(handler), std::move(options));
    asio::co_spawn(context_, std::move(loop),
                   asio::bind_cancellation_slot(
                       cancel_.slot(), [this](const std::exception_ptr& thrown, Result<> why) {
                         EXPECT_EQ(thrown, nullptr);
                         why_ = why ? Error(ErrorCode::kClosed) : why.error();
                       }));
    thread_ = std::thread([this] { context_.run(); });
  }
  ~Running() { stop(); }
  Error stop() {
    if (thread_.joinable()) {
      asio::post(context_, [this] { cancel_.emit(asio::cancellation_type::terminal); });
      thread_.join();
    }
    return why_;
  }
  Error wait() {
    thread_.join();
    return why_;
  }

 private:
  Client client_;
  asio::io_context context_;
  asio::cancellation_signal cancel_;
  Error why_ = ErrorCode::kOk;
  std::thread thread_;
};

class ConsumeOnceTest : public Databases {
 protected:
  void SetUp() override {
    Databases::SetUp();
    auto server = Server::open({.data_dir = directory_ / "broker"});
    ASSERT_TRUE(server) << server.error().message();
    server_ = std::move(*server);
    client_.emplace(std::move(*server_->connect_local()));
    TopicConfig forgetful;
    forgetful.dedup.time = 0ms;  // duplicates reach the consumer
    ASSERT_TRUE(client_->create_topic("orders", 2, false, forgetful));
    ASSERT_TRUE(db().run_script("CREATE TABLE charge (id TEXT NOT NULL)"));
    consumer_database_ = open();
    auto inbox = Inbox::open(*consumer_database_, {.consumer = "billing"});
    ASSERT_TRUE(inbox) << inbox.error().message();
    inbox_.emplace(std::move(*inbox));
  }
  void produce(const std::string& id, const std::string& key = "k") {
    auto producer = client_->producer(Topic{"orders"});
    ASSERT_TRUE((*producer)->send_and_wait(
        {.key = as_bytes(key), .value = as_bytes(id), .id = as_bytes(id)}));
  }
  Result<> charge(const ConsumedRecord& record) {
    auto charged =
        consumer_database_->execute("INSERT INTO charge VALUES ($1)", {as_text(*record.value)});
    if (!charged) return fail(charged.error());
    return {};
  }
  ConsumerOptions leased(GroupKind kind = GroupKind::kKeyShared) const {
    ConsumerOptions options{.topics = {"orders"}, .kind = kind};
    options.max_deliveries = 3;
    return options;
  }
  template <class F>
  std::unique_ptr<Running> run(ConsumerOptions consumer, F handler,
                               ConsumeOnceOptions options = {}) {
    return std::make_unique<Running>(client_->async(), std::move(consumer), *inbox_,
                                     std::move(handler), std::move(options));
  }
  auto charging() {
    return [this](const ConsumedRecord& record) { return charge(record); };
  }
  std::int64_t charges() { return number("SELECT count(*) FROM charge"); }
  void wait_for_charges(std::int64_t wanted) {
    const auto hang = std::chrono::steady_clock::now() + 60s;
    while (charges() < wanted && std::chrono::steady_clock::now() < hang)
      std::this_thread::sleep_for(2ms);
    EXPECT_EQ(charges(), wanted);
  }
  // Nothing of the group is left to do: all is acked, or dead.
  void wait_until_done() {
    const auto hang = std::chrono::steady_clock::now() + 60s;
    while (std::chrono::steady_clock::now() < hang) {
      std::int64_t lag = 0;
      auto group = client_->describe_group("billing");
      if (group)
        for (const GroupPartition& partition : group->partitions) lag += partition.lag();
      if (group && lag == 0) return;
      std::this_thread::sleep_for(2ms);
    }
    ADD_FAILURE() << "the group does not come to its end";
  }
  std::vector<std::string> dead_letters() {
    std::vector<std::string> values;
    if (!client_->describe_topic("orders.dlq")) return values;
    auto consumer = client_->consumer({.topics = {"orders.dlq"}});
    auto records = (*consumer)->poll(500ms);
    for (const ConsumedRecord& record : *records) {
      values.emplace_back(as_text(*record.value));
      if (const auto why = record.headers.find(reserved_headers::kDeadReason))
        reasons_[values.back()] = as_text(*why->value);
    }
    return values;
  }

  std::unique_ptr<Server> server_;
  std::optional<blocking::Client> client_;
  std::unique_ptr<Database> consumer_database_;
  std::optional<Inbox> inbox_;
  std::map<std::string, std::string> reasons_;
};
LEAT_ON_EVERY_DATABASE(ConsumeOnceTest);

TEST_P(ConsumeOnceTest, EveryRecordHasItsEffectOnce) {
  for (const GroupKind kind : {GroupKind::kKeyShared, GroupKind::kPartitioned}) {
    for (int i = 0; i < 20; ++i)
      for (int times = 0; times < 2; ++times)
        produce((kind == GroupKind::kPartitioned ? "p" : "k") + std::to_string(i));
    const auto running = run(leased(kind), charging());
    wait_for_charges(kind == GroupKind::kPartitioned ? 40 : 20);
    wait_until_done();
    running->stop();
  }
  EXPECT_EQ(charges(), 40);
  EXPECT_EQ(number("SELECT count(DISTINCT id) FROM charge"), 40);
  EXPECT_GE(inbox_->swallowed(), 40u);  // and what the second group kind began with again
}

TEST_P(ConsumeOnceTest, WhatFailsLeavesNothingAndComesAgain) {
  produce("order-1");
  std::atomic<int> calls = 0;
  const auto running = run(leased(), [&](const ConsumedRecord& record) -> Result<> {
    if (auto ok = charge(record); !ok) return ok;
    const int call = ++calls;
    if (call == 1) throw std::runtime_error("the card reader is broken");
    if (call == 2) return fail(ErrorCode::kInternal, "still broken");
    return {};
  });
  wait_for_charges(1);
  wait_until_done();
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(charges(), 1);
  EXPECT_TRUE(dead_letters().empty());
}

TEST_P(ConsumeOnceTest, WhatFailsTooOftenOrForGoodIsADeadLetter) {
  produce("poison");
  produce("unlucky");
  produce("fine");
  std::atomic<int> unlucky = 0, poison = 0;
  const auto running = run(leased(), [&](const ConsumedRecord& record) -> Result<> {
    if (auto ok = charge(record); !ok) return ok;
    if (as_text(*record.value) == "poison") {
      ++poison;
      throw Reject("it cannot be parsed");
    }
    if (as_text(*record.value) == "unlucky") {
      ++unlucky;
      throw 7;
    }
    return {};
  });
  wait_for_charges(1);
  wait_until_done();
  EXPECT_THAT(dead_letters(), ::testing::UnorderedElementsAre("poison", "unlucky"));
  EXPECT_THAT(reasons_["poison"], HasSubstr("parsed"));
  EXPECT_EQ(poison, 1);
  EXPECT_EQ(unlucky, 3);
}

// What the database asks for is done at once, and counts as no attempt.
TEST_P(ConsumeOnceTest, ConflictsAreRunAgain) {
  produce("order-1");
  std::atomic<int> calls = 0;
  const auto running = run(leased(), [&](const ConsumedRecord& record) -> Result<> {
    if (auto ok = charge(record); !ok) return ok;
    if (++calls < 6) return fail(ErrorCode::kDatabaseConflict, "deadlock");
    return {};
  });
  wait_for_charges(1);
  wait_until_done();
  EXPECT_EQ(calls, 6);
  EXPECT_TRUE(dead_letters().empty());
}

// Longer than the consumer's patience, and than three deliveries would take.
TEST_P(ConsumeOnceTest, WhileTheDatabaseIsAwayNothingIsAnAttempt) {
  produce("order-1");
  std::atomic<bool> away = true;
  std::atomic<int> failures = 0;
  ConsumeOnceOptions options;
  options.patience = 20ms;
  options.max_backoff = 10ms;
  options.on_failure = [&](const ConsumedRecord&, const Error&) { ++failures; };
  const auto running = run(
      leased(),
      [&](const ConsumedRecord& record) -> Result<> {
        if (away) return fail(ErrorCode::kDatabaseUnreachable, "for this test");
        return charge(record);
      },
      options);
  const auto hang = std::chrono::steady_clock::now() + 60s;
  while (failures < 30 && std::chrono::steady_clock::now() < hang) std::this_thread::sleep_for(1ms);
  away = false;
  wait_for_charges(1);
  wait_until_done();
  EXPECT_TRUE(dead_letters().empty());
}

// By value(), which throws it.
TEST_P(ConsumeOnceTest, AnErrorThatIsThrownIsTheErrorItself) {
  produce("order-1");
  std::atomic<int> failures = 0;
  ConsumeOnceOptions options;
  options.on_failure = [&](const ConsumedRecord&, const Error& why) {
    EXPECT_EQ(why.code, ErrorCode::kDatabaseUnreachable);
    ++failures;
  };
  const auto running = run(
      leased(),
      [&](const ConsumedRecord& record) {
        Result<int> away = fail(ErrorCode::kDatabaseUnreachable, "for this test");
        if (failures < 5) away.value();  // more than max_deliveries
        return charge(record);
      },
      options);
  wait_for_charges(1);
  wait_until_done();
  EXPECT_TRUE(dead_letters().empty());
}

TEST_P(ConsumeOnceTest, APartitionedGroupStopsInFrontOfWhatFails) {
  for (const char* id : {"a", "b", "bad", "d"}) produce(id);
  std::atomic<bool> broken = true;
  const auto handler = [&](const ConsumedRecord& record) -> Result<> {
    if (broken && as_text(*record.value) == "bad") return fail(ErrorCode::kInternal, "bad one");
    return charge(record);
  };
  ConsumeOnceOptions options;
  options.attempts = 3;
  options.min_backoff = 1ms;
  {
    const auto running = run(leased(GroupKind::kPartitioned), handler, options);
    const Error why = running->wait();
    EXPECT_THAT(why.message(), HasSubstr("orders/"));
    EXPECT_THAT(why.message(), HasSubstr("bad one"));
  }
  EXPECT_EQ(charges(), 2);
  broken = false;
  const auto running = run(leased(GroupKind::kPartitioned), handler, options);
  wait_for_charges(4);
  wait_until_done();
  EXPECT_EQ(inbox_->swallowed(), 0u);  // what was committed did not come again
}

TEST_P(ConsumeOnceTest, EndsWhenItIsCancelled) {
  const auto running = run(leased(), charging());
  produce("order-1");
  wait_for_charges(1);
  EXPECT_EQ(running->stop().code, ErrorCode::kClosed);
}

// Cancelled while its handler is at work, and not while it waits.
TEST_P(ConsumeOnceTest, EndsBehindTheRecordItIsAt) {
  std::promise<void> in, out;
  const auto running = run(leased(GroupKind::kPartitioned), [&](const ConsumedRecord& record) {
    in.set_value();
    out.get_future().wait();
    return charge(record);
  });
  produce("order-1");
  produce("order-2");
  in.get_future().wait();
  std::thread stopping([&] { EXPECT_EQ(running->stop().code, ErrorCode::kClosed); });
  std::this_thread::sleep_for(20ms);
  out.set_value();
  stopping.join();
  EXPECT_EQ(charges(), 1);
}

// What a member that works slowly has is nobody else's.
class ConsumeOnceLeasesTest : public ConsumeOnceTest {
 protected:
  static constexpr auto kAckTimeout = 1'000ms;
  ConsumerOptions leased_briefly(GroupKind kind) const {
    ConsumerOptions options = leased(kind);
    options.ack_timeout = kAckTimeout;
    return options;
  }
  // What another member gets in that time.
  std::size_t others(GroupKind kind, std::chrono::milliseconds time) {
    ConsumerOptions options = leased_briefly(kind);
    options.group = Group{"billing"};
    auto consumer = client_->consumer(options);
    auto records = (*consumer)->poll(time);
    EXPECT_TRUE(records);
    return records->size();
  }
  void nothing_comes_again() {
    auto group = client_->describe_group("billing");
    ASSERT_TRUE(group);
    EXPECT_EQ(group->group.redelivered, 0u);
    EXPECT_TRUE(dead_letters().empty());
  }
};
INSTANTIATE_TEST_SUITE_P(Leases, ConsumeOnceLeasesTest, ::testing::Values(SqlDialect::kSqlite),
                         dialect_name);

TEST_P(ConsumeOnceLeasesTest, WhileAHandlerIsAtWorkWhatItHoldsStaysLeased) {
  for (const char* id : {"slow", "waits", "waits, too"}) produce(id);
  std::promise<void> in, out;
  std::atomic<int> calls = 0;
  ConsumeOnceOptions options;
  options.patience = 60s;
  const auto running = run(
      leased_briefly(GroupKind::kShared),
      [&](const ConsumedRecord& record) {
        EXPECT_EQ(record.attempt(), 1u);
        if (calls++ == 0) {
          in.set_value();
          out.get_future().wait();
        }
        return charge(record);
      },
      options);
  in.get_future().wait();
  EXPECT_EQ(others(GroupKind::kShared, kAckTimeout * 5 / 2), 0u);
  out.set_value();
  wait_for_charges(3);
  wait_until_done();
  EXPECT_EQ(calls, 3);
  nothing_comes_again();
}

TEST_P(ConsumeOnceLeasesTest, WhileTheDatabaseIsAwayWhatItHoldsStaysLeased) {
  for (const char* id : {"a", "b", "c"}) produce(id);
  std::promise<void> in;
  std::atomic<bool> away = true;
  std::atomic<int> failures = 0;
  ConsumeOnceOptions options;
  options.patience = 60s;
  options.max_backoff = 50ms;
  options.on_failure = [&](const ConsumedRecord&, const Error&) {
    if (failures++ == 0) in.set_value();
  };
  const auto running = run(
      leased_briefly(GroupKind::kKeyShared),
      [&](const ConsumedRecord& record) -> Result<> {
        EXPECT_EQ(record.attempt(), 1u);
        if (away) return fail(ErrorCode::kDatabaseUnreachable, "for this test");
        return charge(record);
      },
      options);
  in.get_future().wait();
  EXPECT_EQ(others(GroupKind::kKeyShared, kAckTimeout * 5 / 2), 0u);
  away = false;
  wait_for_charges(3);
  wait_until_done();
  nothing_comes_again();
}

// To whom it is delivered next is the broker's choice.
TEST_P(ConsumeOnceLeasesTest, OnceItsPatienceIsOverItLetsGo) {
  for (const GroupKind kind : {GroupKind::kShared, GroupKind::kKeyShared}) {
    produce(kind == GroupKind::kShared ? "stuck" : "stuck again");
    std::promise<void> in, out;
    ConsumeOnceOptions options;
    options.patience = 10ms;
    const auto running = run(
        leased_briefly(kind),
        [&](const ConsumedRecord& record) {
          in.set_value();
          out.get_future().wait();
          return charge(record);
        },
        options);
    in.get_future().wait();
    const auto redelivered = [&] {
      auto group = client_->describe_group("billing");
      return group ? group->group.redelivered : 0;
    };
    const auto hang = std::chrono::steady_clock::now() + 60s;
    while (redelivered() == 0 && std::chrono::steady_clock::now() < hang)
      std::this_thread::sleep_for(5ms);
    EXPECT_GT(redelivered(), 0u);
    out.set_value();
    wait_until_done();
  }
}

// Its members work at once, and are killed: here, closed without a word.
TEST_P(ConsumeOnceTest, SeveralMembersDoEachOnce) {
  constexpr int kRecords = 200;
  auto producer = client_->producer(Topic{"orders"});
  for (int i = 0; i < kRecords; ++i) {
    const std::string id = std::to_string(i);
    for (int times = 0; times < 2; ++times)
      ASSERT_TRUE((*producer)->send({.value = as_bytes(id), .id = as_bytes(id)}));
  }
  ASSERT_TRUE((*producer)->flush());
  std::vector<std::unique_ptr<Database>> databases;
  std::vector<std::unique_ptr<Inbox>> inboxes;
  std::vector<std::unique_ptr<Running>> members;
  for (int i = 0; i < 3; ++i) {
    databases.push_back(open());
    inboxes.push_back(std::make_unique<Inbox>(
        std::move(*Inbox::open(*databases.back(), {.consumer = "billing"}))));
    members.push_back(std::make_unique<Running>(
        client_->async(), leased(GroupKind::kShared), *inboxes.back(),
        [database = databases.back().get()](const ConsumedRecord& record) -> Result<> {
          auto charged =
              database->execute("INSERT INTO charge VALUES ($1)", {as_text(*record.value)});
          if (!charged) return fail(charged.error());
          return {};
        },
        ConsumeOnceOptions()));
  }
  wait_for_charges(kRecords);
  wait_until_done();
  EXPECT_EQ(number("SELECT count(DISTINCT id) FROM charge"), kRecords);
  EXPECT_TRUE(dead_letters().empty());
}

// With the real thing away.
TEST(ConsumeOnceWithPostgresTest, OutlivesItsDatabase) {
  test::TemporaryDirectory directory;
  demo::PostgresServer postgres(directory.path(), {});
  const std::string address = postgres.create_database("test");
  auto server = Server::open({.data_dir = directory / "broker"});
  ASSERT_TRUE(server);
  auto client = (*server)->connect_local();
  ASSERT_TRUE(client && client->create_topic("orders", 1));
  auto database = PostgresDatabase::open(address);
  ASSERT_TRUE(database && (*database)->run_script("CREATE TABLE charge (id TEXT)"));
  auto inbox = Inbox::open(**database, {.consumer = "billing"});
  ASSERT_TRUE(inbox);
  ConsumerOptions consumer{.topics = {"orders"}, .kind = GroupKind::kShared};
  consumer.max_deliveries = 2;
  ConsumeOnceOptions options;
  options.patience = 50ms;
  std::atomic<int> done = 0;
  Running running(
      client->async(), consumer, *inbox,
      [&](const ConsumedRecord& record) -> Result<> {
        auto charged =
            (*database)->execute("INSERT INTO charge VALUES ($1)", {as_text(*record.value)});
        if (!charged) return fail(charged.error());
        ++done;
        return {};
      },
      options);
  auto producer = client->producer(Topic{"orders"});
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE((*producer)->send_and_wait({.value = as_bytes(std::to_string(2 * round))}));
    postgres.kill();
    ASSERT_TRUE((*producer)->send_and_wait({.value = as_bytes(std::to_string(2 * round + 1))}));
    std::this_thread::sleep_for(100ms);
    postgres.start();
  }
  const auto hang = std::chrono::steady_clock::now() + 60s;
  const auto charged = [&] {
    auto own = PostgresDatabase::open(address);
    if (!own) return std::int64_t(-1);
    return (*own)->execute("SELECT count(DISTINCT id) FROM charge")->integer(0, 0);
  };
  while (charged() < 6 && std::chrono::steady_clock::now() < hang)
    std::this_thread::sleep_for(10ms);
  EXPECT_EQ(charged(), 6);
  running.stop();
  EXPECT_EQ(
      (*PostgresDatabase::open(address))->execute("SELECT count(*) FROM charge")->integer(0, 0), 6);
  EXPECT_FALSE(client->describe_topic("orders.dlq"));
}

}  // namespace
}  // namespace leat::patterns
