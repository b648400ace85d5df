// Kafka's admins make topics, delete them, let them grow and forget: each version, over bytes.
#include "server/session/kafka/handlers.h"
#include "tests/server/kafka/kafka_fixture.h"

namespace leat::session {
namespace {

using kafka::KafkaError;
using NewTopic = kafka::CreateTopicsRequest::Topic;

constexpr broker::BrokerOptions kTight{.auto_create_partitions = 3, .topics = 5, .partitions = 20};

class KafkaTopicsTest : public KafkaFixture {
 protected:
  KafkaTopicsTest() : KafkaFixture(kTight) {}

  static NewTopic named(std::string_view name, std::int32_t partitions = 1,
                        std::int16_t replicas = 1) {
    return {.name = name, .num_partitions = partitions, .replication_factor = replicas};
  }
  std::optional<kafka::CreateTopicsResponse> make(std::vector<NewTopic> topics,
                                                  std::int16_t version = 7,
                                                  bool validate_only = false) {
    return ask<kafka::CreateTopicsResponse>(
        kafka::CreateTopicsRequest{.topics = std::move(topics), .validate_only = validate_only},
        version);
  }
  KafkaError refusal(const NewTopic& topic) {
    const auto response = make({topic});
    const auto& made = response->topics.at(0);
    EXPECT_NE(made.error_message.value_or(""), "");
    return made.error_code;
  }
  std::size_t partitions(std::string_view topic) const {
    return storage.find_topic(topic)->partitions.size();
  }
  void fill(const TopicId& topic, int records, int partition = 0) {
    RecordBatchBuilder builder;
    for (int i = 0; i < records; ++i) builder.append({{}, as_bytes("v"), {}}, 1);
    broker.produces().produce({ConnectionId(1'000), CorrelationId(2)}, topic,
                              PartitionIndex(partition), builder.finish(), now());
    storage.make_durable(broker);
  }
};

// ---- CreateTopics ----

TEST_F(KafkaTopicsTest, TopicsAreMadeInEveryVersion) {
  for (std::int16_t version = 0; version <= 7; ++version) {
    const std::string name = "v" + std::to_string(version);
    NewTopic topic = named(name, 2);
    topic.configs.push_back({"retention.ms", "5000"});
    const auto response = make({topic}, version);
    ASSERT_TRUE(response);
    ASSERT_EQ(response->topics.size(), 1u);
    const auto& made = response->topics[0];
    EXPECT_EQ(made.error_code, KafkaError::kNone);
    EXPECT_EQ(made.name, name);
    EXPECT_EQ(partitions(name), 2u);
    EXPECT_EQ(storage.find_topic(name)->config.retention.time, std::chrono::milliseconds(5000));
    if (version >= 5) {
      EXPECT_EQ(made.num_partitions, 2);
      EXPECT_EQ(made.replication_factor, 1);
      ASSERT_TRUE(made.configs);
      const auto it = std::ranges::find(*made.configs, "retention.ms",
                                        &decltype(made.configs)::value_type::value_type::name);
      ASSERT_NE(it, made.configs->end());
      EXPECT_EQ(it->value, "5000");
      EXPECT_EQ(it->config_source, 1);
      EXPECT_FALSE(it->read_only);
    }
    if (version >= 7) {
      EXPECT_EQ(made.topic_id, storage.find_topic(name)->id);
    }
    broker.delete_topic({ConnectionId(1'000), CorrelationId(3)}, name, now());
  }
}

TEST_F(KafkaTopicsTest, AReplyWaitsUntilTheTopicIsDurable) {
  send(kafka::CreateTopicsRequest{.topics = {named("orders")}}, 7);
  EXPECT_TRUE(storage.find_topic("orders"));
  EXPECT_FALSE(take<kafka::CreateTopicsResponse>());
  // Who only asks is not told either of what may be lost yet (rule 2).
  send(kafka::CreateTopicsRequest{.topics = {named("orders")}, .validate_only = true}, 7);
  deliver();
  EXPECT_EQ(take<kafka::CreateTopicsResponse>()->topics.at(0).error_code, KafkaError::kNone);
  const auto second = take<kafka::CreateTopicsResponse>();
  EXPECT_EQ(second->topics.at(0).error_code, KafkaError::kTopicAlreadyExists);
  EXPECT_NE(second->topics.at(0).error_message.value_or("").find("already exists"),
            std::string_view::npos);  // kafka-topics.sh shows nothing else
}

TEST_F(KafkaTopicsTest, DefaultsAreTheBrokers) {
  const auto response = make({named("orders", -1, -1)});
  EXPECT_EQ(response->topics.at(0).error_code, KafkaError::kNone);
  EXPECT_EQ(response->topics[0].num_partitions, 3);
  EXPECT_EQ(partitions("orders"), 3u);
}

TEST_F(KafkaTopicsTest, PartitionsAreAssignedByHandToTheOneBroker) {
  NewTopic topic = named("orders", -1, -1);
  topic.assignments = {{1, {1}}, {0, {1}}};
  EXPECT_EQ(make({topic})->topics.at(0).error_code, KafkaError::kNone);
  EXPECT_EQ(partitions("orders"), 2u);
  topic.name = "more";
  topic.assignments = {{0, {1}}, {1, {2}}};
  EXPECT_EQ(refusal(topic), KafkaError::kInvalidReplicaAssignment);
  topic.assignments = {{0, {1, 2}}};
  EXPECT_EQ(refusal(topic), KafkaError::kInvalidReplicaAssignment);
  topic.assignments = {{0, {}}};
  EXPECT_EQ(refusal(topic), KafkaError::kInvalidReplicaAssignment);
  topic.assignments = {{0, {1}}, {2, {1}}};
  EXPECT_EQ(refusal(topic), KafkaError::kInvalidReplicaAssignment);
  topic.assignments = {{0, {1}}, {0, {1}}};
  EXPECT_EQ(refusal(topic), KafkaError::kInvalidReplicaAssignment);
  topic.assignments = {{-1, {1}}};
  EXPECT_EQ(refusal(topic), KafkaError::kInvalidReplicaAssignment);
  topic.assignments = {{0, {1}}};
  topic.num_partitions = 1;
  EXPECT_EQ(refusal(topic), KafkaError::kInvalidRequest);
  EXPECT_FALSE(storage.find_topic("more"));
}

TEST_F(KafkaTopicsTest, WhatCannotBeIsRefusedByKafkasNumber) {
  create("there");
  EXPECT_EQ(refusal(named("there")), KafkaError::kTopicAlreadyExists);
  EXPECT_EQ(refusal(named("a b")), KafkaError::kInvalidTopicException);
  EXPECT_EQ(refusal(named("")), KafkaError::kInvalidTopicException);
  EXPECT_EQ(refusal(named("t", 0)), KafkaError::kInvalidPartitions);
  EXPECT_EQ(refusal(named("t", -2)), KafkaError::kInvalidPartitions);
  EXPECT_EQ(refusal(named("t", 1'000'000)), KafkaError::kInvalidPartitions);
  EXPECT_EQ(refusal(named("t", 1, 3)), KafkaError::kInvalidReplicationFactor);
  EXPECT_EQ(refusal(named("t", 1, 0)), KafkaError::kInvalidReplicationFactor);
  EXPECT_EQ(refusal(named("t", 19)), KafkaError::kPolicyViolation);  // 20 partitions in all
  for (const auto& [name, value] : std::initializer_list<std::pair<const char*, const char*>>{
           {"min.insync.replicas", "2"}, {"no.such", "1"}, {"retention.ms", "soon"}}) {
    NewTopic topic = named("t");
    topic.configs.push_back({name, value});
    EXPECT_EQ(refusal(topic), KafkaError::kInvalidConfig) << name;
  }
  storage.failed = true;
  EXPECT_EQ(refusal(named("t")), KafkaError::kKafkaStorageError);
  EXPECT_EQ(storage.topics().size(), 1u);
}

TEST_F(KafkaTopicsTest, EachTopicOfARequestIsOnItsOwn) {
  const auto response =
      make({named("one"), named("twice"), named("t", 1, 3), named("twice", 2), named("two", 2)});
  ASSERT_EQ(response->topics.size(), 4u);
  EXPECT_EQ(response->topics[0].error_code, KafkaError::kNone);
  EXPECT_EQ(response->topics[1].name, "twice");
  EXPECT_EQ(response->topics[1].error_code, KafkaError::kInvalidRequest);
  EXPECT_EQ(response->topics[2].error_code, KafkaError::kInvalidReplicationFactor);
  EXPECT_EQ(response->topics[3].error_code, KafkaError::kNone);
  EXPECT_EQ(storage.topics().size(), 2u);
}

TEST_F(KafkaTopicsTest, WhatIsOnlyValidatedIsNotMade) {
  for (std::int16_t version = 1; version <= 7; ++version) {
    const auto response = make({named("orders", 4), named("t", 0), named("a b")}, version, true);
    ASSERT_TRUE(response);
    EXPECT_EQ(response->topics.at(0).error_code, KafkaError::kNone);
    EXPECT_EQ(response->topics.at(1).error_code, KafkaError::kInvalidPartitions);
    EXPECT_EQ(response->topics.at(2).error_code, KafkaError::kInvalidTopicException);
    if (version >= 5) {
      EXPECT_EQ(response->topics[0].num_partitions, 4);
      EXPECT_FALSE(response->topics[0].configs->empty());
    }
  }
  EXPECT_TRUE(storage.topics().empty());
}

// ---- DeleteTopics ----

TEST_F(KafkaTopicsTest, TopicsAreDeletedByNameInEveryVersion) {
  for (std::int16_t version = 0; version <= 6; ++version) {
    const TopicId id = create("orders");
    kafka::DeleteTopicsRequest request;
    if (version < 6)
      request.topic_names = {"orders", "none"};
    else
      request.topics = {{"orders", {}}, {"none", {}}};
    const auto response = ask<kafka::DeleteTopicsResponse>(request, version);
    ASSERT_TRUE(response);
    ASSERT_EQ(response->responses.size(), 2u);
    EXPECT_EQ(response->responses[0].error_code, KafkaError::kNone);
    EXPECT_EQ(response->responses[0].name, "orders");
    EXPECT_EQ(response->responses[1].error_code, KafkaError::kUnknownTopicOrPartition);
    if (version >= 6) {
      EXPECT_EQ(response->responses[0].topic_id, id);
    }
    EXPECT_FALSE(storage.find_topic("orders"));
  }
}

TEST_F(KafkaTopicsTest, TopicsAreDeletedById) {
  const TopicId orders = create("orders"), other = create("other");
  TopicId unknown = orders;
  unknown.bytes[0] ^= 1;
  kafka::DeleteTopicsRequest request;
  request.topics = {{{}, orders}, {{}, unknown}, {"other", other}, {{}, {}}};
  const auto response = ask<kafka::DeleteTopicsResponse>(request, 6);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->responses.at(0).error_code, KafkaError::kNone);
  EXPECT_EQ(response->responses[0].name, "orders");
  EXPECT_EQ(response->responses.at(1).error_code, KafkaError::kUnknownTopicId);
  EXPECT_FALSE(response->responses[1].name);
  EXPECT_EQ(response->responses[1].topic_id, unknown);
  EXPECT_EQ(response->responses.at(2).error_code, KafkaError::kInvalidRequest);
  EXPECT_EQ(response->responses.at(3).error_code, KafkaError::kInvalidRequest);
  EXPECT_FALSE(storage.find_topic("orders"));
  EXPECT_TRUE(storage.find_topic("other"));
}

TEST_F(KafkaTopicsTest, ATopicIsNotDeletedTwice) {
  const TopicId orders = create("orders");
  kafka::DeleteTopicsRequest request;
  request.topics = {{"orders", {}}, {{}, orders}};
  const auto response = ask<kafka::DeleteTopicsResponse>(request, 6);
  for (const auto& gone : response->responses)
    EXPECT_EQ(gone.error_code, KafkaError::kInvalidRequest);
  EXPECT_TRUE(storage.find_topic("orders"));
}

// ---- CreatePartitions ----

using Growing = kafka::CreatePartitionsRequest::Topic;

TEST_F(KafkaTopicsTest, TopicsGrowInEveryVersion) {
  create("orders", 1);
  for (std::int16_t version = 0; version <= 3; ++version) {
    const std::int32_t count = version + 2;
    kafka::CreatePartitionsRequest request{.topics = {{.name = "orders", .count = count}},
                                           .validate_only = true};
    auto response = ask<kafka::CreatePartitionsResponse>(request, version);
    ASSERT_TRUE(response);
    EXPECT_EQ(response->results.at(0).error_code, KafkaError::kNone);
    EXPECT_EQ(partitions("orders"), static_cast<std::size_t>(count - 1));
    request.validate_only = false;
    response = ask<kafka::CreatePartitionsResponse>(request, version);
    EXPECT_EQ(response->results.at(0).error_code, KafkaError::kNone);
    EXPECT_EQ(response->results[0].name, "orders");
    EXPECT_EQ(partitions("orders"), static_cast<std::size_t>(count));
  }
}

TEST_F(KafkaTopicsTest, GrowthThatCannotBeIsRefused) {
  create("orders", 2);
  const auto refused = [&](const Growing& topic) {
    const auto response =
        ask<kafka::CreatePartitionsResponse>(kafka::CreatePartitionsRequest{.topics = {topic}}, 3);
    EXPECT_NE(response->results.at(0).error_message.value_or(""), "");
    return response->results[0].error_code;
  };
  EXPECT_EQ(refused({"orders", 2, {}}), KafkaError::kInvalidPartitions);
  EXPECT_EQ(refused({"orders", 1, {}}), KafkaError::kInvalidPartitions);
  EXPECT_EQ(refused({"orders", -1, {}}), KafkaError::kInvalidPartitions);
  EXPECT_EQ(refused({"orders", INT32_MAX, {}}), KafkaError::kInvalidPartitions);
  EXPECT_EQ(refused({"orders", 21, {}}), KafkaError::kPolicyViolation);
  EXPECT_EQ(refused({"none", 3, {}}), KafkaError::kUnknownTopicOrPartition);
  using Assignments = std::vector<Growing::Assignment>;
  EXPECT_EQ(refused({"orders", 4, Assignments{{{1}}}}), KafkaError::kInvalidReplicaAssignment);
  EXPECT_EQ(refused({"orders", 3, Assignments{{{2}}}}), KafkaError::kInvalidReplicaAssignment);
  EXPECT_EQ(partitions("orders"), 2u);
  const auto response = ask<kafka::CreatePartitionsResponse>(
      kafka::CreatePartitionsRequest{
          .topics = {{"orders", 3, Assignments{{{1}}}}, {"none", 3, {}}, {"none", 4, {}}}},
      3);
  ASSERT_EQ(response->results.size(), 2u);
  EXPECT_EQ(response->results[0].error_code, KafkaError::kNone);
  EXPECT_EQ(response->results[1].error_code, KafkaError::kInvalidRequest);
  EXPECT_EQ(partitions("orders"), 3u);
}

// ---- DeleteRecords ----

TEST_F(KafkaTopicsTest, RecordsAreForgottenInEveryVersion) {
  const TopicId orders = create("orders");
  fill(orders, 10);
  fill(orders, 4, 1);
  for (std::int16_t version = 0; version <= 2; ++version) {
    kafka::DeleteRecordsRequest request;
    request.topics = {{"orders", {{0, 3}, {1, -1}, {2, 0}}}, {"none", {{0, 0}}}};
    const auto response = ask<kafka::DeleteRecordsResponse>(request, version);
    ASSERT_TRUE(response);
    ASSERT_EQ(response->topics.size(), 2u);
    const auto& trimmed = response->topics[0].partitions;
    EXPECT_EQ(trimmed.at(0).error_code, KafkaError::kNone);
    EXPECT_EQ(trimmed.at(0).low_watermark, 3);
    EXPECT_EQ(trimmed.at(1).low_watermark, 4);  // the high watermark
    EXPECT_EQ(trimmed.at(2).error_code, KafkaError::kUnknownTopicOrPartition);
    EXPECT_EQ(trimmed.at(2).low_watermark, -1);
    EXPECT_EQ(response->topics[1].partitions.at(0).error_code,
              KafkaError::kUnknownTopicOrPartition);
  }
  kafka::DeleteRecordsRequest beyond;
  beyond.topics = {{"orders", {{0, 11}, {1, -2}}}};
  const auto response = ask<kafka::DeleteRecordsResponse>(beyond, 2);
  for (const auto& partition : response->topics.at(0).partitions)
    EXPECT_EQ(partition.error_code, KafkaError::kOffsetOutOfRange);
}

}  // namespace
}  // namespace leat::session
