// Kafka's names for the settings of a topic: what they do, what they may be, what is refused.
#include "server/session/kafka/topic_settings.h"

#include <fstream>
#include <map>
#include <sstream>

#include <gtest/gtest.h>

#include "server/session/kafka/broker_settings.h"

namespace leat::session {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBatchBytes = 8 << 20;  // what the broker takes
constexpr const char* kUnlimited = "9223372036854775807";

using Given = std::vector<GivenSetting>;

Result<TopicConfig> with(const Given& given, const TopicConfig& before = {}) {
  return with_settings(before, given, kBatchBytes);
}
std::string refusal(const Given& given, ErrorCode code = ErrorCode::kInvalidConfig) {
  const auto config = with(given);
  if (config) return "taken";
  EXPECT_EQ(config.error(), code) << config.error().message();
  return config.error().detail;
}
std::map<std::string_view, ShownSetting> shown(const TopicConfig& config = {}) {
  std::map<std::string_view, ShownSetting> all;
  for (auto& setting : shown_settings(config, kBatchBytes)) all[setting.name] = setting;
  return all;
}

TEST(KafkaTopicSettings, WhatKafkaCallsThingsIsWhatTheyAreHere) {
  const auto config = with({{"retention.ms", "3600000"},
                            {"retention.bytes", " 1000 "},
                            {"cleanup.policy", "compact, delete"},
                            {"max.message.bytes", "5000"},
                            {"message.timestamp.type", "LogAppendTime"},
                            {"leat.durability.interval.ms", "20"},
                            {"leat.durability", "interval"},
                            {"leat.on.full", "drop-oldest"},
                            {"leat.retention.records", "7"},
                            {"leat.ttl.ms", "1000"},
                            {"leat.dedup.ms", "0"},
                            {"leat.dedup.ids", "9"}});
  ASSERT_TRUE(config) << config.error().message();
  const TopicConfig expected{.durability = Durability::kInterval,
                             .interval = 20ms,
                             .cleanup = Cleanup::kCompactDelete,
                             .on_full = OnFull::kDropOldest,
                             .retention = {1h, 1000, 7},
                             .ttl = 1s,
                             .dedup = {0ms, 9},
                             .timestamps = TimestampType::kAppendTime,
                             .max_batch_bytes = 5000};
  EXPECT_EQ(*config, expected);
}

// So that what is shown can be given to another topic.
TEST(KafkaTopicSettings, WhatIsShownIsTakenAndMakesTheSame) {
  const TopicConfig configs[] = {{},
                                 {.durability = Durability::kInterval,
                                  .interval = 20ms,
                                  .cleanup = Cleanup::kCompactDelete,
                                  .on_full = OnFull::kDropOldest,
                                  .retention = {1h, 1000, 7},
                                  .ttl = 1s,
                                  .dedup = {0ms, 9},
                                  .timestamps = TimestampType::kAppendTime,
                                  .max_batch_bytes = 5000},
                                 {.durability = Durability::kMemory, .cleanup = Cleanup::kCompact}};
  for (const TopicConfig& config : configs) {
    Given given;
    const auto all = shown_settings(config, kBatchBytes);
    for (const ShownSetting& setting : all)
      if (setting.source == SettingSource::kTopic) given.push_back({setting.name, setting.value});
    EXPECT_EQ(with(given).value_or(TopicConfig{.ttl = 77ms}), config);
    given.clear();
    for (const ShownSetting& setting : all) given.push_back({setting.name, setting.value});
    auto again = with(given);
    ASSERT_TRUE(again) << again.error().message();
    if (config.max_batch_bytes == 0) again->max_batch_bytes = 0;  // the broker's, by its number
    EXPECT_EQ(*again, config);
  }
}

TEST(KafkaTopicSettings, WhatIsTheTopicsOwnIsToldApart) {
  const auto own = shown({.retention = {1h}, .max_batch_bytes = 5000});
  EXPECT_EQ(own.at("retention.ms").source, SettingSource::kTopic);
  EXPECT_EQ(own.at("retention.ms").value, "3600000");
  EXPECT_EQ(own.at("retention.ms").default_value, "-1");
  EXPECT_EQ(own.at("retention.ms").broker_name, "log.retention.ms");
  EXPECT_EQ(own.at("retention.bytes").source, SettingSource::kDefault);
  EXPECT_EQ(own.at("max.message.bytes").value, "5000");
  EXPECT_EQ(shown().at("max.message.bytes").value, std::to_string(kBatchBytes));
  EXPECT_EQ(shown().at("max.message.bytes").source, SettingSource::kDefault);
  EXPECT_FALSE(own.at("cleanup.policy").read_only);
  EXPECT_TRUE(own.at("min.insync.replicas").read_only);
  EXPECT_EQ(own.at("min.insync.replicas").value, "1");
  for (const auto& [name, setting] : own) EXPECT_FALSE(setting.documentation.empty()) << name;
}

// What Kafka Streams, Connect, Schema Registry and Spring give to the topics they make.
TEST(KafkaTopicSettings, WhatFrameworksAskForIsTaken) {
  const Given asked[] = {
      // Streams: repartition topics, changelogs, changelogs of windows.
      {{"cleanup.policy", "delete"},
       {"segment.bytes", "52428800"},
       {"retention.ms", "-1"},
       {"message.timestamp.type", "CreateTime"}},
      {{"cleanup.policy", "compact"}, {"message.timestamp.type", "CreateTime"}},
      {{"cleanup.policy", "compact,delete"}, {"retention.ms", "172800000"}},
      // Connect's and Schema Registry's own topics.
      {{"cleanup.policy", "compact"}},
      {{"cleanup.policy", "compact"}, {"min.insync.replicas", "1"}},
      // What people write.
      {{"compression.type", "producer"}, {"unclean.leader.election.enable", "FALSE"}},
      {{"segment.ms", "100"},
       {"min.cleanable.dirty.ratio", "0.01"},
       {"delete.retention.ms", "100"}},
      {{"flush.messages", "1"}, {"flush.ms", "1000"}, {"preallocate", "true"}},
      {{"max.message.bytes", "1048588"}, {"file.delete.delay.ms", "1000"}},
      {{"message.timestamp.after.max.ms", kUnlimited}, {"local.retention.ms", "-2"}}};
  for (const Given& given : asked)
    EXPECT_TRUE(with(given)) << given[0].name << " …: " << with(given).error().message();
}

TEST(KafkaTopicSettings, WhatPromisesSomethingElseIsRefusedWithTheReason) {
  const auto says = [](const Given& given, const char* why) {
    const std::string detail = refusal(given);
    EXPECT_NE(detail.find(given[0].name), std::string::npos) << detail;
    EXPECT_NE(detail.find(why), std::string::npos) << detail;
  };
  says({{"min.insync.replicas", "2"}}, "no replicas");
  says({{"unclean.leader.election.enable", "true"}}, "no replicas");
  says({{"compression.type", "zstd"}}, "stored as they came");
  says({{"compression.type", "uncompressed"}}, "stored as they came");
  says({{"delete.retention.ms", "86400001"}}, "for a day");
  says({{"min.compaction.lag.ms", "1"}}, "as soon as it runs");
  says({{"max.compaction.lag.ms", "1000"}}, "not by time");
  says({{"message.timestamp.before.max.ms", "1000"}}, "whatever their time");
  says({{"message.timestamp.difference.max.ms", "0"}}, "whatever their time");
  says({{"remote.storage.enable", "true"}}, "no remote storage");
  says({{"local.retention.bytes", "100"}}, "no remote storage");
  says({{"leader.replication.throttled.replicas", "*"}}, "no replicas");
  says({{"max.message.bytes", std::to_string(kBatchBytes + 1)}}, "at most 8388608");
  says({{"confluent.value.schema.validation", "true"}}, "unknown topic config name");
  // A sync that does not happen.
  says({{"flush.messages", "1"}, {"leat.durability", "memory"}}, "leat.durability=sync");
  EXPECT_TRUE(with({{"flush.messages", kUnlimited}, {"leat.durability", "memory"}}));
}

TEST(KafkaTopicSettings, WhatIsNoValueIsRefusedByName) {
  const auto says = [](std::string_view name, std::optional<std::string_view> value) {
    const std::string detail = refusal({{name, value}});
    EXPECT_TRUE(detail.starts_with(std::string(name))) << name << ": " << detail;
    EXPECT_NE(detail.find("use "), std::string::npos) << detail;
  };
  for (const ShownSetting& setting : shown_settings({}, kBatchBytes)) {
    says(setting.name, "none of these");
    says(setting.name, std::nullopt);
    if (!setting.value.empty()) says(setting.name, "");
  }
  for (const char* text : {"1.5", "1k", "0x10", "9223372036854775808", "- 1", "+1"})
    says("retention.ms", text);
  says("max.message.bytes", "0");
  says("max.message.bytes", "-1");
  says("cleanup.policy", "delete,none");
  says("cleanup.policy", ",");
  says("min.cleanable.dirty.ratio", "1.5");
  says("min.cleanable.dirty.ratio", "nan");
  says("segment.bytes", "2147483648");
  says("preallocate", "yes");
  // Settings that go together, by their own names.
  EXPECT_NE(refusal({{"retention.ms", "-2"}}).find("retention_ms"), std::string::npos);
  EXPECT_NE(refusal({{"leat.durability", "interval"}}).find("interval"), std::string::npos);
  EXPECT_NE(
      refusal({{"leat.on.full", "drop-oldest"}, {"cleanup.policy", "compact"}}).find("on_full"),
      std::string::npos);
}

TEST(KafkaTopicSettings, ChangesAreSetDeletedAppendedAndSubtracted) {
  const TopicConfig before{.cleanup = Cleanup::kCompact, .retention = {1h, 5, 6}, .ttl = 1s};
  const auto changed = [&](const GivenSetting& given) { return with({given}, before); };
  TopicConfig expected = before;
  expected.retention.time = -1ms;
  EXPECT_EQ(changed({"retention.ms", {}, SettingChange::kDelete}), expected);
  expected = before;
  expected.cleanup = Cleanup::kCompactDelete;
  EXPECT_EQ(changed({"cleanup.policy", "delete", SettingChange::kAppend}), expected);
  EXPECT_EQ(changed({"cleanup.policy", "compact,delete", SettingChange::kAppend}), expected);
  EXPECT_EQ(changed({"cleanup.policy", "compact", SettingChange::kAppend}), before);
  EXPECT_EQ(changed({"cleanup.policy", "delete", SettingChange::kSubtract}), before);
  EXPECT_EQ(changed({"min.insync.replicas", {}, SettingChange::kDelete}), before);
  EXPECT_EQ(changed({"cleanup.policy", "compact", SettingChange::kSubtract}).error(),
            ErrorCode::kInvalidConfig);  // nothing would be left
  EXPECT_EQ(changed({"retention.ms", "1", SettingChange::kAppend}).error(),
            ErrorCode::kInvalidRequest);
  EXPECT_EQ(changed({"retention.ms", "1", static_cast<SettingChange>(4)}).error(),
            ErrorCode::kInvalidRequest);
  EXPECT_EQ(changed({"retention.ms", "1", static_cast<SettingChange>(-1)}).error(),
            ErrorCode::kInvalidRequest);
  // From a bounded loss back to none.
  const TopicConfig interval{.durability = Durability::kInterval, .interval = 5ms};
  EXPECT_EQ(with({{"leat.durability", "sync"}}, interval), TopicConfig());
  EXPECT_EQ(with({{"leat.durability", {}, SettingChange::kDelete}}, interval), TopicConfig());
}

// It was within the broker's limit when the topic got it.
TEST(KafkaTopicSettings, AnOldLimitHoldsUpNoOtherChange) {
  TopicConfig before{.max_batch_bytes = kBatchBytes + 1};
  const auto changed = with({{"retention.ms", "5"}}, before);
  before.retention.time = 5ms;
  EXPECT_EQ(changed, before);
}

TEST(KafkaTopicSettings, ANameIsGivenOnce) {
  EXPECT_EQ(refusal({{"retention.ms", "1"}, {"retention.ms", "2"}}, ErrorCode::kInvalidRequest),
            "'retention.ms' is given twice");
}

TEST(KafkaBrokerSettings, TheOptionsHaveKafkasNames) {
  broker::BrokerOptions options;
  options.batch_bytes = 12'345;
  options.auto_create_topics = true;
  std::map<std::string_view, ShownSetting> all;
  for (const auto& setting : broker_settings(options, 1)) {
    EXPECT_TRUE(setting.read_only) << setting.name;
    EXPECT_FALSE(setting.documentation.empty()) << setting.name;
    EXPECT_TRUE(all.emplace(setting.name, setting).second) << setting.name << " is there twice";
  }
  EXPECT_EQ(all.at("message.max.bytes").value, "12345");
  EXPECT_EQ(all.at("message.max.bytes").source, SettingSource::kBroker);
  EXPECT_EQ(all.at("auto.create.topics.enable").value, "true");
  EXPECT_EQ(all.at("num.partitions").source, SettingSource::kDefault);
  EXPECT_EQ(all.at("node.id").value, "1");
  EXPECT_EQ(all.at("default.replication.factor").value, "1");
  EXPECT_EQ(all.at("log.retention.ms").value, "-1");
  EXPECT_EQ(all.at("log.cleanup.policy").value, "delete");
}

// The page that people read names them all.
TEST(KafkaTopicSettings, AreWrittenDown) {
  std::ifstream file(std::string(LEAT_SOURCE_DIR) + "/docs/kafka_settings.md");
  std::stringstream text;
  text << file.rdbuf();
  for (const ShownSetting& setting : shown_settings({}, kBatchBytes))
    EXPECT_NE(text.str().find("`" + std::string(setting.name) + "`"), std::string::npos)
        << setting.name;
}

}  // namespace
}  // namespace leat::session
