// librdkafka's admin interface (C API) against a broker.
#include "tests/kafka_compat/librdkafka/admin.h"

#include <gtest/gtest.h>

#include "tests/kafka_compat/librdkafka/broker.h"
#include "tests/kafka_compat/librdkafka/records.h"

namespace leat::compat {
namespace {

class AdminTest : public ::testing::Test {
 protected:
  Broker broker_;
  Admin admin_{broker_.bootstrap()};
  const std::string topic_ = fresh_name("topic");
  const std::string group_ = fresh_name("group");
};

TEST_F(AdminTest, TopicsAreCreatedListedAndDeleted) {
  EXPECT_EQ(admin_.create_topic(topic_, 3), "");
  EXPECT_TRUE(admin_.becomes(topic_, 3));
  EXPECT_EQ(admin_.create_topic(topic_, 3), "TOPIC_ALREADY_EXISTS");
  EXPECT_EQ(admin_.delete_topic(topic_), "");
  EXPECT_TRUE(admin_.becomes(topic_, 0));
  EXPECT_EQ(admin_.delete_topic(topic_), "UNKNOWN_TOPIC_OR_PART");
}

TEST_F(AdminTest, TopicsThatCannotBeAreRefused) {
  EXPECT_EQ(admin_.create_topic("no/such name", 1), "TOPIC_EXCEPTION");
  EXPECT_EQ(admin_.create_topic("..", 1), "TOPIC_EXCEPTION");
  EXPECT_EQ(admin_.create_topic(std::string(250, 'x'), 1), "TOPIC_EXCEPTION");
  EXPECT_EQ(admin_.create_topic(topic_, 1, {}, 3), "INVALID_REPLICATION_FACTOR");
  EXPECT_EQ(admin_.create_topic(topic_, 1, {{"retention.ms", "soon"}}), "INVALID_CONFIG");
  EXPECT_EQ(admin_.create_topic(topic_, 1, {{"no.such.config", "1"}}), "INVALID_CONFIG");
  EXPECT_FALSE(admin_.topics().contains(topic_));
}

TEST_F(AdminTest, ValidatingCreatesNothing) {
  EXPECT_EQ(admin_.create_topic(topic_, 1, {}, 1, true), "");
  EXPECT_FALSE(admin_.topics().contains(topic_));
}

TEST_F(AdminTest, ATopicThatIsCreatedAgainIsAnotherTopic) {
  ASSERT_EQ(admin_.create_topic(topic_, 1), "");
  ASSERT_EQ(send(broker_.bootstrap(), topic_, plain_records(3)).delivered, 3);
  ASSERT_EQ(admin_.delete_topic(topic_), "");
  ASSERT_TRUE(admin_.becomes(topic_, 0));
  ASSERT_EQ(admin_.create_topic(topic_, 1), "");
  const auto sent = plain_records(1, "new");
  const Reports reports = send(broker_.bootstrap(), topic_, sent);
  ASSERT_EQ(reports.delivered, 1);
  EXPECT_EQ(reports.offsets, std::vector<std::int64_t>{0});
  EXPECT_EQ(read(broker_.bootstrap(), topic_, 1, 0), sent);
}

TEST_F(AdminTest, PartitionsAreAddedAndNeverTaken) {
  ASSERT_EQ(admin_.create_topic(topic_, 2), "");
  ASSERT_TRUE(admin_.becomes(topic_, 2));
  EXPECT_EQ(admin_.create_partitions(topic_, 5), "");
  EXPECT_TRUE(admin_.becomes(topic_, 5));
  EXPECT_EQ(admin_.create_partitions(topic_, 3), "INVALID_PARTITIONS");
  EXPECT_EQ(admin_.create_partitions(topic_, 5), "INVALID_PARTITIONS");
  EXPECT_EQ(admin_.create_partitions(fresh_name("none"), 5), "UNKNOWN_TOPIC_OR_PART");
}

TEST_F(AdminTest, ConfigsOfATopicAreDescribedAndAltered) {
  const std::string plain = fresh_name("plain");
  ASSERT_EQ(admin_.create_topic(plain, 1), "");
  ASSERT_TRUE(admin_.becomes(plain, 1));
  const auto by_default = admin_.describe_configs(RD_KAFKA_RESOURCE_TOPIC, plain)["retention.ms"];
  ASSERT_EQ(admin_.create_topic(topic_, 1, {{"retention.ms", "60000"}}), "");
  ASSERT_TRUE(admin_.becomes(topic_, 1));
  auto configs = admin_.describe_configs(RD_KAFKA_RESOURCE_TOPIC, topic_);
  EXPECT_EQ(configs["retention.ms"], "60000");
  EXPECT_EQ(configs["cleanup.policy"], "delete");
  EXPECT_EQ(configs["message.timestamp.type"], "CreateTime");
  EXPECT_TRUE(configs.contains("max.message.bytes"));
  EXPECT_EQ(admin_.alter_configs(topic_, {{"cleanup.policy", "compact"}}), "");
  configs = admin_.describe_configs(RD_KAFKA_RESOURCE_TOPIC, topic_);
  EXPECT_EQ(configs["cleanup.policy"], "compact");
  EXPECT_EQ(configs["retention.ms"], by_default);  // AlterConfigs resets what it does not name
  EXPECT_EQ(admin_.alter_configs(topic_, {{"cleanup.policy", "burn"}}), "INVALID_CONFIG");
  EXPECT_EQ(admin_.alter_configs(fresh_name("none"), {{"retention.ms", "1"}}),
            "UNKNOWN_TOPIC_OR_PART");
}

TEST_F(AdminTest, ATopicTakesRecordsAsLargeAsItsConfigSays) {
  ASSERT_EQ(admin_.create_topic(topic_, 1, {{"max.message.bytes", "2000"}}), "");
  const std::vector<Sent> large = {{"key", std::string(3'000, 'x'), {}}};
  EXPECT_EQ(send(broker_.bootstrap(), topic_, large).failures,
            std::vector<RdKafka::ErrorCode>{RdKafka::ERR_MSG_SIZE_TOO_LARGE});
  ASSERT_EQ(admin_.alter_configs(topic_, {{"max.message.bytes", "10000"}}), "");
  EXPECT_EQ(send(broker_.bootstrap(), topic_, large).delivered, 1);
}

TEST_F(AdminTest, ConfigsOfTheBrokerAreDescribed) {
  EXPECT_FALSE(admin_.describe_configs(RD_KAFKA_RESOURCE_BROKER, "1").empty());
}

TEST_F(AdminTest, RecordsBelowAnOffsetAreDeleted) {
  ASSERT_EQ(admin_.create_topic(topic_, 1), "");
  const auto sent = plain_records(10);
  ASSERT_EQ(send(broker_.bootstrap(), topic_, sent).delivered, 10);
  EXPECT_EQ(admin_.delete_records(topic_, 0, 4), "");
  EXPECT_EQ(admin_.low_watermark(), 4);
  EXPECT_EQ(read(broker_.bootstrap(), topic_, 6, RdKafka::Topic::OFFSET_BEGINNING),
            std::vector<Sent>(sent.begin() + 4, sent.end()));
  EXPECT_EQ(admin_.delete_records(topic_, 0, 1'000), "OFFSET_OUT_OF_RANGE");
  EXPECT_EQ(admin_.delete_records(topic_, 0, RD_KAFKA_OFFSET_END), "");
  EXPECT_EQ(admin_.low_watermark(), 10);
}

TEST_F(AdminTest, OffsetsOfAGroupAreSetListedAndDeleted) {
  ASSERT_EQ(admin_.create_topic(topic_, 1), "");
  EXPECT_EQ(admin_.committed(group_, topic_), RD_KAFKA_OFFSET_INVALID);
  EXPECT_EQ(admin_.commit(group_, topic_, 42), "");
  EXPECT_EQ(admin_.committed(group_, topic_), 42);
  EXPECT_EQ(admin_.delete_offsets(group_, topic_), "");
  EXPECT_EQ(admin_.committed(group_, topic_), RD_KAFKA_OFFSET_INVALID);
}

TEST_F(AdminTest, GroupsAreListedDescribedAndDeleted) {
  ASSERT_EQ(admin_.create_topic(topic_, 1), "");
  ASSERT_EQ(send(broker_.bootstrap(), topic_, plain_records(1)).delivered, 1);
  const auto reader = consumer(broker_.bootstrap(), group_);
  ASSERT_EQ(reader->subscribe({topic_}), RdKafka::ERR_NO_ERROR);
  ASSERT_EQ(next(*reader)->err(), RdKafka::ERR_NO_ERROR);
  EXPECT_EQ(admin_.groups().at(group_), "Stable");
  const auto described = admin_.describe_group(group_);
  EXPECT_EQ(described.error, "");
  EXPECT_EQ(described.members, 1u);
  EXPECT_EQ(admin_.delete_group(group_), "NON_EMPTY_GROUP");
  reader->close();
  EXPECT_EQ(admin_.describe_group(group_).state, "Empty");
  EXPECT_EQ(admin_.delete_group(group_), "");
  EXPECT_FALSE(admin_.groups().contains(group_));
  EXPECT_EQ(admin_.delete_group(group_), "GROUP_ID_NOT_FOUND");
}

}  // namespace
}  // namespace leat::compat
