// Kafka's admins look at the one broker: each version, over bytes.
#include "server/session/kafka/handlers.h"
#include "tests/server/kafka/kafka_fixture.h"

namespace leat::session {
namespace {

using kafka::KafkaError;

class KafkaClusterTest : public KafkaFixture {
 protected:
  // Topics and how many of their partitions, page by page, until there is no next.
  std::vector<std::pair<std::string, int>> pages(std::vector<std::string_view> names,
                                                 std::int32_t limit, int* count = nullptr) {
    std::vector<std::pair<std::string, int>> seen;
    kafka::DescribeTopicPartitionsRequest request{.response_partition_limit = limit};
    for (const auto name : names) request.topics.push_back({name});
    for (int page = 1; page < 100; ++page) {
      const auto response = ask<kafka::DescribeTopicPartitionsResponse>(request, 0);
      if (!response) return {};
      int partitions = 0;
      for (const auto& topic : response->topics) {
        partitions += static_cast<int>(topic.partitions.size());
        if (!topic.partitions.empty() && topic.partitions[0].partition_index > 0)
          seen.back().second += static_cast<int>(topic.partitions.size());
        else
          seen.emplace_back(*topic.name, static_cast<int>(topic.partitions.size()));
      }
      EXPECT_LE(partitions, std::max(limit, 1));
      if (count) *count = page;
      if (!response->next_cursor) return seen;
      request.cursor = response->next_cursor;
    }
    ADD_FAILURE() << "it does not end";
    return seen;
  }
};

TEST_F(KafkaClusterTest, TheOneBrokerIsDescribedInEveryVersion) {
  for (std::int16_t version = 0; version <= 2; ++version) {
    const auto response =
        ask<kafka::DescribeClusterResponse>(kafka::DescribeClusterRequest{}, version);
    ASSERT_TRUE(response);
    EXPECT_EQ(response->error_code, KafkaError::kNone);
    EXPECT_EQ(response->cluster_id, "cluster");
    EXPECT_EQ(response->controller_id, 1);
    ASSERT_EQ(response->brokers.size(), 1u);
    EXPECT_EQ(response->brokers[0].broker_id, 1);
    EXPECT_EQ(response->brokers[0].host, "broker.example");
    EXPECT_EQ(response->brokers[0].port, 9092);
  }
  const auto error = [&](std::int8_t endpoint) {
    return ask<kafka::DescribeClusterResponse>(
               kafka::DescribeClusterRequest{.endpoint_type = endpoint}, 2)
        ->error_code;
  };
  EXPECT_EQ(error(2), KafkaError::kMismatchedEndpointType);
  EXPECT_EQ(error(7), KafkaError::kUnsupportedEndpointType);
}

TEST_F(KafkaClusterTest, TheDirectoryIsMeasuredInEveryVersion) {
  const TopicId orders = create("orders", 2);
  create("other", 1);
  RecordBatchBuilder builder;
  builder.append({{}, as_bytes("value"), {}}, 1);
  const Bytes batch = builder.finish();
  broker.produces().produce({ConnectionId(1'000), CorrelationId(2)}, orders, PartitionIndex(1),
                            batch, now());
  for (std::int16_t version = 1; version <= 4; ++version) {
    const auto all = ask<kafka::DescribeLogDirsResponse>(kafka::DescribeLogDirsRequest{}, version);
    ASSERT_TRUE(all);
    ASSERT_EQ(all->results.size(), 1u);
    EXPECT_EQ(all->results[0].log_dir, "/data");
    ASSERT_EQ(all->results[0].topics.size(), 2u);
    const auto& partitions = all->results[0].topics[0].partitions;
    ASSERT_EQ(partitions.size(), 2u);
    EXPECT_EQ(partitions[0].partition_size, 0);
    EXPECT_EQ(partitions[1].partition_size, static_cast<std::int64_t>(batch.size()));
    kafka::DescribeLogDirsRequest some;
    some.topics = {{{"orders", {1, 9}}, {"none", {0}}, {"other", {}}}};
    const auto found = ask<kafka::DescribeLogDirsResponse>(some, version);
    ASSERT_EQ(found->results.at(0).topics.size(), 1u);
    ASSERT_EQ(found->results[0].topics[0].partitions.size(), 1u);
    EXPECT_EQ(found->results[0].topics[0].partitions[0].partition_index, 1);
  }
}

TEST_F(KafkaClusterTest, TopicsAreDescribedPageByPage) {
  create("b", 3);
  create("a", 2);
  create("c", 1);
  const std::vector<std::pair<std::string, int>> all{{"a", 2}, {"b", 3}, {"c", 1}};
  for (const std::int32_t limit : {1, 2, 3, 4, 5, 6, 7, 2'000, INT32_MAX}) {
    int count = 0;
    EXPECT_EQ(pages({}, limit, &count), all) << limit;
    EXPECT_EQ(count, limit >= 6 ? 1 : (6 + limit - 1) / limit) << limit;
  }
  EXPECT_EQ(pages({}, 0), all);
  EXPECT_EQ(pages({"c", "a", "c"}, 2),
            (std::vector<std::pair<std::string, int>>{{"a", 2}, {"c", 1}}));
  EXPECT_EQ(pages({"b", "aa"}, 2), (std::vector<std::pair<std::string, int>>{{"aa", 0}, {"b", 3}}));
}

TEST_F(KafkaClusterTest, APageSaysWhatThereIsToKnow) {
  const TopicId orders = create("orders", 2);
  kafka::DescribeTopicPartitionsRequest request;
  request.topics = {{"orders"}, {"none"}};
  const auto response = ask<kafka::DescribeTopicPartitionsResponse>(request, 0);
  ASSERT_TRUE(response);
  ASSERT_EQ(response->topics.size(), 2u);
  EXPECT_EQ(response->topics[0].name, "none");
  EXPECT_EQ(response->topics[0].error_code, KafkaError::kUnknownTopicOrPartition);
  EXPECT_EQ(response->topics[1].topic_id, orders);
  const auto& partition = response->topics[1].partitions.at(1);
  EXPECT_EQ(partition.partition_index, 1);
  EXPECT_EQ(partition.leader_id, 1);
  EXPECT_EQ(partition.replica_nodes, std::vector<std::int32_t>{1});
  EXPECT_EQ(partition.isr_nodes, std::vector<std::int32_t>{1});
  // Null is allowed, and the Java client (4.2) fails on it.
  EXPECT_EQ(partition.eligible_leader_replicas, std::vector<std::int32_t>());
  EXPECT_EQ(partition.last_known_elr, std::vector<std::int32_t>());
  // A page may begin behind what is there: a topic that has gone meanwhile, or its end.
  for (const auto& [name, index] : std::initializer_list<std::pair<const char*, int>>{
           {"orders", 2}, {"orders", INT32_MAX}, {"zzz", 0}, {"orders0", 1}}) {
    request.topics = {};
    request.cursor = kafka::Cursor{name, index};
    const auto rest = ask<kafka::DescribeTopicPartitionsResponse>(request, 0);
    EXPECT_TRUE(rest->topics.empty()) << name;
    EXPECT_FALSE(rest->next_cursor);
  }
}

}  // namespace
}  // namespace leat::session
