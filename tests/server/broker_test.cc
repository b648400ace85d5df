// The broker's rules, on a storage that the test steers: above all, when the world may know (rule
// 2).
#include "server/broker/broker.h"

#include <gtest/gtest.h>

#include "tests/fake_storage.h"

namespace leat::broker {
namespace {

using test::FakeStorage;
using namespace std::chrono_literals;

struct Sink final : ReplySink {
  void on_reply(const RequestId& request, Reply reply) override {
    replies.emplace_back(request.correlation.value, std::move(reply));
  }
  void on_room() override { ++rooms; }
  void on_storage_failed(const Error&) override { ++failures; }
  std::vector<std::pair<std::uint64_t, Reply>> replies;
  int rooms = 0, failures = 0;
};

class BrokerTest : public ::testing::Test {
 protected:
  RequestId next() { return {ConnectionId(1), CorrelationId(++correlation)}; }
  TopicId create(std::string_view name = "orders", std::int32_t partitions = 2) {
    broker.create_topic(next(), name, partitions, false, WallTime());
    storage.make_durable(broker);
    sink.replies.clear();
    return storage.find_topic(name)->id;
  }
  void produce(const TopicId& topic) {
    RecordBatchBuilder builder;
    builder.append({as_bytes("k"), as_bytes("v"), {}}, 1);
    broker.produce(next(), topic, PartitionIndex(0), builder.finish());
  }
  void fetch(const TopicId& topic, Offset from, std::chrono::milliseconds wait) {
    broker.fetch(next(), {topic, PartitionIndex(0), from, 1 << 20, wait}, now);
  }
  template <class T>
  const T* last() const {
    return sink.replies.empty() ? nullptr : std::get_if<T>(&sink.replies.back().second);
  }
  ErrorCode last_error() const { return last<Error>() ? last<Error>()->code : ErrorCode::kOk; }

  FakeStorage storage;
  Sink sink;
  Broker broker{{.topics = 3, .partitions = 7, .groups = 1, .waiting_fetches_per_connection = 2},
                storage,
                Random(1),
                sink};
  MonotonicTime now{1h};
  std::uint64_t correlation = 0;
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
  broker.commit_offsets(next(), "g", {&commit, 1});
  const std::pair<TopicId, PartitionIndex> asked{topic, PartitionIndex(0)};
  broker.fetch_offsets(next(), "g", {&asked, 1});
  broker.list_topics(next());
  broker.describe_topic(next(), "orders", false, WallTime());
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
  EXPECT_EQ(std::get<Fetched>(sink.replies[0].second).batches.size(), 1u);
}

TEST_F(BrokerTest, AFetchComesBackEmptyAtItsDeadline) {
  const TopicId topic = create();
  fetch(topic, Offset(0), 100ms);
  ASSERT_TRUE(broker.next_deadline());
  EXPECT_EQ(*broker.next_deadline(), now + 100ms);
  broker.on_time(now + 99ms);
  EXPECT_TRUE(sink.replies.empty());
  broker.on_time(now + 100ms);
  ASSERT_TRUE(last<Fetched>());
  EXPECT_TRUE(last<Fetched>()->batches.empty());
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
  broker.on_connection_closed(ConnectionId(1));
  EXPECT_FALSE(broker.next_deadline());
  produce(topic);
  storage.make_durable(broker);
  EXPECT_EQ(sink.replies.size(), 1u);  // the produce alone
}

TEST_F(BrokerTest, DeletionWakesWhatWaits) {
  const TopicId topic = create();
  fetch(topic, Offset(0), 10s);
  broker.delete_topic(next(), "orders");
  storage.make_durable(broker);
  ASSERT_EQ(sink.replies.size(), 2u);
  EXPECT_EQ(std::get<Error>(sink.replies[0].second).code, ErrorCode::kUnknownTopic);
}

TEST_F(BrokerTest, LimitsHaveTheirError) {
  const TopicId topic = create();
  fetch(topic, Offset(0), 10s);
  fetch(topic, Offset(0), 10s);
  fetch(topic, Offset(0), 10s);
  EXPECT_EQ(last_error(), ErrorCode::kLimitReached);
  create("second");
  create("third");
  broker.create_topic(next(), "fourth", 1, false, WallTime());
  EXPECT_EQ(last_error(), ErrorCode::kLimitReached);
  broker.delete_topic(next(), "third");
  broker.create_topic(next(), "wide", 4, false, WallTime());
  storage.make_durable(broker);
  EXPECT_EQ(last_error(), ErrorCode::kLimitReached);  // partitions in all
  const storage::OffsetCommit commit{topic, PartitionIndex(0), Offset(7), ""};
  broker.commit_offsets(next(), "one", {&commit, 1});
  broker.commit_offsets(next(), "one", {&commit, 1});
  storage.make_durable(broker);
  EXPECT_TRUE(last<OffsetsCommitted>());
  broker.commit_offsets(next(), "two", {&commit, 1});
  EXPECT_EQ(last_error(), ErrorCode::kLimitReached);
}

TEST_F(BrokerTest, TopicsAreCreatedOnFirstUseOnlyWhereThatIsAllowed) {
  broker.describe_topic(next(), "fresh", true, WallTime());
  EXPECT_EQ(last_error(), ErrorCode::kUnknownTopic);
  Broker dev({.auto_create_topics = true}, storage, Random(1), sink);
  dev.describe_topic(next(), "fresh", true, WallTime());
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

}  // namespace
}  // namespace leat::broker
