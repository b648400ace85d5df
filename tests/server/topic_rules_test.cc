// What a topic's settings ask of the batches that come, and topics that grow.
#include "tests/server/delivery/deliveries_fixture.h"

namespace leat::broker {
namespace {

constexpr TopicConfig kAppendTime{.timestamps = TimestampType::kAppendTime};

std::vector<std::byte> batch_of(std::size_t bytes, ProducerIdentity producer = {},
                                std::int32_t sequence = -1, const std::string& id = {},
                                Compression compression = Compression::kNone) {
  std::vector<RecordHeader> headers;
  if (!id.empty()) headers.push_back({"leat-id", as_bytes(id)});
  RecordBatchBuilder builder;
  builder.append({.value = as_bytes(std::string(bytes, 'v')), .headers = headers}, 7);
  builder.append({.value = as_bytes("second")}, 9);
  builder.set_producer(producer, sequence);
  return builder.take(compression);
}

class TopicRulesTest : public DeliveriesFixture {
 protected:
  static constexpr std::int64_t kStamp = 1'000'000'000;  // of when()

  void send(const TopicId& topic, const std::vector<std::byte>& batch) {
    broker.produces().produce(next(), topic, PartitionIndex(0), batch, when());
    storage.make_durable(broker);
  }
  // What lies in the topic's first partition.
  std::vector<RecordBatchView> stored(const TopicId& topic) {
    read = storage.result_of(partition_id(topic));
    std::vector<RecordBatchView> all;
    for (const auto& batches : read.batches) all.push_back(*RecordBatchView::parse(batches.bytes));
    return all;
  }
  std::string detail() const { return last<Error>() ? last<Error>()->detail : ""; }

  storage::ReadResult read;
};

// ---- timestamps ----

TEST_F(TopicRulesTest, WhereTheBrokerStampsEveryRecordHasTheTimeOfItsBatch) {
  const TopicId topic = create("stamped", 1, kAppendTime);
  send(topic, batch_of(10));
  ASSERT_TRUE(last<Produced>());
  EXPECT_EQ(last<Produced>()->append_time_ms, kStamp);
  const auto batches = stored(topic);
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_TRUE(batches[0].validate());  // its checksum, too
  EXPECT_TRUE(batches[0].log_append_time());
  EXPECT_EQ(batches[0].max_timestamp_ms(), kStamp);
  for (const RecordView& record : batches[0]) EXPECT_EQ(record.timestamp_ms, kStamp);
}

TEST_F(TopicRulesTest, ElsewhereABatchIsStoredAsItCame) {
  const TopicId topic = create("plain", 1);
  const auto batch = batch_of(10);
  send(topic, batch);
  EXPECT_EQ(last<Produced>()->append_time_ms, -1);
  const auto behind_epoch = [](Bytes bytes) {
    return as_text(bytes.subspan(batch_layout::kMagic));
  };
  EXPECT_EQ(behind_epoch(stored(topic)[0].bytes()), behind_epoch(batch));
}

TEST_F(TopicRulesTest, ARetryOfAStampedBatchIsKnownAndNotStoredAgain) {
  const TopicId topic = create("stamped", 1, kAppendTime);
  const auto issued = storage.init_producer(std::nullopt, 0).value();
  const auto batch = batch_of(10, {issued.id, issued.epoch}, 0);
  send(topic, batch);
  wall += 5s;
  send(topic, batch);
  ASSERT_TRUE(last<Produced>());
  EXPECT_TRUE(last<Produced>()->duplicate);
  EXPECT_EQ(last<Produced>()->base, Offset(0));
  EXPECT_EQ(last<Produced>()->append_time_ms, -1);  // not remembered
  EXPECT_EQ(stored(topic).size(), 1u);
}

TEST_F(TopicRulesTest, ABatchThatWaitedForItsCheckHasTheTimeItCame) {
  const TopicId topic = create("stamped", 1, kAppendTime);
  send(topic, batch_of(kCheckedInPlaceDecompressedBytes + 1, {}, -1, {}, Compression::kZstd));
  ASSERT_EQ(checker.waiting(), 1u);
  wall += 5s;
  checker.tell_all(broker);
  storage.make_durable(broker);
  ASSERT_TRUE(last<Produced>());
  EXPECT_EQ(last<Produced>()->append_time_ms, kStamp);
  const auto batches = stored(topic);
  EXPECT_TRUE(batches.at(0).validate());
  EXPECT_EQ(batches[0].max_timestamp_ms(), kStamp);
}

TEST_F(TopicRulesTest, WhatIsLeftOfABatchWithKnownIdsIsStampedToo) {
  const TopicId topic = create("stamped", 1, kAppendTime);
  send(topic, batch_of(10, {}, -1, "one"));
  wall += 5s;
  send(topic, batch_of(10, {}, -1, "one"));
  ASSERT_TRUE(last<Produced>());
  EXPECT_EQ(last<Produced>()->known.size(), 1u);
  EXPECT_EQ(last<Produced>()->append_time_ms, kStamp + 5'000);
  const auto batches = stored(topic);
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_TRUE(batches[1].check());
  EXPECT_EQ(batches[1].record_count(), 1);
  EXPECT_EQ(batches[1].max_timestamp_ms(), kStamp + 5'000);
}

TEST_F(TopicRulesTest, ADeadLetterIsStampedWhereItsTopicSaysSo) {
  const TopicId dead = create("orders.dlq", 1, kAppendTime);
  auto attaching = request();
  attaching.settings.max_deliveries = 1;
  attach(1, attaching);
  write({"a"});
  take(1);
  settle(1, 0, 0, Outcome::kReject, {}, "poison");
  storage.make_durable(broker);
  const auto letters = stored(dead);
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_TRUE(letters[0].validate());
  EXPECT_TRUE(letters[0].log_append_time());
  EXPECT_EQ(letters[0].max_timestamp_ms(), when().wall.time_since_epoch().count());
}

// ---- size ----

TEST_F(TopicRulesTest, ATopicMayTakeSmallerBatchesThanTheBroker) {
  const TopicId small = create("small", 1, {.max_batch_bytes = 200}), any = create("any", 1);
  const auto fits = batch_of(60), does_not = batch_of(300);
  ASSERT_LE(fits.size(), 200u);
  send(small, fits);
  EXPECT_TRUE(last<Produced>());
  send(small, does_not);
  EXPECT_EQ(last_error(), ErrorCode::kBatchTooLarge);
  EXPECT_EQ(detail(), std::to_string(does_not.size()) + " bytes; at most 200 in this topic");
  EXPECT_EQ(stored(small).size(), 1u);
  send(any, does_not);
  EXPECT_TRUE(last<Produced>());
  broker.configure_topic(next(), "small", {}, now);
  send(small, does_not);
  EXPECT_TRUE(last<Produced>());
}

TEST_F(TopicRulesTest, NoTopicPromisesMoreThanTheBrokerTakes) {
  const auto most = static_cast<std::int64_t>(broker.options().batch_bytes);
  broker.create_topic(next(), {"t", 1, false, {.max_batch_bytes = most + 1}}, at());
  storage.make_durable(broker);
  EXPECT_EQ(last_error(), ErrorCode::kInvalidRequest);
  EXPECT_NE(detail().find("at most " + std::to_string(most)), std::string::npos);
  create("t", 1, {.max_batch_bytes = most});
  broker.configure_topic(next(), "t", {.max_batch_bytes = most + 1}, now);
  storage.make_durable(broker);
  EXPECT_EQ(last_error(), ErrorCode::kInvalidRequest);
  // From a start with a higher limit: it holds up no other change.
  const TopicId topic = storage.find_topic("t")->id;
  ASSERT_TRUE(storage.configure_topic(topic, {.max_batch_bytes = most + 1}));
  broker.configure_topic(next(), "t", {.ttl = 1s, .max_batch_bytes = most + 1}, now);
  storage.make_durable(broker);
  EXPECT_TRUE(last<TopicDescription>());
  EXPECT_EQ(storage.find_topic(topic)->config.ttl, 1s);
}

// ---- more partitions ----

TEST_F(TopicRulesTest, ATopicGetsMorePartitionsToldWhenDurable) {
  const TopicId topic = create("growing", 2);
  broker.add_partitions(next(), "growing", 5, at());
  EXPECT_TRUE(sink.replies.empty());  // rule 2
  storage.make_durable(broker);
  ASSERT_TRUE(last<TopicDescription>());
  EXPECT_EQ(last<TopicDescription>()->partitions.size(), 5u);
  EXPECT_EQ(last<TopicDescription>()->bytes.size(), 5u);
  EXPECT_EQ(storage.find_topic(topic)->partitions.size(), 5u);
  // As many again: nothing is written, for it may be a request that is sent twice.
  const JournalPosition before = storage.reply_position();
  broker.add_partitions(next(), "growing", 5, at());
  EXPECT_TRUE(last<TopicDescription>());
  EXPECT_EQ(storage.reply_position(), before);
}

TEST_F(TopicRulesTest, FewerPartitionsOrTooManyAreRefused) {
  create("growing", 3);
  const auto refusal = [&](std::string_view name, std::int32_t total) {
    broker.add_partitions(next(), name, total, at());
    storage.make_durable(broker);
    EXPECT_TRUE(storage.failed || !broker.check_more_partitions(name, total));
    return last_error();
  };
  for (const std::int32_t total : {2, 0, -1, INT32_MIN}) {
    EXPECT_EQ(refusal("growing", total), ErrorCode::kInvalidPartitionCount);
    EXPECT_NE(detail().find("can only get more"), std::string::npos) << detail();
  }
  EXPECT_EQ(refusal("growing", broker.options().partitions_per_topic + 1),
            ErrorCode::kInvalidPartitionCount);
  EXPECT_EQ(refusal("growing", INT32_MAX), ErrorCode::kInvalidPartitionCount);
  EXPECT_EQ(refusal("growing", 64), ErrorCode::kLimitReached);  // 64 of all topics, of which one
  EXPECT_EQ(refusal("none", 2), ErrorCode::kUnknownTopic);
  EXPECT_EQ(refusal("a b", 2), ErrorCode::kInvalidTopicName);
  EXPECT_EQ(broker.check_more_partitions("growing", 3).error(), ErrorCode::kInvalidPartitionCount);
  EXPECT_TRUE(broker.check_more_partitions("growing", 63));
  storage.failed = true;
  EXPECT_EQ(refusal("growing", 4), ErrorCode::kStorageFailed);
  EXPECT_EQ(storage.find_topic("growing")->partitions.size(), 3u);
}

TEST_F(TopicRulesTest, MembersOfAGroupShareNewPartitions) {
  const TopicId topic = create("growing", 1);
  JoinRequest joining{.group = "partitioned", .kind = GroupKind::kPartitioned, .member = {}};
  joining.member = {"m1", "someone", {"growing"}, 10s, 5s};
  broker.groups().join(next(), joining, now);
  storage.make_durable(broker);
  const auto* joined = last<Assignment>();
  ASSERT_TRUE(joined);
  const storage::TopicPartition first{topic, PartitionIndex(0)};
  broker.groups().sync(next(), {"partitioned", "m1", joined->epoch, {first}, 3s}, now);
  sink.replies.clear();
  broker.add_partitions(next(), "growing", 3, at());
  storage.make_durable(broker);
  ASSERT_EQ(sink.replies.size(), 2u);
  const auto* told = std::get_if<Assignment>(&sink.replies[0].second);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->topics.at(0).partitions, (std::vector<std::int32_t>{0, 1, 2}));
}

TEST_F(TopicRulesTest, SharedGroupsReadNewPartitionsFromTheirBeginning) {
  AttachRequest attaching = request();
  attaching.latest = true;
  attach(1, attaching);
  broker.add_partitions(next(), "orders", 2, when());
  storage.make_durable(broker);
  broker.produces().produce(next(), orders, PartitionIndex(1), batch_of(10), when());
  storage.make_durable(broker);
  broker.deliveries().dispatch(when());
  EXPECT_EQ(take(1), firsts(0, 1));
  EXPECT_EQ(storage.committed("g", orders, PartitionIndex(1))->offset, Offset(0));
}

}  // namespace
}  // namespace leat::broker
