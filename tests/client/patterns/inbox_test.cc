#include "client/patterns/inbox.h"

#include <thread>

#include <gmock/gmock.h>

#include "protocol/base/random.h"
#include "tests/client/patterns/databases.h"
#include "tests/client/patterns/some_records.h"

namespace leat::patterns {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class InboxTest : public Databases {
 protected:
  void SetUp() override {
    Databases::SetUp();
    ASSERT_TRUE(db().run_script("CREATE TABLE effect (n BIGINT NOT NULL)"));
  }
  Inbox inbox(InboxBy by = InboxBy::kMessageId, const std::string& consumer = "billing") {
    auto opened = Inbox::open(db(), {.consumer = consumer, .by = by});
    EXPECT_TRUE(opened) << (opened ? "" : opened.error().message());
    return std::move(*opened);
  }
  // Whether it was new; its effect is there once.
  bool process(Inbox& inbox, const ConsumedRecord& record) {
    auto fresh = inbox.begin(record);
    EXPECT_TRUE(fresh) << (fresh ? "" : fresh.error().message());
    EXPECT_EQ(db().in_transaction(), *fresh);
    if (!*fresh) return false;
    EXPECT_TRUE(db().execute("INSERT INTO effect VALUES ($1)", {record.offset.value}));
    EXPECT_TRUE(inbox.commit());
    return true;
  }
  std::int64_t effects() { return number("SELECT count(*) FROM effect"); }
};
LEAT_ON_EVERY_DATABASE(InboxTest);

TEST_P(InboxTest, ARecordIsNewOnce) {
  Inbox in = inbox();
  const SomeRecord first(1), second(2);
  EXPECT_TRUE(process(in, first));
  EXPECT_FALSE(process(in, first));
  EXPECT_TRUE(process(in, second));
  EXPECT_FALSE(process(in, first));
  EXPECT_EQ(effects(), 2);
  EXPECT_EQ(in.swallowed(), 2u);
}

TEST_P(InboxTest, TheIdIsKnownAtAnyPlace) {
  Inbox in = inbox();
  EXPECT_TRUE(process(in, SomeRecord(1).id("order-1")));
  EXPECT_FALSE(process(in, SomeRecord(9).id("order-1")));
  EXPECT_TRUE(process(in, SomeRecord(1).id("order-2")));
}

// Rule 7: a topic created again is another one.
TEST_P(InboxTest, TheSamePlaceOfATopicCreatedAgainIsAnother) {
  for (const InboxBy by : {InboxBy::kMessageId, InboxBy::kPosition}) {
    Inbox in = inbox(by, by == InboxBy::kPosition ? "by position" : "by id");
    EXPECT_TRUE(process(in, SomeRecord(1)));
    EXPECT_TRUE(process(in, SomeRecord(1).topic(2)));
    EXPECT_FALSE(process(in, SomeRecord(1)));
  }
}

TEST_P(InboxTest, WhatIsRolledBackNeverCame) {
  for (const InboxBy by : {InboxBy::kMessageId, InboxBy::kPosition}) {
    Inbox in = inbox(by, by == InboxBy::kPosition ? "by position" : "by id");
    auto fresh = in.begin(SomeRecord(1));
    ASSERT_TRUE(fresh);
    EXPECT_TRUE(*fresh);
    in.rollback();
    EXPECT_FALSE(db().in_transaction());
    EXPECT_TRUE(process(in, SomeRecord(1)));
  }
}

TEST_P(InboxTest, ConsumersDoNotKnowEachOthers) {
  Inbox billing = inbox(), stock = inbox(InboxBy::kMessageId, "stock");
  EXPECT_TRUE(process(billing, SomeRecord(1)));
  EXPECT_TRUE(process(stock, SomeRecord(1)));
  EXPECT_FALSE(process(stock, SomeRecord(1)));
}

TEST_P(InboxTest, ByPositionOneRowAPartitionIsEnough) {
  Inbox in = inbox(InboxBy::kPosition);
  for (int offset = 0; offset < 100; ++offset)
    for (int partition = 0; partition < 3; ++partition)
      EXPECT_TRUE(process(in, SomeRecord(offset).partition(partition)));
  for (int offset = 0; offset < 100; ++offset)
    EXPECT_FALSE(process(in, SomeRecord(offset).partition(1)));
  EXPECT_EQ(number("SELECT count(*) FROM leat_inbox_position"), 3);
  EXPECT_EQ(number("SELECT count(*) FROM leat_inbox"), 0);
}

// A crash cut the log, below `sync`, and the offset was given again.
TEST_P(InboxTest, ByPositionAnOffsetWithANewEpochIsAnotherRecord) {
  Inbox in = inbox(InboxBy::kPosition);
  EXPECT_TRUE(process(in, SomeRecord(9).epoch(1)));
  EXPECT_TRUE(process(in, SomeRecord(5).epoch(2)));
  EXPECT_FALSE(process(in, SomeRecord(5).epoch(2)));
  EXPECT_FALSE(process(in, SomeRecord(9).epoch(1)));
  EXPECT_TRUE(process(in, SomeRecord(6).epoch(2)));
}

TEST_P(InboxTest, TwoAtOnceProcessItOnce) {
  Inbox here = inbox();
  const auto other = open();
  auto there = Inbox::open(*other, {.consumer = "billing"});
  ASSERT_TRUE(there);
  auto fresh = here.begin(SomeRecord(1));
  ASSERT_TRUE(fresh && *fresh);
  std::thread thread([&] {
    auto late = there->begin(SomeRecord(1));
    ASSERT_TRUE(late) << late.error().message();
    EXPECT_FALSE(*late);
  });
  std::this_thread::sleep_for(20ms);
  ASSERT_TRUE(here.commit());
  thread.join();
}

TEST_P(InboxTest, ForgetsWhatIsOlderThanItsWindowInPieces) {
  auto opened = Inbox::open(db(), {.consumer = "billing", .window = 48h, .redrive_horizon = 24h});
  ASSERT_TRUE(opened);
  for (int i = 0; i < 25; ++i) process(*opened, SomeRecord(i));
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  EXPECT_EQ(*opened->clean_up(now, 10), 0);
  EXPECT_EQ(*opened->clean_up(now + 49h, 10), 10);
  EXPECT_EQ(number("SELECT count(*) FROM leat_inbox"), 15);
  EXPECT_EQ(*opened->clean_up(now + 49h, 100), 15);
  EXPECT_EQ(*opened->clean_up(now + 49h, 100), 0);
}

// It looks at ten times as many as it may forget, and goes on where another stopped.
TEST_P(InboxTest, CleaningUpGoesThroughAllIdsInPieces) {
  Inbox in = inbox();
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto old = (now - in.options().window - 1h).time_since_epoch().count();
  const auto remember = [&](const std::string& id, std::int64_t processed_ms) {
    EXPECT_TRUE(db().execute("INSERT INTO leat_inbox VALUES ('billing', $1, $2)",
                             {as_bytes(id), processed_ms}));
  };
  for (int i = 10; i < 35; ++i)
    remember("young " + std::to_string(i), now.time_since_epoch().count());
  for (int i = 0; i < 3; ++i) remember("zebra " + std::to_string(i), old);
  EXPECT_EQ(*in.clean_up(now, 1), 0);  // 10 to 19
  EXPECT_EQ(*in.clean_up(now, 1), 0);  // 20 to 29
  EXPECT_EQ(*in.clean_up(now, 1), 1);  // as far as the first zebra
  Inbox another = inbox();
  EXPECT_EQ(*another.clean_up(now, 1), 1);
  remember("aardvark", old);
  EXPECT_EQ(*another.clean_up(now, 1), 1);  // the last
  EXPECT_EQ(number("SELECT count(*) FROM leat_inbox"), 26);
  EXPECT_EQ(*another.clean_up(now, 1), 0);  // nothing is behind that: from the beginning
  EXPECT_EQ(*another.clean_up(now, 1), 1);
  EXPECT_EQ(number("SELECT count(*) FROM leat_inbox"), 25);
}

TEST_P(InboxTest, CleaningUpLeavesOthersAlone) {
  Inbox billing = inbox(), stock = inbox(InboxBy::kMessageId, "stock");
  process(billing, SomeRecord(1));
  process(stock, SomeRecord(1));
  const auto later =
      std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now() + 24h * 30);
  EXPECT_EQ(*stock.clean_up(later), 1);
  EXPECT_FALSE(process(billing, SomeRecord(1)));
}

TEST_P(InboxTest, RefusesAWindowThatRedrivenLettersOutlive) {
  auto opened = Inbox::open(db(), {.consumer = "billing", .window = 1h, .redrive_horizon = 2h});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kInvalidConfig);
  EXPECT_THAT(opened.error().message(), HasSubstr("window"));
  EXPECT_FALSE(Inbox::open(db(), {.consumer = ""}));
}

TEST_P(InboxTest, RefusesTablesOfAnotherVersion) {
  inbox();
  ASSERT_TRUE(db().execute("UPDATE leat_schema SET version = 99 WHERE name = 'inbox'"));
  auto opened = Inbox::open(db(), {.consumer = "billing"});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kDatabaseSchema);
  EXPECT_THAT(opened.error().message(), HasSubstr("99"));
  EXPECT_FALSE(db().in_transaction());
}

// As version 1 made them.
constexpr const char* kVersion1Sqlite = R"(
CREATE TABLE leat_schema (name TEXT PRIMARY KEY, version BIGINT NOT NULL);
INSERT INTO leat_schema VALUES ('inbox', 1);
CREATE TABLE leat_inbox (
  number INTEGER PRIMARY KEY, consumer TEXT NOT NULL, message_id BLOB NOT NULL,
  processed_ms INTEGER NOT NULL, UNIQUE (consumer, message_id));
CREATE TABLE leat_inbox_position (
  consumer TEXT NOT NULL, topic_id TEXT NOT NULL, partition INTEGER NOT NULL,
  epoch INTEGER NOT NULL, record_offset INTEGER NOT NULL,
  PRIMARY KEY (consumer, topic_id, partition)) WITHOUT ROWID;
)";
constexpr const char* kVersion1Postgres = R"(
CREATE TABLE leat_schema (name TEXT PRIMARY KEY, version BIGINT NOT NULL);
INSERT INTO leat_schema VALUES ('inbox', 1);
CREATE TABLE leat_inbox (
  consumer TEXT NOT NULL, message_id BYTEA NOT NULL, processed_ms BIGINT NOT NULL,
  PRIMARY KEY (consumer, message_id));
CREATE INDEX leat_inbox_age ON leat_inbox USING brin (processed_ms);
CREATE TABLE leat_inbox_position (
  consumer TEXT NOT NULL, topic_id TEXT NOT NULL, partition BIGINT NOT NULL,
  epoch BIGINT NOT NULL, record_offset BIGINT NOT NULL,
  PRIMARY KEY (consumer, topic_id, partition));
)";

TEST_P(InboxTest, BringsOlderTablesUp) {
  ASSERT_TRUE(db().run_script(postgres() ? kVersion1Postgres : kVersion1Sqlite));
  const std::int64_t old = 1'000;
  for (const char* id : {"order-2", "order-1"})
    ASSERT_TRUE(db().execute(
        "INSERT INTO leat_inbox (consumer, message_id, processed_ms) VALUES ('billing', $1, $2)",
        {as_bytes(std::string_view(id)), old}));
  const auto other = open();
  auto there = other->execute("SELECT count(*) FROM leat_inbox");  // prepared before
  Inbox in = inbox();
  EXPECT_EQ(number("SELECT version FROM leat_schema WHERE name = 'inbox'"), 2);
  EXPECT_FALSE(process(in, SomeRecord(1).id("order-1")));
  EXPECT_FALSE(process(in, SomeRecord(2).id("order-2")));
  EXPECT_TRUE(process(in, SomeRecord(3).id("order-3")));
  there = other->execute("SELECT count(*) FROM leat_inbox");
  ASSERT_TRUE(there) << there.error().message();
  EXPECT_EQ(there->integer(0, 0), 3);
  EXPECT_EQ(
      *in.clean_up(std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now())),
      2);
  EXPECT_EQ(number(postgres() ? "SELECT count(*) FROM pg_indexes WHERE tablename = 'leat_inbox'"
                              : "SELECT count(*) FROM pragma_index_list('leat_inbox')"),
            1);  // of its key
  EXPECT_FALSE(process(in, SomeRecord(3).id("order-3")));
}

TEST_P(InboxTest, SaysSoWhenItsTableIsGone) {
  Inbox in = inbox();
  ASSERT_TRUE(db().run_script("DROP TABLE leat_inbox"));
  auto begun = in.begin(SomeRecord(1));
  ASSERT_FALSE(begun);
  EXPECT_EQ(begun.error().code, ErrorCode::kDatabaseSchema) << begun.error().message();
  EXPECT_FALSE(db().in_transaction());
}

TEST_P(InboxTest, ManyMayOpenItAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([this] {
      const auto own = open();
      auto opened = Inbox::open(*own, {.consumer = "billing"});
      EXPECT_TRUE(opened) << opened.error().message();
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace leat::patterns
