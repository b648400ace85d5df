// Records that go before their topic does: at somebody's word, and how those who read them fare.
#include "tests/server/broker_fixture.h"

namespace leat::broker {
namespace {

using namespace std::chrono_literals;

class OldRecordsTest : public BrokerFixture {
 protected:
  // Batches of three, at 100, 200 … ms.
  TopicId filled(int batches, TopicConfig config = {}) {
    const TopicId topic = create("orders", 2, config);
    for (int i = 0; i < batches; ++i) produce(topic, 3, 100 * (i + 1));
    storage.make_durable(broker);
    sink.replies.clear();
    return topic;
  }
  Offset log_start(const TopicId& topic) const {
    return storage.bounds(partition_id(topic)).log_start;
  }
  void forget(const TopicId& topic, std::optional<Offset> before) {
    broker.delete_records(next(), {topic, PartitionIndex(0), before});
  }
};

TEST_F(OldRecordsTest, RecordsBelowAnOffsetGoAndTheReplyWaitsUntilThatIsDurable) {
  const TopicId topic = filled(4);
  forget(topic, Offset(5));
  EXPECT_TRUE(sink.replies.empty());
  EXPECT_EQ(log_start(topic), Offset(5));
  storage.make_durable(broker);
  ASSERT_TRUE(last<RecordsDeleted>());
  EXPECT_EQ(last<RecordsDeleted>()->log_start, Offset(5));
  // Once more, or less: nothing happens, so there is nothing to wait for.
  for (const Offset before : {Offset(5), Offset(0)}) {
    sink.replies.clear();
    forget(topic, before);
    ASSERT_TRUE(last<RecordsDeleted>());
    EXPECT_EQ(last<RecordsDeleted>()->log_start, Offset(5));
  }
  forget(topic, std::nullopt);
  storage.make_durable(broker);
  EXPECT_EQ(last<RecordsDeleted>()->log_start, Offset(12));
}

TEST_F(OldRecordsTest, WhatIsNotThereIsNamedWithWhatIs) {
  const TopicId topic = filled(2);
  for (const Offset before : {Offset(7), Offset(-2), Offset(INT64_MAX), Offset(INT64_MIN)}) {
    forget(topic, before);
    EXPECT_EQ(error().code, ErrorCode::kOffsetOutOfRange) << before.value;
    EXPECT_NE(error().detail.find("holds 0 to 6"), std::string::npos) << error().detail;
  }
  broker.delete_records(next(), {topic, PartitionIndex(2), Offset(0)});
  EXPECT_EQ(error().code, ErrorCode::kUnknownPartition);
  broker.delete_records(next(), {TopicId(), PartitionIndex(0), Offset(0)});
  EXPECT_EQ(error().code, ErrorCode::kUnknownTopic);
  storage.failed = true;
  forget(topic, Offset(3));
  EXPECT_EQ(error().code, ErrorCode::kStorageFailed);
  EXPECT_EQ(log_start(topic), Offset(0));
}

TEST_F(OldRecordsTest, ReadersBelowTheLogStartAreToldWhereItIs) {
  const TopicId topic = filled(4);
  forget(topic, Offset(7));
  storage.make_durable(broker);
  fetch({topic, PartitionIndex(0), Offset(6), 1 << 20}, 0ms);
  EXPECT_EQ(error().code, ErrorCode::kOffsetOutOfRange);
  EXPECT_NE(error().detail.find("holds 7 to 12"), std::string::npos) << error().detail;
  broker.subscriptions().subscribe(
      next(), {1, topic, PartitionIndex(0), Offset(6), LeaderEpoch(-1), {9, 1 << 20}, 1 << 20});
  EXPECT_EQ(error().code, ErrorCode::kOffsetOutOfRange);
  fetch({topic, PartitionIndex(0), Offset(7), 1 << 20}, 0ms);
  EXPECT_EQ(error().code, ErrorCode::kOk);
  EXPECT_EQ(fetched()->bounds.log_start, Offset(7));
}

TEST_F(OldRecordsTest, AFetchThatWaitsAtTheEndGoesOnWaiting) {
  const TopicId topic = filled(2);
  fetch({topic, PartitionIndex(0), Offset(6), 1 << 20}, 10s);
  forget(topic, std::nullopt);
  storage.make_durable(broker);
  sink.replies.clear();
  produce(topic);
  storage.make_durable(broker);
  ASSERT_FALSE(sink.replies.empty());
  const auto* answer = std::get_if<Fetched>(&sink.replies.front().second);
  if (!answer) answer = last<Fetched>();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->partitions[0].batches.size(), 1u);
  EXPECT_EQ(answer->partitions[0].bounds.log_start, Offset(6));
}

TEST_F(OldRecordsTest, ASubscriptionThatLagsBehindIsEndedAndTheOthersGoOn) {
  const TopicId topic = filled(4), other = create("other", 1);
  produce(other);
  storage.make_durable(broker);
  const auto subscribe = [&](std::uint32_t id, const TopicId& to, std::uint64_t records) {
    broker.subscriptions().subscribe(
        next(),
        {id, to, PartitionIndex(0), Offset(0), LeaderEpoch(-1), {records, 1 << 20}, 1 << 20});
  };
  const auto pushed = [&] { return broker.subscriptions().next_push(ConnectionId(1)); };
  subscribe(1, topic, 2);  // has the first batch, and no grant for more
  ASSERT_TRUE(pushed());
  ASSERT_FALSE(pushed());
  forget(topic, Offset(8));
  EXPECT_TRUE(sink.ended.empty());
  // As soon as it could have more.
  broker.subscriptions().grant(ConnectionId(1), 1, {100, 1 << 20});
  subscribe(2, other, 9);
  const auto push = pushed();
  ASSERT_TRUE(push);
  EXPECT_EQ(push->subscription, 2u);
  ASSERT_EQ(sink.ended.size(), 1u);
  EXPECT_EQ(sink.ended[0], std::pair(1u, ErrorCode::kOffsetOutOfRange));
  EXPECT_FALSE(pushed());
}

TEST_F(OldRecordsTest, WhatASubscriptionHasReadBeforeIsDelivered) {
  const TopicId topic = filled(2);
  storage.reads_later = true;
  broker.subscriptions().subscribe(
      next(), {1, topic, PartitionIndex(0), Offset(0), LeaderEpoch(-1), {9, 1 << 20}, 1 << 20});
  const auto pushed = [&] { return broker.subscriptions().next_push(ConnectionId(1)); };
  EXPECT_FALSE(pushed());
  auto read = storage.result_of(partition_id(topic), Offset(0), 1);
  forget(topic, Offset(6));
  broker.on_read(storage.waiting_reads.front(), std::move(read));
  const auto push = pushed();
  ASSERT_TRUE(push);
  EXPECT_EQ(push->bounds.log_start, Offset(6));
  EXPECT_FALSE(pushed());
  ASSERT_EQ(sink.ended.size(), 1u);
}

// ---- room ----

class FullTest : public OldRecordsTest {
 protected:
  static constexpr std::uint64_t kMost = 64'000;
  static std::vector<std::byte> batch_of(std::size_t bytes, ProducerIdentity producer = {},
                                         std::int32_t sequence = -1) {
    RecordBatchBuilder builder;
    const std::string value(bytes - 200, 'x');
    builder.append({as_bytes("k"), as_bytes(value), {}}, 1);
    builder.set_producer(producer, sequence);
    return builder.take();
  }
  void send(const TopicId& topic, Bytes batch) {
    small.produces().produce(next(), topic, PartitionIndex(0), batch, at());
    storage.make_durable(small);
  }
  void fill(const TopicId& topic) {
    while (storage.stored_bytes() < kMost - 5'000) send(topic, batch_of(5'000));
    storage.drops.clear();
  }
  TopicId drops = create("drops", 1, {.on_full = OnFull::kDropOldest}),
          rejects = create("rejects", 1);
  Broker small{{.max_stored_bytes = kMost}, storage, checker, Random(3), sink, at()};
};

TEST_F(FullTest, TheOldestMakeRoomWhereTheTopicSaysSo) {
  fill(drops);
  storage.droppable = 20'000;
  send(drops, batch_of(9'000));
  EXPECT_TRUE(last<Produced>());
  ASSERT_EQ(storage.drops.size(), 1u);
  EXPECT_GE(storage.drops[0], 8'000u);  // as much as came, so that it need not be done each time
  EXPECT_LE(storage.stored_bytes(), kMost);
  fill(drops);
  for (int i = 0; i < 20 && storage.drops.empty(); ++i) send(drops, batch_of(300));
  ASSERT_EQ(storage.drops.size(), 1u);
  EXPECT_EQ(storage.drops[0], kMost / 64);
}

TEST_F(FullTest, WhereItDoesNotTheRecordIsRefusedAndNothingGoes) {
  fill(drops);
  storage.droppable = 20'000;
  send(rejects, batch_of(9'000));
  EXPECT_EQ(error().code, ErrorCode::kNoSpace);
  EXPECT_TRUE(storage.drops.empty());
}

TEST_F(FullTest, LittleThatCanGoIsEnoughIfItIsEnough) {
  fill(drops);
  const std::uint64_t least = storage.stored_bytes() + 5'900 - kMost;
  storage.droppable = least + 100;  // less than the slack
  ASSERT_LT(storage.droppable, 5'900u);
  send(drops, batch_of(6'000));
  EXPECT_TRUE(last<Produced>());
  send(drops, batch_of(6'000));
  EXPECT_EQ(error().code, ErrorCode::kNoSpace);
}

TEST_F(FullTest, ABatchThatCanNeverFitCostsNothing) {
  fill(drops);
  storage.droppable = kMost;
  send(drops, batch_of(kMost + 1'000));
  EXPECT_EQ(error().code, ErrorCode::kNoSpace);
  EXPECT_TRUE(storage.drops.empty());
}

TEST_F(FullTest, WhatIsStoredAlreadyNeedsNoRoom) {
  const auto issued = storage.init_producer(std::nullopt, 0).value();
  const auto batch = batch_of(5'000, {issued.id, issued.epoch}, 0);
  send(rejects, batch);
  fill(drops);
  send(rejects, batch);
  ASSERT_TRUE(last<Produced>());
  EXPECT_TRUE(last<Produced>()->duplicate);
}

// ---- settings ----

TEST_F(OldRecordsTest, ATopicIsConfiguredAsAWholeAndToldWhenDurable) {
  create("orders", 2);
  const TopicConfig config{.cleanup = Cleanup::kCompactDelete, .retention = {1h, 2, 3}};
  broker.configure_topic(next(), "orders", config, now);
  EXPECT_TRUE(sink.replies.empty());
  storage.make_durable(broker);
  ASSERT_TRUE(last<TopicDescription>());
  EXPECT_EQ(last<TopicDescription>()->config, config);
  EXPECT_EQ(storage.find_topic("orders")->config, config);
  // The same again: nothing is written.
  sink.replies.clear();
  broker.configure_topic(next(), "orders", config, now);
  EXPECT_TRUE(last<TopicDescription>());
}

TEST_F(OldRecordsTest, WhatATopicCannotBeIsRefusedAndNothingChanges) {
  create("orders", 2);
  broker.configure_topic(next(), "orders", {.cleanup = static_cast<Cleanup>(0)}, now);
  EXPECT_EQ(error().code, ErrorCode::kInvalidRequest);
  broker.create_topic(next(), {"t", 1, false, {.retention = {.bytes = -2}}}, at());
  EXPECT_EQ(error().code, ErrorCode::kInvalidRequest);
  broker.configure_topic(next(), "none", {}, now);
  EXPECT_EQ(error().code, ErrorCode::kUnknownTopic);
  storage.failed = true;
  broker.configure_topic(next(), "orders", {.retention = {.bytes = 1}}, now);
  EXPECT_EQ(error().code, ErrorCode::kStorageFailed);
  EXPECT_EQ(storage.find_topic("orders")->config, TopicConfig());
}

}  // namespace
}  // namespace leat::broker
