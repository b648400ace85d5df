// From the caller's transaction to the records of a broker, over both databases.
#include "client/patterns/outbox.h"

#include <future>
#include <map>
#include <set>
#include <thread>

#include <gmock/gmock.h>

#include "client/patterns/relay/outbox_relay.h"
#include "protocol/reserved_headers.h"
#include "server/server.h"
#include "tests/client/patterns/databases.h"

namespace leat::patterns {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Seen {
  std::string key, value, id, type;
  std::map<std::string, std::string> headers;
};

class OutboxTest : public Databases {
 protected:
  void SetUp() override {
    Databases::SetUp();
    auto server = Server::open({.data_dir = directory_ / "broker"});
    ASSERT_TRUE(server) << server.error().message();
    server_ = std::move(*server);
    client_.emplace(std::move(*server_->connect_local()));
    auto outbox = Outbox::open(db());
    ASSERT_TRUE(outbox) << outbox.error().message();
    outbox_.emplace(std::move(*outbox));
    relay_database_ = open();
  }
  std::string add(const OutboxEvent& event) {
    auto id = outbox_->add(event);
    EXPECT_TRUE(id) << (id ? "" : id.error().message());
    return id ? *id : "";
  }
  std::string commit(const OutboxEvent& event) {
    EXPECT_TRUE(db().begin());
    std::string id = add(event);
    EXPECT_TRUE(db().commit());
    return id;
  }
  std::unique_ptr<OutboxRelay> relay(OutboxRelayOptions options = {}) {
    options.on_problem = [](const Error& why) {
      std::fprintf(stderr, "relay: %s\n", why.message().c_str());
    };
    options.on_refused = [this](const OutboxRow& row, const Error& why) {
      refused_[std::string(row.id)] = why.message();
    };
    return relay(*relay_database_, std::move(options));
  }
  std::unique_ptr<OutboxRelay> relay(Database& database, OutboxRelayOptions options) {
    auto opened = OutboxRelay::open(
        *client_, database, postgres() ? wake_by_notifications(address_) : wake_by_wal(address_),
        std::move(options));
    EXPECT_TRUE(opened) << (opened ? "" : opened.error().message());
    return std::move(*opened);
  }
  void publish() {
    auto published = relay()->run_once();
    ASSERT_TRUE(published) << published.error().message();
  }
  // All records of a topic, in their order.
  std::vector<Seen> read(const std::string& topic) {
    std::vector<Seen> seen;
    auto consumer = client_->consumer({.topics = {topic}});
    if (!consumer) return seen;
    for (;;) {
      auto records = (*consumer)->poll(200ms);
      if (!records || records->empty()) return seen;
      for (const ConsumedRecord& record : *records) {
        Seen one{std::string(as_text(record.key.value_or(Bytes()))),
                 std::string(as_text(record.value.value_or(Bytes()))),
                 "",
                 "",
                 {}};
        for (const RecordHeader& header : record.headers)
          one.headers[std::string(header.key)] = as_text(header.value.value_or(Bytes()));
        one.id = one.headers[std::string(reserved_headers::kId)];
        one.type = one.headers["type"];
        seen.push_back(std::move(one));
      }
    }
  }
  std::vector<std::string> values(const std::string& topic) {
    std::vector<std::string> all;
    for (const Seen& seen : read(topic)) all.push_back(seen.value);
    return all;
  }
  std::int64_t rows() { return number("SELECT count(*) FROM leat_outbox"); }

  std::unique_ptr<Server> server_;
  std::optional<blocking::Client> client_;
  std::optional<Outbox> outbox_;
  std::unique_ptr<Database> relay_database_;
  std::map<std::string, std::string> refused_;
};
LEAT_ON_EVERY_DATABASE(OutboxTest);

OutboxEvent event(std::string_view aggregate, std::string_view payload) {
  return {.aggregate_type = "order",
          .aggregate_id = aggregate,
          .type = "Changed",
          .payload = bytes(payload)};
}

TEST_P(OutboxTest, WhatIsCommittedIsPublished) {
  OutboxEvent one = event("42", "paid");
  const std::string trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  one.headers = {{"traceparent", as_bytes(trace)}, {"strange & = %", as_bytes("\x01\xff")}};
  const std::string id = commit(one);
  publish();
  const auto seen = read("order");
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].key, "42");
  EXPECT_EQ(seen[0].value, "paid");
  EXPECT_EQ(seen[0].id, id);
  EXPECT_EQ(seen[0].type, "Changed");
  EXPECT_EQ(seen[0].headers.at("traceparent"), trace);
  EXPECT_EQ(seen[0].headers.at("strange & = %"), "\x01\xff");
  EXPECT_EQ(rows(), 0);
}

TEST_P(OutboxTest, WhatIsRolledBackIsNot) {
  {
    auto tx = Transaction::begin(db());
    add(event("42", "never"));
  }
  commit(event("42", "paid"));
  publish();
  EXPECT_THAT(values("order"), ElementsAre("paid"));
}

TEST_P(OutboxTest, WantsATransaction) {
  auto outside = outbox_->add(event("42", "paid"));
  ASSERT_FALSE(outside);
  EXPECT_EQ(outside.error().code, ErrorCode::kInvalidRequest);
}

TEST_P(OutboxTest, RefusesWhatMakesNoSense) {
  ASSERT_TRUE(db().begin());
  EXPECT_FALSE(outbox_->add({.aggregate_type = "", .aggregate_id = "1"}));
  EXPECT_FALSE(outbox_->add({.aggregate_type = "order", .aggregate_id = "1", .id = "no uuid"}));
  db().rollback();
}

TEST_P(OutboxTest, EventsOfAnAggregateKeepTheirOrder) {
  for (int i = 0; i < 300; ++i) commit(event(std::to_string(i % 7), std::to_string(i)));
  OutboxRelayOptions options;
  options.rows = 50;
  ASSERT_TRUE(relay(options)->run_once());
  std::map<std::string, int> last;
  const auto seen = read("order");
  ASSERT_EQ(seen.size(), 300u);
  for (const Seen& one : seen) {
    const int now = std::stoi(one.value);
    if (const auto before = last.find(one.key); before != last.end()) {
      EXPECT_EQ(now, before->second + 7);
    }
    last[one.key] = now;
  }
}

// A transaction that began earlier and commits later is not skipped, whatever was published since.
TEST_P(OutboxTest, ALateCommitIsPublishedToo) {
  if (!postgres()) GTEST_SKIP() << "SQLite has one writer at a time";
  const auto slow = open();
  auto slow_outbox = Outbox::open(*slow);
  ASSERT_TRUE(slow_outbox);
  ASSERT_TRUE(slow->begin());
  ASSERT_TRUE(slow_outbox->add(event("slow", "late")));
  commit(event("fast", "early"));
  const auto running = relay();
  std::thread thread([&] { running->run(); });
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(running->published(), 0u);  // it might come behind what is not committed yet
  ASSERT_TRUE(slow->commit());
  while (running->published() < 2) std::this_thread::sleep_for(1ms);
  running->stop();
  thread.join();
  EXPECT_THAT(values("order"), ::testing::UnorderedElementsAre("late", "early"));
}

// Transaction ids follow the first write, and not the commit: of one aggregate the rows alone say
// what came first.
TEST_P(OutboxTest, TheOrderOfAnAggregateIsNotThatOfTransactionIds) {
  if (!postgres()) GTEST_SKIP() << "SQLite has one writer at a time";
  ASSERT_TRUE(
      db().run_script("CREATE TABLE business (id INT PRIMARY KEY, n INT); "
                      "INSERT INTO business VALUES (1, 0)"));
  const auto other = open();
  auto other_outbox = Outbox::open(*other);
  ASSERT_TRUE(other_outbox);
  ASSERT_TRUE(other->begin());
  ASSERT_TRUE(other->execute("SELECT pg_current_xact_id()::text"));  // the smaller id
  ASSERT_TRUE(db().begin());
  ASSERT_TRUE(db().execute("UPDATE business SET n = 1"));
  add(event("1", "first"));
  std::thread thread([&] {
    ASSERT_TRUE(other->execute("UPDATE business SET n = 2"));  // waits for the lock
    ASSERT_TRUE(other_outbox->add(event("1", "second")));
    ASSERT_TRUE(other->commit());
  });
  std::this_thread::sleep_for(20ms);
  ASSERT_TRUE(db().commit());
  thread.join();
  publish();
  EXPECT_THAT(values("order"), ElementsAre("first", "second"));
}

TEST_P(OutboxTest, PublishedRowsMayStay) {
  commit(event("1", "a"));
  OutboxRelayOptions options;
  options.keep = true;
  ASSERT_TRUE(relay(options)->run_once());
  EXPECT_EQ(number("SELECT count(*) FROM leat_outbox WHERE published_ms > 1700000000000"), 1);
  ASSERT_TRUE(relay(options)->run_once());
  EXPECT_THAT(values("order"), ElementsAre("a"));
}

TEST_P(OutboxTest, WhatCanNeverBePublishedIsPutAsideAndTheRestGoesOn) {
  const std::string large(20 << 20, 'x');
  commit(event("1", "before"));
  const std::string too_large = commit(event("1", large));
  const std::string bad_topic = commit(
      {.aggregate_type = "no/topic", .aggregate_id = "1", .type = "T", .payload = bytes("x")});
  const std::string bad_headers = commit(event("1", "headers"));
  ASSERT_TRUE(db().execute("UPDATE leat_outbox SET headers = 'a=%zz' WHERE payload = $1",
                           {bytes("headers")}));
  commit(event("1", "behind"));
  publish();
  EXPECT_THAT(values("order"), ElementsAre("before", "behind"));
  EXPECT_EQ(refused_.size(), 3u);
  EXPECT_THAT(refused_[bad_topic], HasSubstr("no/topic"));
  EXPECT_THAT(refused_[bad_headers], HasSubstr("headers"));
  EXPECT_TRUE(refused_.contains(too_large));
  EXPECT_EQ(number("SELECT count(*) FROM leat_outbox WHERE failed IS NOT NULL"), 3);
  publish();
  EXPECT_EQ(refused_.size(), 3u);
}

// Smaller than the producer's batches, so that batches are refused whose records are small enough.
TEST_P(OutboxTest, ATopicMayTakeSmallBatchesOnly) {
  TopicConfig config;
  config.max_batch_bytes = 1'024;
  ASSERT_TRUE(client_->create_topic("order", 1, false, config));
  std::vector<std::string> wanted;
  for (int i = 0; i < 20; ++i) {
    wanted.push_back(std::to_string(i) + std::string(i == 7 ? 2'000 : 100, 'x'));
    commit(event("1", wanted.back()));
  }
  publish();
  wanted.erase(wanted.begin() + 7);
  EXPECT_EQ(values("order"), wanted);
}

// Wherever a relay dies, another publishes the same again, and each is there once.
TEST_P(OutboxTest, WhatWasPublishedAndNotWrittenDownIsNotPublishedTwice) {
  TopicConfig forgetful;
  forgetful.dedup.time = 0ms;  // by the place in the source, and not by message ids
  ASSERT_TRUE(client_->create_topic("order", 1, false, forgetful));
  for (int i = 0; i < 100; ++i) commit(event(std::to_string(i % 5), std::to_string(i)));
  {
    auto reader = OutboxReader::open(*relay_database_, {.name = "dies", .rows = 60});
    ASSERT_TRUE(reader && reader->renew_leases());
    auto rounds = reader->next();
    ASSERT_TRUE(rounds && !rounds->empty());
    for (const OutboxRound& round : *rounds) {
      Publisher publisher(*client_,
                          "outbox/" + reader->identity() + "/" + std::to_string(round.lane), {});
      std::vector<PositionedRow> rows;
      for (const OutboxRow& row : round.rows)
        if (rows.size() < 9)  // and not the rest of it
          rows.push_back({row, {std::uint64_t(round.number), std::uint64_t(row.sequence)}});
      ASSERT_EQ(publisher.publish(rows, [] { return true; }).unfinished, ErrorCode::kOk);
    }
    reader->release();  // or its lease runs out
  }
  EXPECT_EQ(rows(), 100);
  const auto middle = read("order").size();
  EXPECT_GT(middle, 0u);
  publish();
  const auto seen = read("order");
  std::set<std::string> ids;
  for (const Seen& one : seen) ids.insert(one.id);
  EXPECT_EQ(seen.size(), 100u);
  EXPECT_EQ(ids.size(), 100u);
  EXPECT_EQ(rows(), 0);
}

TEST_P(OutboxTest, RelaysShareTheLanesAndTakeOverFromOneThatIsSilent) {
  if (!postgres()) GTEST_SKIP() << "an outbox in SQLite has one lane";
  auto first = OutboxReader::open(*relay_database_, {.name = "first", .lease = 1'000ms});
  const auto other = open();
  auto second = OutboxReader::open(*other, {.name = "second", .lease = 1'000ms});
  ASSERT_TRUE(first && second);
  ASSERT_TRUE(first->renew_leases());
  EXPECT_EQ(first->lanes(), 8u);
  ASSERT_TRUE(second->renew_leases());
  EXPECT_EQ(second->lanes(), 0u);  // all are leased
  ASSERT_TRUE(first->renew_leases());
  EXPECT_EQ(first->lanes(), 4u);
  ASSERT_TRUE(second->renew_leases());
  EXPECT_EQ(second->lanes(), 4u);
  std::this_thread::sleep_for(1'200ms);  // of the database's clock
  ASSERT_TRUE(second->renew_leases());
  EXPECT_EQ(second->lanes(), 8u);
  for (int i = 0; i < 50; ++i) commit(event(std::to_string(i), "x"));  // some in every lane
  auto late = first->next();
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kDatabaseConflict) << late.error().message();
  EXPECT_EQ(first->lanes(), 0u);
  auto taken = second->next();
  ASSERT_TRUE(taken);
  EXPECT_GT(taken->size(), 4u);
}

// It waits for as long as it takes, and says once what for.
TEST_P(OutboxTest, ARelayThatFindsNothingFreeSaysWhoHasIt) {
  const auto others = open();
  std::vector<OutboxReader> holders;  // as many as there are lanes
  for (int i = 0; i < (postgres() ? 8 : 1); ++i) {
    auto reader = OutboxReader::open(*others, {.name = "holder" + std::to_string(i)});
    ASSERT_TRUE(reader);
    holders.push_back(std::move(*reader));
  }
  for (int round = 0; round < 8; ++round)
    for (OutboxReader& reader : holders) ASSERT_TRUE(reader.renew_leases());
  for (const OutboxReader& reader : holders) ASSERT_EQ(reader.lanes(), 1u);
  commit(event("1", "waits"));
  std::mutex mutex;
  std::vector<Error> problems;
  OutboxRelayOptions options;
  options.lease = 1'000ms;
  options.look_again = 10ms;
  options.on_problem = [&](const Error& why) {
    const std::lock_guard lock(mutex);
    problems.push_back(why);
  };
  const auto waits = relay(*relay_database_, options);
  std::thread running([&] { waits->run(); });
  const auto told = [&] {
    const std::lock_guard lock(mutex);
    return problems.size();
  };
  const auto hang = std::chrono::steady_clock::now() + 60s;
  while (told() == 0 && std::chrono::steady_clock::now() < hang) std::this_thread::sleep_for(5ms);
  std::this_thread::sleep_for(50ms);  // it looks several times more
  for (OutboxReader& reader : holders) reader.release();
  while (rows() > 0 && std::chrono::steady_clock::now() < hang) std::this_thread::sleep_for(5ms);
  waits->stop();
  running.join();
  EXPECT_EQ(rows(), 0);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].code, ErrorCode::kDatabaseConflict);
  EXPECT_THAT(problems[0].detail, HasSubstr("'holder0'"));
  EXPECT_THAT(problems[0].detail, HasSubstr("waits until one of them ends"));
}

TEST_P(OutboxTest, ARestoredDatabaseIsNotTakenForWhatWasPublished) {
  commit(event("1", "a"));
  publish();
  ASSERT_TRUE(db().execute("UPDATE leat_outbox_lane SET round = 0"));
  commit(event("1", "b"));
  auto again = relay()->run_once();
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kSourceConflict);
  EXPECT_THAT(again.error().message(), HasSubstr("leat_outbox_identity"));
  ASSERT_TRUE(db().execute("DELETE FROM leat_outbox_identity"));
  publish();
  EXPECT_THAT(values("order"), ElementsAre("a", "b"));
}

TEST_P(OutboxTest, ACommitWakesTheRelay) {
  OutboxRelayOptions options;
  options.look_again = 1h;
  options.lease = 24h;
  const auto running = relay(options);
  std::thread thread([&] { running->run(); });
  for (std::uint64_t i = 1; i <= 20; ++i) {
    commit(event("1", std::to_string(i)));
    const auto hang = std::chrono::steady_clock::now() + 30s;
    while (running->published() < i && std::chrono::steady_clock::now() < hang)
      std::this_thread::sleep_for(100us);
    EXPECT_EQ(running->published(), i);
  }
  running->stop();
  thread.join();
}

TEST_P(OutboxTest, TablesOfAnotherVersionAreRefused) {
  ASSERT_TRUE(db().execute("UPDATE leat_schema SET version = 0 WHERE name = 'outbox'"));
  auto opened = OutboxRelay::open(*client_, *relay_database_, wake_by_time(), {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kDatabaseSchema);
}

}  // namespace
}  // namespace leat::patterns
