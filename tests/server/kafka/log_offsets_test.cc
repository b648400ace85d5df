// ListOffsets and OffsetForLeaderEpoch in all their versions.
#include "protocol/kafka/messages/log_offsets.h"

#include "tests/server/kafka/kafka_fixture.h"

namespace leat::session {
namespace {

using kafka::KafkaError;
using AskedOffset = kafka::ListOffsetsRequest::Topic::Partition;
using ToldOffset = kafka::ListOffsetsResponse::Topic::Partition;

constexpr std::int64_t kEnd = -1, kStart = -2, kNewest = -3, kLocalStart = -4, kTieredEnd = -5,
                       kPendingStart = -6;

class KafkaOffsetsTest : public KafkaFixture {
 protected:
  void SetUp() override { id = create("orders", 2); }

  void put(const std::vector<std::int64_t>& timestamps,
           Compression compression = Compression::kNone) {
    RecordBatchBuilder builder;
    const std::string value(100, 'v');
    for (const std::int64_t ms : timestamps) builder.append({{}, as_bytes(value), {}}, ms);
    broker.produces().produce({ConnectionId(1'000), CorrelationId(2)}, id, PartitionIndex(0),
                              builder.finish(compression), now());
    storage.make_durable(broker);
  }
  std::vector<ToldOffset> list(const std::vector<AskedOffset>& partitions, std::int16_t version,
                               std::string_view topic = "orders") {
    kafka::ListOffsetsRequest request{.replica_id = -1, .topics = {}};
    request.topics.push_back({.name = topic, .partitions = partitions});
    const auto response = ask<kafka::ListOffsetsResponse>(request, version);
    EXPECT_TRUE(response);
    if (!response || response->topics.size() != 1) return {};
    EXPECT_EQ(response->topics[0].name, topic);
    return response->topics[0].partitions;
  }
  ToldOffset find(std::int64_t timestamp, std::int16_t version, std::int32_t partition = 0) {
    const auto all = list({{.partition_index = partition, .timestamp = timestamp}}, version);
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? ToldOffset() : all[0];
  }

  TopicId id;
};

TEST_F(KafkaOffsetsTest, EveryVersionFindsStartEndAndTimes) {
  put({100, 300, 200});
  put({400, 350, 500}, Compression::kZstd);
  put({50, 60});
  ASSERT_TRUE(storage.move_log_start(storage.find_topic("orders")->partitions[0], Offset(1)));
  for (std::int16_t version = 1; version <= 11; ++version) {
    EXPECT_EQ(find(kEnd, version).offset, 8);
    EXPECT_EQ(find(kEnd, version).timestamp, -1);
    EXPECT_EQ(find(kStart, version).offset, 1);
    EXPECT_EQ(find(100, version).offset, 1);
    EXPECT_EQ(find(100, version).timestamp, 300);
    EXPECT_EQ(find(450, version).offset, 5);
    EXPECT_EQ(find(450, version).timestamp, 500);
    EXPECT_EQ(find(450, version).leader_epoch, version >= 4 ? storage.epoch.value : -1);
    const ToldOffset none = find(501, version);
    EXPECT_EQ(none.error_code, KafkaError::kNone);
    EXPECT_EQ(none.offset, -1);
    EXPECT_EQ(none.timestamp, -1);
  }
}

TEST_F(KafkaOffsetsTest, SpecialTimesAreKnownFromTheirVersionOn) {
  put({100, 300, 200});
  for (std::int16_t version = 1; version <= 11; ++version) {
    const auto check = [&](std::int64_t timestamp, std::int16_t since, std::int64_t offset) {
      const ToldOffset told = find(timestamp, version);
      EXPECT_EQ(told.error_code,
                version < since ? KafkaError::kUnsupportedVersion : KafkaError::kNone);
      EXPECT_EQ(told.offset, version < since ? -1 : offset) << timestamp;
    };
    check(kNewest, 7, 1);
    check(kLocalStart, 8, 0);
    check(kTieredEnd, 9, -1);
    check(kPendingStart, 11, -1);
    check(-7, 99, -1);
  }
  EXPECT_EQ(find(kNewest, 7).timestamp, 300);
  const ToldOffset none = find(kNewest, 7, 1);  // of an empty partition
  EXPECT_EQ(none.offset, -1);
  EXPECT_EQ(none.timestamp, -1);
}

TEST_F(KafkaOffsetsTest, ErrorsAreOfThePartition) {
  put({100});
  storage.epoch = LeaderEpoch(5);
  const auto all = list({{.partition_index = 0, .timestamp = kEnd},
                         {.partition_index = 7, .timestamp = kEnd},
                         {.partition_index = 1, .current_leader_epoch = 4, .timestamp = kEnd},
                         {.partition_index = 0, .timestamp = kStart}},
                        4);
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0].error_code, KafkaError::kNone);
  EXPECT_EQ(all[1].error_code, KafkaError::kUnknownTopicOrPartition);
  EXPECT_EQ(all[1].offset, -1);
  EXPECT_EQ(all[2].error_code, KafkaError::kFencedLeaderEpoch);
  EXPECT_EQ(all[3].error_code, KafkaError::kInvalidRequest);  // asked for twice
  EXPECT_EQ(list({{.partition_index = 1, .current_leader_epoch = 6, .timestamp = kEnd}}, 11)
                .at(0)
                .error_code,
            KafkaError::kUnknownLeaderEpoch);
  EXPECT_EQ(list({{.timestamp = kEnd}}, 11, "nowhere").at(0).error_code,
            KafkaError::kUnknownTopicOrPartition);
}

TEST_F(KafkaOffsetsTest, SearchesThatTakeTimeAreAllWaitedFor) {
  put({100, 200});
  storage.reads_later = true;
  kafka::ListOffsetsRequest request{.replica_id = -1, .topics = {}};
  request.topics.push_back({.name = "orders", .partitions = {{.timestamp = 150}}});
  request.topics[0].partitions.push_back({.partition_index = 1, .timestamp = kEnd});
  send(request, 11);
  EXPECT_FALSE(take<kafka::ListOffsetsResponse>());
  broker.on_read(storage.waiting_reads[0], storage.answer(storage.waiting_reads[0]));
  settle();
  const auto response = take<kafka::ListOffsetsResponse>();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->topics[0].partitions[0].offset, 1);
  EXPECT_EQ(response->topics[0].partitions[1].offset, 0);
}

TEST_F(KafkaOffsetsTest, WhereEpochsEndInEveryVersion) {
  storage.epoch = LeaderEpoch(3);
  put({1, 1, 1});
  storage.epoch = LeaderEpoch(6);
  put({1, 1});
  const auto end_of = [&](std::int32_t epoch, std::int32_t current, std::int16_t version) {
    kafka::OffsetForLeaderEpochRequest request;
    request.topics.push_back(
        {.topic = "orders",
         .partitions = {{.partition = 0, .current_leader_epoch = current, .leader_epoch = epoch}}});
    const auto response = ask<kafka::OffsetForLeaderEpochResponse>(request, version);
    EXPECT_TRUE(response);
    return response->topics.at(0).partitions.at(0);
  };
  for (std::int16_t version = 2; version <= 4; ++version) {
    EXPECT_EQ(end_of(3, -1, version).end_offset, 3);
    EXPECT_EQ(end_of(4, 6, version).end_offset, 3);
    EXPECT_EQ(end_of(4, 6, version).leader_epoch, 3);
    EXPECT_EQ(end_of(6, 6, version).end_offset, 5);
    EXPECT_EQ(end_of(7, -1, version).end_offset, -1);
    EXPECT_EQ(end_of(7, -1, version).leader_epoch, -1);
    EXPECT_EQ(end_of(3, 5, version).error_code, KafkaError::kFencedLeaderEpoch);
    EXPECT_EQ(end_of(3, 7, version).error_code, KafkaError::kUnknownLeaderEpoch);
    kafka::OffsetForLeaderEpochRequest nowhere;
    nowhere.topics.push_back({.topic = "nowhere", .partitions = {{}}});
    nowhere.topics.push_back({.topic = "orders", .partitions = {{.partition = 9}}});
    const auto response = ask<kafka::OffsetForLeaderEpochResponse>(nowhere, version);
    ASSERT_TRUE(response);
    for (const auto& topic : response->topics)
      EXPECT_EQ(topic.partitions.at(0).error_code, KafkaError::kUnknownTopicOrPartition);
  }
}

}  // namespace
}  // namespace leat::session
