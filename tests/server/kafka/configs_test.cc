// Kafka's admins look at settings and change them: each version, over bytes.
#include "server/session/kafka/handlers.h"
#include "tests/server/kafka/kafka_fixture.h"

namespace leat::session {
namespace {

using namespace std::chrono_literals;
using kafka::KafkaError;

constexpr std::int8_t kTopic = 2, kBroker = 4, kLogger = 8;

using Shown = kafka::DescribeConfigsResponse::Resource;

class KafkaConfigsTest : public KafkaFixture {
 protected:
  std::vector<Shown> describe(std::vector<kafka::DescribeConfigsRequest::Resource> resources,
                              std::int16_t version = 4, bool all = false) {
    const auto response = ask<kafka::DescribeConfigsResponse>(
        kafka::DescribeConfigsRequest{.resources = std::move(resources),
                                      .include_synonyms = all,
                                      .include_documentation = all},
        version);
    return response ? response->results : std::vector<Shown>();
  }
  static const Shown::Config* find(const Shown& shown, std::string_view name) {
    for (const auto& config : shown.configs)
      if (config.name == name) return &config;
    return nullptr;
  }
  KafkaError alter(std::vector<kafka::AlterConfigsRequest::Resource::Config> configs,
                   std::int16_t version = 2, bool validate_only = false,
                   std::string_view topic = "orders") {
    kafka::AlterConfigsRequest request{.validate_only = validate_only};
    request.resources = {{kTopic, topic, std::move(configs)}};
    return ask<kafka::AlterConfigsResponse>(request, version)->responses.at(0).error_code;
  }
  kafka::IncrementalAlterConfigsResponse::Resource change(
      std::vector<kafka::IncrementalAlterConfigsRequest::Resource::Config> configs,
      std::int16_t version = 1, bool validate_only = false, std::int8_t type = kTopic,
      std::string_view name = "orders") {
    kafka::IncrementalAlterConfigsRequest request{.validate_only = validate_only};
    request.resources = {{type, name, std::move(configs)}};
    return ask<kafka::IncrementalAlterConfigsResponse>(request, version)->responses.at(0);
  }
  const TopicConfig& config(std::string_view topic = "orders") const {
    return storage.find_topic(topic)->config;
  }
};

// ---- DescribeConfigs ----

TEST_F(KafkaConfigsTest, ATopicsSettingsAreShownInEveryVersion) {
  create("orders", 1, {.cleanup = Cleanup::kCompact, .retention = {1h}});
  for (std::int16_t version = 1; version <= 4; ++version) {
    const auto results = describe({{kTopic, "orders", {}}}, version, true);
    ASSERT_EQ(results.size(), 1u);
    EXPECT_EQ(results[0].error_code, KafkaError::kNone);
    EXPECT_EQ(results[0].resource_type, kTopic);
    EXPECT_EQ(results[0].resource_name, "orders");
    const auto* retention = find(results[0], "retention.ms");
    ASSERT_TRUE(retention);
    EXPECT_EQ(retention->value, "3600000");
    EXPECT_EQ(retention->config_source, 1);
    EXPECT_FALSE(retention->read_only);
    ASSERT_EQ(retention->synonyms.size(), 2u);
    EXPECT_EQ(retention->synonyms[0].name, "retention.ms");
    EXPECT_EQ(retention->synonyms[0].value, "3600000");
    EXPECT_EQ(retention->synonyms[1].name, "log.retention.ms");
    EXPECT_EQ(retention->synonyms[1].value, "-1");
    EXPECT_EQ(retention->synonyms[1].source, 5);
    const auto* bytes = find(results[0], "retention.bytes");
    ASSERT_TRUE(bytes);
    EXPECT_EQ(bytes->config_source, 5);
    ASSERT_EQ(bytes->synonyms.size(), 1u);
    if (version >= 3) {
      EXPECT_EQ(retention->config_type, 5);
      EXPECT_NE(retention->documentation.value_or(""), "");
    }
  }
}

TEST_F(KafkaConfigsTest, OnlyWhatIsAskedForIsShown) {
  create("orders", 1);
  const auto results =
      describe({{kTopic, "orders", std::vector<std::string_view>{"cleanup.policy", "no.such"}}});
  ASSERT_EQ(results.at(0).configs.size(), 1u);
  EXPECT_EQ(results[0].configs[0].name, "cleanup.policy");
  EXPECT_TRUE(results[0].configs[0].synonyms.empty());
  EXPECT_FALSE(results[0].configs[0].documentation);
  EXPECT_GT(describe({{kTopic, "orders", std::vector<std::string_view>{}}}).at(0).configs.size(),
            20u);
}

TEST_F(KafkaConfigsTest, TheBrokersSettingsAreShown) {
  const auto results =
      describe({{kBroker, "1", {}}, {kBroker, "", {}}, {kBroker, "2", {}}}, 4, true);
  ASSERT_EQ(results.size(), 3u);
  const auto* partitions = find(results[0], "num.partitions");
  ASSERT_TRUE(partitions);
  EXPECT_EQ(partitions->value, std::to_string(broker.options().auto_create_partitions));
  EXPECT_TRUE(partitions->read_only);
  EXPECT_EQ(partitions->synonyms.size(), 1u);
  EXPECT_EQ(results[1].error_code, KafkaError::kNone);
  EXPECT_TRUE(results[1].configs.empty());
  EXPECT_EQ(results[2].error_code, KafkaError::kInvalidRequest);
}

TEST_F(KafkaConfigsTest, WhatHasNoSettingsIsToldSo) {
  const auto results = describe({{kTopic, "none", {}}, {kLogger, "1", {}}, {kTopic, "a b", {}}});
  EXPECT_EQ(results.at(0).error_code, KafkaError::kUnknownTopicOrPartition);
  EXPECT_EQ(results.at(1).error_code, KafkaError::kInvalidRequest);
  EXPECT_EQ(results.at(2).error_code, KafkaError::kInvalidTopicException);
  for (const auto& result : results) EXPECT_NE(result.error_message.value_or(""), "");
}

// ---- AlterConfigs ----

TEST_F(KafkaConfigsTest, AlterConfigsSetsAllAnewInEveryVersion) {
  create("orders", 1, {.retention = {1h}});
  for (std::int16_t version = 0; version <= 2; ++version) {
    const std::string bytes = std::to_string(version + 100);
    EXPECT_EQ(alter({{"retention.bytes", bytes}}, version), KafkaError::kNone);
    EXPECT_EQ(config(), (TopicConfig{.retention = {.bytes = version + 100}}));
    EXPECT_EQ(alter({{"retention.bytes", "7"}}, version, true), KafkaError::kNone);
    EXPECT_EQ(config().retention.bytes, version + 100) << "it was only validated";
  }
  EXPECT_EQ(alter({}), KafkaError::kNone);
  EXPECT_EQ(config(), TopicConfig());
  EXPECT_EQ(alter({{"retention.bytes", std::nullopt}}), KafkaError::kInvalidConfig);
  EXPECT_EQ(alter({{"retention.bytes", "x"}}), KafkaError::kInvalidConfig);
  EXPECT_EQ(alter({{"retention.bytes", "x"}}, 2, true), KafkaError::kInvalidConfig);
  EXPECT_EQ(alter({}, 2, false, "none"), KafkaError::kUnknownTopicOrPartition);
  EXPECT_EQ(alter({}, 2, true, "none"), KafkaError::kUnknownTopicOrPartition);
}

// ---- IncrementalAlterConfigs ----

TEST_F(KafkaConfigsTest, SomeSettingsAreChangedInEveryVersion) {
  create("orders", 1, {.retention = {1h}});
  for (std::int16_t version = 0; version <= 1; ++version) {
    EXPECT_EQ(
        change({{"retention.bytes", 0, "5"}, {"cleanup.policy", 2, "compact"}}, version).error_code,
        KafkaError::kNone);
    EXPECT_EQ(config(),
              (TopicConfig{.cleanup = Cleanup::kCompactDelete, .retention = {1h, 5, -1}}));
    EXPECT_EQ(
        change({{"retention.bytes", 1, {}}, {"cleanup.policy", 3, "compact"}}, version).error_code,
        KafkaError::kNone);
    EXPECT_EQ(config(), (TopicConfig{.retention = {1h}}));
    EXPECT_EQ(change({{"retention.bytes", 0, "5"}}, version, true).error_code, KafkaError::kNone);
    EXPECT_EQ(config().retention.bytes, -1) << "it was only validated";
  }
}

TEST_F(KafkaConfigsTest, ChangesThatCannotBeAreRefusedAndNothingChanges) {
  create("orders", 1, {.retention = {1h}});
  const auto refused = [&](const auto& response) {
    EXPECT_NE(response.error_message.value_or(""), "");
    return response.error_code;
  };
  EXPECT_EQ(refused(change({{"retention.ms", 0, "5"}, {"min.insync.replicas", 0, "2"}})),
            KafkaError::kInvalidConfig);
  EXPECT_EQ(refused(change({{"retention.ms", 2, "5"}})), KafkaError::kInvalidRequest);
  EXPECT_EQ(refused(change({{"retention.ms", 9, "5"}})), KafkaError::kInvalidRequest);
  EXPECT_EQ(refused(change({{"retention.ms", 0, "5"}, {"retention.ms", 0, "6"}})),
            KafkaError::kInvalidRequest);
  EXPECT_EQ(refused(change({{"retention.ms", 0, "5"}}, 1, false, kTopic, "none")),
            KafkaError::kUnknownTopicOrPartition);
  EXPECT_EQ(refused(change({{"num.partitions", 0, "5"}}, 1, false, kBroker, "1")),
            KafkaError::kInvalidRequest);
  EXPECT_EQ(refused(change({{"x", 0, "5"}}, 1, false, kLogger, "1")), KafkaError::kInvalidRequest);
  EXPECT_EQ(change({}, 1, false, kBroker, "1").error_code, KafkaError::kNone);
  EXPECT_EQ(config(), (TopicConfig{.retention = {1h}}));
}

TEST_F(KafkaConfigsTest, EachResourceOfARequestIsOnItsOwn) {
  create("one", 1);
  create("two", 1);
  kafka::IncrementalAlterConfigsRequest request;
  request.resources = {{kTopic, "one", {{"retention.bytes", 0, "5"}}},
                       {kTopic, "none", {{"retention.bytes", 0, "5"}}},
                       {kTopic, "two", {{"retention.bytes", 0, "5"}}},
                       {kTopic, "two", {{"retention.bytes", 0, "6"}}}};
  const auto response = ask<kafka::IncrementalAlterConfigsResponse>(request, 1);
  ASSERT_EQ(response->responses.size(), 4u);
  EXPECT_EQ(response->responses[0].error_code, KafkaError::kNone);
  EXPECT_EQ(response->responses[1].error_code, KafkaError::kUnknownTopicOrPartition);
  EXPECT_EQ(response->responses[2].error_code, KafkaError::kInvalidRequest);
  EXPECT_EQ(response->responses[3].error_code, KafkaError::kInvalidRequest);
  EXPECT_EQ(config("one").retention.bytes, 5);
  EXPECT_EQ(config("two").retention.bytes, -1);
}

TEST_F(KafkaConfigsTest, AReplyWaitsUntilTheChangeIsDurable) {
  create("orders", 1);
  kafka::IncrementalAlterConfigsRequest request;
  request.resources = {{kTopic, "orders", {{"retention.bytes", 0, "5"}}}};
  send(request, 1);
  // What is shown meanwhile waits, too (rule 2).
  send(kafka::DescribeConfigsRequest{.resources = {{kTopic, "orders", {}}}}, 4);
  EXPECT_FALSE(take<kafka::IncrementalAlterConfigsResponse>());
  deliver();
  EXPECT_TRUE(take<kafka::IncrementalAlterConfigsResponse>());
  EXPECT_TRUE(take<kafka::DescribeConfigsResponse>());
}

}  // namespace
}  // namespace leat::session
