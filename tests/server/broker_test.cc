// The broker's rules, on a storage that the test steers: above all, when the world may know (rule
// 2).
#include "protocol/base/crc32c.h"
#include "tests/server/broker_fixture.h"

namespace leat::broker {
namespace {

using namespace std::chrono_literals;

class BrokerTest : public BrokerFixture {
 protected:
  void fetch(const TopicId& topic, Offset from, std::chrono::milliseconds wait,
             LeaderEpoch epoch = LeaderEpoch(-1)) {
    BrokerFixture::fetch({topic, PartitionIndex(0), from, 1 << 20, epoch}, wait);
  }
  void commit(std::string_view group, const storage::OffsetCommit& commit) {
    broker.commit_offsets(next(), {.group = group, .offsets = {&commit, 1}}, now);
  }
};

TEST_F(BrokerTest, NoReplyToAProduceBeforeItIsDurable) {
  const TopicId topic = create();
  produce(topic);
  produce(topic);
  EXPECT_TRUE(sink.replies.empty());
  storage.make_durable(broker);
  ASSERT_EQ(sink.replies.size(), 2u);
  EXPECT_EQ(std::get<Produced>(sink.replies[0].second).base, Offset(0));
  EXPECT_EQ(std::get<Produced>(sink.replies[1].second).base, Offset(1));
}

TEST_F(BrokerTest, RepliesThatReadStateWaitForTheNewestEntryTheySaw) {
  const TopicId topic = create();
  const storage::OffsetCommit commit{topic, PartitionIndex(0), Offset(7), ""};
  this->commit("g", commit);
  const std::pair<TopicId, PartitionIndex> asked{topic, PartitionIndex(0)};
  broker.fetch_offsets(next(), "g", {&asked, 1});
  broker.list_topics(next());
  broker.describe_topic(next(), "orders", false, at());
  EXPECT_TRUE(sink.replies.empty());
  storage.make_durable(broker);
  ASSERT_EQ(sink.replies.size(), 4u);
  EXPECT_EQ(std::get<GroupOffsets>(sink.replies[1].second).offsets.at(0).offset, Offset(7));
}

TEST_F(BrokerTest, AfterAFailureWhatWasPendingIsUnknownAndReadsGoOn) {
  const TopicId topic = create();
  produce(topic);
  storage.failed = true;
  broker.on_failed({ErrorCode::kIoError, "disk"});
  EXPECT_EQ(last_error(), ErrorCode::kOutcomeUnknown);
  EXPECT_EQ(sink.failures, 1);
  produce(topic);
  EXPECT_EQ(last_error(), ErrorCode::kStorageFailed);
  broker.list_topics(next());
  EXPECT_TRUE(last<std::vector<TopicDescription>>());
}

TEST_F(BrokerTest, RecordsAreHiddenUntilDurableAndWakeTheFetchThatWaits) {
  const TopicId topic = create();
  fetch(topic, Offset(0), 10s);
  produce(topic);
  EXPECT_TRUE(sink.replies.empty());
  storage.make_durable(broker);
  ASSERT_EQ(sink.replies.size(), 2u);
  EXPECT_EQ(std::get<Fetched>(sink.replies[0].second).partitions[0].batches.size(), 1u);
}

TEST_F(BrokerTest, AFetchComesBackEmptyAtItsDeadline) {
  const TopicId topic = create();
  fetch(topic, Offset(0), 100ms);
  ASSERT_TRUE(broker.next_deadline());
  EXPECT_EQ(*broker.next_deadline(), now + 100ms);
  broker.on_time(at(99ms));
  EXPECT_TRUE(sink.replies.empty());
  broker.on_time(at(100ms));
  ASSERT_TRUE(last<Fetched>());
  EXPECT_TRUE(fetched()->batches.empty());
  EXPECT_FALSE(broker.next_deadline());
}

TEST_F(BrokerTest, AColdReadIsAnsweredLaterAndOnce) {
  const TopicId topic = create();
  produce(topic);
  storage.make_durable(broker);
  sink.replies.clear();
  storage.reads_later = true;
  fetch(topic, Offset(0), 0ms);
  EXPECT_TRUE(sink.replies.empty());
  const auto token = storage.waiting_reads.at(0);
  broker.on_read(token, storage.result_of(storage.find_topic(topic)->partitions[0]));
  EXPECT_TRUE(last<Fetched>());
  broker.on_read(token, storage::ReadResult{});
  EXPECT_EQ(sink.replies.size(), 1u);
}

TEST_F(BrokerTest, AClosedConnectionIsForgotten) {
  const TopicId topic = create();
  fetch(topic, Offset(0), 10s);
  broker.on_connection_closed(ConnectionId(1), at());
  EXPECT_FALSE(broker.next_deadline());
  produce(topic);
  storage.make_durable(broker);
  EXPECT_EQ(sink.replies.size(), 1u);  // the produce alone
}

TEST_F(BrokerTest, DeletionWakesWhatWaits) {
  const TopicId topic = create();
  fetch(topic, Offset(0), 10s);
  broker.delete_topic(next(), "orders", at());
  storage.make_durable(broker);
  ASSERT_EQ(sink.replies.size(), 2u);
  EXPECT_EQ(std::get<Fetched>(sink.replies[0].second).partitions[0].error->code,
            ErrorCode::kUnknownTopic);
}

TEST_F(BrokerTest, LimitsHaveTheirError) {
  const TopicId topic = create();
  fetch(topic, Offset(0), 10s);
  fetch(topic, Offset(0), 10s);
  fetch(topic, Offset(0), 10s);
  EXPECT_EQ(last_error(), ErrorCode::kLimitReached);
  create("second");
  create("third");
  broker.create_topic(next(), {"fourth", 1}, at());
  EXPECT_EQ(last_error(), ErrorCode::kLimitReached);
  broker.delete_topic(next(), "third", at());
  broker.create_topic(next(), {"wide", 62}, at());
  storage.make_durable(broker);
  EXPECT_EQ(last_error(), ErrorCode::kLimitReached);  // partitions in all
  const storage::OffsetCommit commit{topic, PartitionIndex(0), Offset(7), ""};
  this->commit("one", commit);
  this->commit("two", commit);
  this->commit("one", commit);
  storage.make_durable(broker);
  EXPECT_TRUE(last<OffsetsCommitted>());
  this->commit("three", commit);
  EXPECT_EQ(last_error(), ErrorCode::kLimitReached);
}

TEST_F(BrokerTest, TopicsAreCreatedOnFirstUseOnlyWhereThatIsAllowed) {
  broker.describe_topic(next(), "fresh", true, at());
  EXPECT_EQ(last_error(), ErrorCode::kUnknownTopic);
  Broker dev({.auto_create_topics = true}, storage, checker, Random(1), sink, at());
  dev.describe_topic(next(), "fresh", true, at());
  storage.make_durable(dev);
  EXPECT_TRUE(last<TopicDescription>());
}

TEST_F(BrokerTest, NoRoomIsTold) {
  storage.room = false;
  EXPECT_FALSE(broker.accepts_records());
  storage.room = true;
  broker.on_room();
  EXPECT_EQ(sink.rooms, 1);
}

// ---- durability levels (rule 3) ----

TEST_F(BrokerTest, BelowSyncTheAckGoesAtOnceAndSaysWhatItIsWorth) {
  const TopicId topic = create("quick", 1, {Durability::kMemory, 0ms});
  fetch(topic, Offset(0), 10s);
  produce(topic);
  ASSERT_EQ(sink.replies.size(), 2u);
  EXPECT_EQ(std::get<Produced>(sink.replies[0].second).durability, Durability::kMemory);
  EXPECT_EQ(std::get<Fetched>(sink.replies[1].second).partitions[0].batches.size(), 1u);
}

TEST_F(BrokerTest, AnIntervalMustBeOne) {
  const auto refused = [&](TopicConfig config) {
    broker.create_topic(next(), {"t", 1, true, config}, at());
    storage.make_durable(broker);
    return last_error();
  };
  EXPECT_EQ(refused({Durability::kInterval, 0ms}), ErrorCode::kInvalidRequest);
  EXPECT_EQ(refused({Durability::kInterval, 2h}), ErrorCode::kInvalidRequest);
  EXPECT_EQ(refused({Durability::kSync, 5ms}), ErrorCode::kInvalidRequest);
  EXPECT_EQ(refused({static_cast<Durability>(9), 0ms}), ErrorCode::kInvalidRequest);
  EXPECT_EQ(refused({Durability::kInterval, 5ms}), ErrorCode::kOk);
}

TEST_F(BrokerTest, AReaderBeyondACutLogIsToldWhereItEnds) {
  const TopicId topic = create("quick", 1, {Durability::kMemory, 0ms});
  for (int i = 0; i < 5; ++i) produce(topic);
  const LeaderEpoch before = storage.epoch;
  storage.cut(partition_id(topic), Offset(2));
  fetch(topic, Offset(5), 0ms, before);
  EXPECT_EQ(last_error(), ErrorCode::kLogTruncated);
  for (int i = 0; i < 9; ++i) produce(topic);
  fetch(topic, Offset(5), 0ms, before);  // other records are there now
  EXPECT_EQ(last_error(), ErrorCode::kLogTruncated);
  EXPECT_EQ(fetched()->parted.end, Offset(2));
  EXPECT_EQ(fetched()->parted.epoch, before);
  fetch(topic, Offset(2), 0ms, before);
  EXPECT_EQ(last_error(), ErrorCode::kOk);
  fetch(topic, Offset(5), 0ms, storage.epoch);
  EXPECT_EQ(last_error(), ErrorCode::kOk);
}

// ---- idempotent producers ----

TEST_F(BrokerTest, ARetriedBatchIsStoredOnceAndWaitsForTheOriginal) {
  const TopicId topic = create();
  broker.init_producer(next(), std::nullopt, -1);
  storage.make_durable(broker);
  ASSERT_TRUE(last<storage::IssuedProducer>());
  const auto id = last<storage::IssuedProducer>()->id;
  sink.replies.clear();
  const auto send = [&](std::int32_t sequence, std::int64_t producer) {
    RecordBatchBuilder builder;
    builder.append({as_bytes("k"), as_bytes("v"), {}}, 1);
    auto batch = builder.take();
    store_be(batch.data() + batch_layout::kProducerId, producer);
    store_be<std::int16_t>(batch.data() + batch_layout::kProducerEpoch, 0);
    store_be(batch.data() + batch_layout::kBaseSequence, sequence);
    store_be(batch.data() + batch_layout::kCrc,
             crc32c(Bytes(batch).subspan(batch_layout::kAttributes)));
    broker.produces().produce(next(), topic, PartitionIndex(0), batch, at());
  };
  send(0, id);
  send(0, id);
  EXPECT_TRUE(sink.replies.empty());  // the retry too
  storage.make_durable(broker);
  ASSERT_EQ(sink.replies.size(), 2u);
  EXPECT_FALSE(std::get<Produced>(sink.replies[0].second).duplicate);
  EXPECT_TRUE(std::get<Produced>(sink.replies[1].second).duplicate);
  EXPECT_EQ(std::get<Produced>(sink.replies[1].second).base, Offset(0));
  EXPECT_EQ(storage.bounds(partition_id(topic)).high_watermark, Offset(1));
  send(2, id);
  EXPECT_EQ(last_error(), ErrorCode::kOutOfSequence);
  send(0, id + 1);
  EXPECT_EQ(last_error(), ErrorCode::kUnknownProducer);
}

TEST_F(BrokerTest, RefusesRecordsWhenItIsFull) {
  Broker small({.max_stored_bytes = 400}, storage, checker, Random(3), sink, at());
  const TopicId topic = create();
  RecordBatchBuilder builder;
  builder.append({{}, as_bytes(std::string(200, 'x')), {}}, 1);
  small.produces().produce(next(), topic, PartitionIndex(0), builder.finish(), at());
  small.produces().produce(next(), topic, PartitionIndex(0), builder.finish(), at());
  storage.make_durable(small);
  EXPECT_EQ(last_error(), ErrorCode::kNoSpace);
}

}  // namespace
}  // namespace leat::broker
