// The consumer's logic without a broker: where partitions begin, what is granted, what comes out.
#include "client/consumer_logic.h"

#include <gtest/gtest.h>

#include "protocol/base/random.h"

namespace leat {
namespace {

const TopicId kTopic{{1}};
const auto kName = std::make_shared<const std::string>("orders");

PartitionKey key(std::int32_t partition) {
  return {kTopic, PartitionIndex(partition)};
}

std::vector<std::byte> batch_at(std::int64_t base, int records, int epoch = 0) {
  RecordBatchBuilder builder;
  for (int i = 0; i < records; ++i) builder.append({{}, as_bytes(std::to_string(base + i)), {}}, 1);
  auto bytes = builder.take();
  assign_offset(bytes, Offset(base), LeaderEpoch(epoch));
  return bytes;
}

class ConsumerLogicTest : public ::testing::Test {
 protected:
  ConsumerLogicTest() { make({}); }
  void make(ConsumerOptions options) {
    logic.emplace(options, [this] { return ++numbers; });
  }
  // Assigned, and its log known to hold `start` to `end`.
  void assign(std::int32_t partition = 0, std::int64_t start = 0, std::int64_t end = 0) {
    logic->assign(key(partition), kName);
    const auto wanted = logic->wanted();
    EXPECT_EQ(wanted.bounds.size(), 1u);
    std::vector<ConsumerLogic::Bounds> bounds(static_cast<std::size_t>(partition) + 1,
                                              {Offset(start), Offset(end)});
    logic->bounds(kTopic, bounds);
  }
  // Subscribes and gives its number and where it begins.
  ConsumerLogic::Subscribe subscribe() {
    const auto wanted = logic->wanted();
    EXPECT_EQ(wanted.subscribe.size(), 1u);
    return wanted.subscribe.empty() ? ConsumerLogic::Subscribe{} : wanted.subscribe[0];
  }
  void push(std::uint32_t subscription, const std::vector<std::byte>& batch) {
    logic->pushed(subscription, batch, Offset(1'000));
  }
  std::string values() {
    std::string text;
    auto records = logic->take();
    if (!records) return "error " + std::string(error_info(records.error().code).name);
    for (const ConsumedRecord& record : *records) text.append(as_text(*record.value)).append(" ");
    return text;
  }

  std::uint32_t numbers = 0;
  std::optional<ConsumerLogic> logic;
};

TEST_F(ConsumerLogicTest, ABatchThatBeganBelowThePositionIsCut) {
  make({.start = StartFrom::offset(12)});
  assign(0, 0, 15);
  const auto subscription = subscribe();
  EXPECT_EQ(subscription.from.offset, Offset(12));
  push(subscription.subscription, batch_at(10, 5));
  EXPECT_EQ(values(), "12 13 14 ");
  EXPECT_EQ(logic->positions()[0].position.offset, Offset(15));
  push(subscription.subscription, batch_at(16, 2));  // a gap
  EXPECT_EQ(values(), "error InvalidBatch");
  EXPECT_EQ(values(), "");  // told once
}

TEST_F(ConsumerLogicTest, BeginsWhereItIsTold) {
  const std::pair<StartFrom, std::int64_t> cases[] = {{StartFrom::earliest(), 5},
                                                      {StartFrom::latest(), 20},
                                                      {StartFrom::last(3), 17},
                                                      {StartFrom::last(99), 5},
                                                      {StartFrom::offset(20), 20}};
  for (const auto& [start, expected] : cases) {
    make({.start = start});
    assign(0, 5, 20);
    EXPECT_EQ(subscribe().from.offset, Offset(expected));
  }
  make({.start = StartFrom::offset(21)});
  assign(0, 5, 20);
  EXPECT_EQ(values(), "error OffsetOutOfRange");
  make({.start = StartFrom::time(Timestamp(std::chrono::milliseconds(77)))});
  logic->assign(key(0), kName);
  const auto wanted = logic->wanted();
  ASSERT_EQ(wanted.times.size(), 1u);
  EXPECT_EQ(wanted.times[0].timestamp_ms, 77);
  logic->found(key(0), Offset(9));
  EXPECT_EQ(subscribe().from.offset, Offset(9));
}

TEST_F(ConsumerLogicTest, ACommittedOffsetGoesFirst) {
  make({.group = Group{"g"}, .start = StartFrom::latest()});
  logic->assign(key(0), kName);
  logic->assign(key(1), kName);
  auto wanted = logic->wanted();
  EXPECT_EQ(wanted.committed, (std::vector{key(0), key(1)}));
  logic->disconnected();
  wanted = logic->wanted();  // asked again
  logic->committed(wanted.committed, {{key(0), {Offset(7), 3}}});
  wanted = logic->wanted();
  ASSERT_EQ(wanted.subscribe.size(), 1u);
  EXPECT_EQ(wanted.subscribe[0].from.offset, Offset(7));
  EXPECT_EQ(wanted.subscribe[0].from.leader_epoch, 3);
  EXPECT_EQ(wanted.bounds.size(), 1u);  // for the other
  EXPECT_FALSE(logic->resolved());
  logic->bounds(kTopic, {{Offset(0), Offset(9)}, {Offset(0), Offset(4)}});
  EXPECT_EQ(subscribe().from.offset, Offset(4));
  EXPECT_TRUE(logic->resolved());
}

TEST_F(ConsumerLogicTest, AnOffsetOutOfRangeFollowsThePolicy) {
  for (const auto policy : {OnReset::kEarliest, OnReset::kLatest, OnReset::kError}) {
    make({.group = Group{"g"}, .on_reset = policy});
    logic->assign(key(0), kName);
    logic->committed(logic->wanted().committed, {{key(0), {Offset(99), -1}}});
    logic->ended(subscribe().subscription, ErrorCode::kOffsetOutOfRange);
    if (policy == OnReset::kError) {
      EXPECT_EQ(values(), "error OffsetOutOfRange");
      continue;
    }
    EXPECT_EQ(logic->wanted().bounds.size(), 1u);
    logic->bounds(kTopic, {{Offset(3), Offset(8)}});
    EXPECT_EQ(subscribe().from.offset, Offset(policy == OnReset::kEarliest ? 3 : 8));
  }
}

// It lags behind retention: what it had goes out, what is gone is counted, and on it goes.
TEST_F(ConsumerLogicTest, WhatIsGoneIsJumpedOverAndCounted) {
  for (const bool half_given : {false, true}) {
    make({.group = Group{"g"}});
    logic->assign(key(0), kName);
    logic->committed(logic->wanted().committed, {{key(0), {Offset(10), 1}}});
    const auto lagging = subscribe();
    push(lagging.subscription, batch_at(10, 3));
    if (half_given) {
      EXPECT_EQ((*logic->next())->offset, Offset(10));
    }
    logic->ended(lagging.subscription, ErrorCode::kOffsetOutOfRange);
    EXPECT_EQ(logic->wanted().bounds.size(), 1u);
    logic->bounds(kTopic, {{Offset(21), Offset(30)}});
    EXPECT_EQ(logic->skipped(), 8);  // 13 to 20
    const auto goes_on = subscribe();
    EXPECT_EQ(goes_on.from.offset, Offset(21));
    EXPECT_EQ(goes_on.from.leader_epoch, -1);
    EXPECT_EQ(logic->positions()[0].position.offset, Offset(half_given ? 11 : 10));
    push(goes_on.subscription, batch_at(20, 3));  // begins below
    EXPECT_EQ(values(), half_given ? "11 12 " : "10 11 12 ");
    EXPECT_EQ(values(), "21 22 ");
    EXPECT_EQ(logic->positions()[0].position.offset, Offset(23));
    EXPECT_EQ(logic->skipped(), 8);
  }
}

// Where nothing is left, the position is the end all the same.
TEST_F(ConsumerLogicTest, WhereEverythingIsGoneThePositionIsTheLogStart) {
  for (const int given : {0, 1, 3}) {
    make({});
    assign(0, 0, 3);
    const auto lagging = subscribe();
    push(lagging.subscription, batch_at(0, 3));
    for (int i = 0; i < given; ++i) EXPECT_TRUE(*logic->next());
    logic->ended(lagging.subscription, ErrorCode::kOffsetOutOfRange);
    logic->wanted();
    logic->bounds(kTopic, {{Offset(9), Offset(9)}});
    while (*logic->next()) {
    }
    EXPECT_EQ(logic->positions()[0].position.offset, Offset(9)) << given;
    EXPECT_EQ(logic->skipped(), 6);
  }
}

TEST_F(ConsumerLogicTest, ACutLogIsToldOnceAndReadOn) {
  assign();
  const auto first = subscribe();
  push(first.subscription, batch_at(0, 10, 4));
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(*logic->next());
  logic->disconnected();
  const auto second = subscribe();
  EXPECT_EQ(second.from.offset, Offset(10));
  EXPECT_EQ(second.from.leader_epoch, 4);
  logic->ended(second.subscription, ErrorCode::kLogTruncated);
  logic->wanted();
  logic->bounds(kTopic, {{Offset(0), Offset(6)}});
  EXPECT_EQ(values(), "error LogTruncated");
  const auto third = subscribe();
  EXPECT_EQ(third.from.offset, Offset(4));  // what was cut was not handed out
  EXPECT_EQ(third.from.leader_epoch, -1);
  push(third.subscription, batch_at(4, 3, 5));
  EXPECT_EQ(values(), "4 5 6 ");
  logic->ended(third.subscription, ErrorCode::kLogTruncated);
  logic->wanted();
  logic->bounds(kTopic, {{Offset(0), Offset(5)}});
  EXPECT_EQ(values(), "error LogTruncated");
  EXPECT_EQ(subscribe().from.offset, Offset(5));
}

TEST_F(ConsumerLogicTest, GrantsAsRoomIsMadeAndNeverMore) {
  const auto batch = batch_at(0, 10);
  make({.prefetch_bytes = 4 * batch.size()});
  assign();
  const auto subscription = subscribe();
  EXPECT_EQ(subscription.bytes, 4 * batch.size());
  for (int i = 0; i < 4; ++i) push(subscription.subscription, batch_at(10 * i, 10));
  EXPECT_TRUE(logic->wanted().grants.empty());
  values();
  EXPECT_TRUE(logic->wanted().grants.empty());  // not worth a frame
  values();
  const auto wanted = logic->wanted();
  ASSERT_EQ(wanted.grants.size(), 1u);
  EXPECT_GT(wanted.grants[0].bytes, 5 * batch.size());
  EXPECT_LT(wanted.grants[0].bytes, 7 * batch.size());
}

TEST_F(ConsumerLogicTest, WhatComesForAnEarlierSubscriptionIsIgnored) {
  assign();
  const auto early = subscribe();
  logic->seek(key(0), Offset(5));
  auto wanted = logic->wanted();
  EXPECT_EQ(wanted.unsubscribe, std::vector{early.subscription});
  ASSERT_EQ(wanted.subscribe.size(), 1u);
  push(early.subscription, batch_at(0, 5));
  EXPECT_FALSE(logic->holds_something());
  push(wanted.subscribe[0].subscription, batch_at(5, 2));
  EXPECT_EQ(values(), "5 6 ");
  logic->remove(key(0));
  push(wanted.subscribe[0].subscription, batch_at(7, 2));
  EXPECT_FALSE(logic->holds_something());
  EXPECT_TRUE(logic->positions().empty());
}

TEST_F(ConsumerLogicTest, OneByOneEachRecordMovesThePosition) {
  assign();
  push(subscribe().subscription, batch_at(0, 3));
  for (std::int64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(logic->positions()[0].position.offset, Offset(i));
    const auto record = logic->next();
    ASSERT_TRUE(record && *record);
    EXPECT_EQ((*record)->offset, Offset(i));
    EXPECT_EQ(logic->positions(true)[0].position.offset, Offset(i));  // not worked on so far
    logic->came_for_more();
    EXPECT_EQ(logic->positions(true)[0].position.offset, Offset(i + 1));
  }
  EXPECT_FALSE(*logic->next());
}

TEST_F(ConsumerLogicTest, APausedPartitionIsPassedOverAndLosesNothing) {
  assign(0);
  const auto first = subscribe();
  assign(1);
  const auto second = subscribe();
  push(first.subscription, batch_at(0, 3));
  push(second.subscription, batch_at(0, 2));
  EXPECT_EQ((*logic->next())->partition, PartitionIndex(0));
  logic->pause(key(0), true);
  EXPECT_EQ((*logic->next())->partition, PartitionIndex(1));
  EXPECT_EQ(values(), "1 ");
  EXPECT_FALSE(logic->holds_something());
  logic->pause(key(0), false);
  EXPECT_EQ(values(), "1 2 ");
}

TEST_F(ConsumerLogicTest, FetchesWhereTheBrokerCannotPush) {
  assign();
  logic->ended(subscribe().subscription, ErrorCode::kUnsupportedRequest);
  auto wanted = logic->wanted();
  ASSERT_EQ(wanted.fetch.size(), 1u);
  EXPECT_TRUE(logic->wanted().fetch.empty());  // one under way
  logic->fetched(wanted.fetch[0].subscription, batch_at(0, 2), Offset(2));
  EXPECT_EQ(values(), "0 1 ");
  wanted = logic->wanted();
  ASSERT_EQ(wanted.fetch.size(), 1u);
  EXPECT_EQ(wanted.fetch[0].from.offset, Offset(2));
}

TEST_F(ConsumerLogicTest, RecordsOutliveTheLogic) {
  assign();
  push(subscribe().subscription, batch_at(0, 1));
  const SharedRecord record = **logic->next();
  logic.reset();
  EXPECT_EQ(as_text(*record.value), "0");
  EXPECT_EQ(record.topic, "orders");
}

std::vector<std::byte> compressed_batch_at(std::int64_t base, std::size_t value_bytes) {
  RecordBatchBuilder builder;
  builder.append({{}, as_bytes(std::string(value_bytes, 'z')), {}}, 1);
  auto bytes = builder.take(Compression::kZstd);
  assign_offset(bytes, Offset(base), LeaderEpoch(0));
  return bytes;
}

// Ten batches in one delivery, each far larger once decompressed: they come a few at a time.
TEST_F(ConsumerLogicTest, CompressedDeliveriesAreTakenInPieces) {
  constexpr std::size_t kValue = 100'000;
  make({.prefetch_bytes = 2 * kValue});
  assign();
  std::vector<std::byte> delivery;
  for (std::int64_t base = 0; base < 10; ++base) {
    const auto batch = compressed_batch_at(base, kValue);
    ASSERT_LT(batch.size(), 1'000u);
    delivery.insert(delivery.end(), batch.begin(), batch.end());
  }
  push(subscribe().subscription, delivery);
  for (std::int64_t next = 0; next < 10;) {
    ASSERT_TRUE(logic->holds_something());
    const auto records = logic->take().value();
    ASSERT_GE(records.records.size(), 1u);
    ASSERT_LE(records.records.size(), 3u);
    for (const ConsumedRecord& record : records) {
      EXPECT_EQ(record.offset, Offset(next++));
      EXPECT_EQ(as_text(*record.value), std::string(kValue, 'z'));
    }
    EXPECT_EQ(logic->positions()[0].position.offset, Offset(next));
  }
  EXPECT_FALSE(logic->holds_something());
}

// What stands before it is given out; then the error, and nothing beyond.
TEST_F(ConsumerLogicTest, ABatchThatDecompressesToTooMuchStopsItsPartition) {
  make({.decompressed_bytes = 10'000});
  assign();
  auto delivery = compressed_batch_at(0, 5'000);
  const auto large = compressed_batch_at(1, 20'000);
  delivery.insert(delivery.end(), large.begin(), large.end());
  push(subscribe().subscription, delivery);
  EXPECT_EQ(logic->take()->records.size(), 1u);
  EXPECT_EQ(logic->take().error().code, ErrorCode::kBatchTooLarge);
  EXPECT_EQ(logic->positions()[0].position.offset, Offset(1));
  EXPECT_TRUE(logic->take()->records.empty());
  EXPECT_TRUE(logic->wanted().subscribe.empty());  // until seek()
}

// A broker that pushes within its grants over connections that break, a reader that takes, pauses
// and seeks at random: every offset once and in order, except behind a seek; bounded memory.
TEST_F(ConsumerLogicTest, NeitherSkipsNorGoesBackWhateverBreaks) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    const std::size_t one = batch_at(0, 1).size();
    make({.prefetch_bytes = 8 * one});
    assign(0, 0, 0);
    struct Sending {
      std::uint32_t subscription = 0;
      std::int64_t next = 0;
      std::uint64_t sent = 0, granted = 0;
    } broker;
    std::int64_t expected = 0;
    bool paused = false;
    for (int step = 0; step < 3'000; ++step) {
      switch (random.below(6)) {
        case 0: {
          const auto wanted = logic->wanted();
          for (const auto number : wanted.unsubscribe)
            if (number == broker.subscription) broker = {};
          for (const auto& begun : wanted.subscribe)
            broker = {begun.subscription, begun.from.offset.value, 0, begun.bytes};
          for (const auto& grant : wanted.grants)
            if (grant.subscription == broker.subscription) broker.granted = grant.bytes;
          break;
        }
        case 1:
        case 2: {
          if (broker.subscription == 0 || broker.sent >= broker.granted) break;
          const auto batch = batch_at(broker.next, 1 + static_cast<int>(random.below(3)));
          push(broker.subscription, batch);
          broker.sent += batch.size();
          broker.next = RecordBatchView::parse(batch)->last_offset().value + 1;
          break;
        }
        case 3: {
          const auto record = logic->next();
          ASSERT_TRUE(record) << "seed " << seed << ": " << record.error().message();
          if (!*record) break;
          ASSERT_FALSE(paused);
          ASSERT_EQ((*record)->offset, Offset(expected++)) << "seed " << seed;
          break;
        }
        case 4:
          paused = random.below(4) == 0;
          logic->pause(key(0), paused);
          break;
        default:
          if (random.below(10) == 0) {
            logic->disconnected();
            broker = {};
          } else if (random.below(20) == 0) {
            expected = static_cast<std::int64_t>(random.below(1'000));
            logic->seek(key(0), Offset(expected));
          }
      }
    }
    EXPECT_GT(expected, 0);
  }
}

}  // namespace
}  // namespace leat
