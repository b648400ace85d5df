// librdkafka's C++ API against a broker: what is sent is read back byte for byte.
#include <algorithm>

#include <gtest/gtest.h>

#include "tests/kafka_compat/librdkafka/broker.h"
#include "tests/kafka_compat/librdkafka/records.h"

namespace leat::compat {
namespace {

class Compression : public ::testing::TestWithParam<const char*> {
 protected:
  Broker broker_;
  const std::string topic_ = fresh_name("compression");
};

TEST_P(Compression, BringsEveryRecordBackByteForByte) {
  const auto sent = odd_records();
  const Reports reports = send(broker_.bootstrap(), topic_, sent,
                               {{"compression.codec", GetParam()}, {"linger.ms", "20"}});
  EXPECT_EQ(reports.failures, std::vector<RdKafka::ErrorCode>{});
  ASSERT_EQ(reports.delivered, static_cast<int>(sent.size()));
  EXPECT_EQ(read(broker_.bootstrap(), topic_, sent.size(), RdKafka::Topic::OFFSET_BEGINNING), sent);
}
INSTANTIATE_TEST_SUITE_P(Codecs, Compression,
                         ::testing::Values("none", "gzip", "snappy", "lz4", "zstd"),
                         [](const auto& codec) { return std::string(codec.param); });

class Acks : public ::testing::TestWithParam<const char*> {
 protected:
  Broker broker_;
  const std::string topic_ = fresh_name("acks");
};

TEST_P(Acks, AreAnsweredAsAsked) {
  const auto sent = plain_records(50);
  const Reports reports = send(broker_.bootstrap(), topic_, sent, {{"acks", GetParam()}});
  EXPECT_EQ(reports.failures, std::vector<RdKafka::ErrorCode>{});
  ASSERT_EQ(reports.delivered, 50);
  if (std::string(GetParam()) != "0") {  // without acks nobody knows offsets
    EXPECT_EQ(reports.offsets.back(), 49);
  }
  EXPECT_EQ(read(broker_.bootstrap(), topic_, 50, RdKafka::Topic::OFFSET_BEGINNING), sent);
}
INSTANTIATE_TEST_SUITE_P(Levels, Acks, ::testing::Values("0", "1", "all"),
                         [](const auto& acks) { return std::string(acks.param); });

class Reading : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(send(broker_.bootstrap(), topic_, sent_, {{"linger.ms", "5"}}).delivered, 100);
  }
  std::vector<Sent> sent_from(std::size_t offset) const {
    return {sent_.begin() + static_cast<std::ptrdiff_t>(offset), sent_.end()};
  }

  Broker broker_;
  const std::string topic_ = fresh_name("reading");
  const std::vector<Sent> sent_ = plain_records(100);
};

TEST_F(Reading, StartsAtAnOffsetInsideABatch) {
  EXPECT_EQ(read(broker_.bootstrap(), topic_, 63, 37), sent_from(37));
}

TEST_F(Reading, StartsAtATimestamp) {
  const auto reader = consumer(broker_.bootstrap(), "unused");
  const std::unique_ptr<RdKafka::TopicPartition> at(
      RdKafka::TopicPartition::create(topic_, 0, sent_[60].timestamp_ms - 999));
  std::vector<RdKafka::TopicPartition*> times = {at.get()};
  ASSERT_EQ(reader->offsetsForTimes(times, kHangMs), RdKafka::ERR_NO_ERROR);
  EXPECT_EQ(at->err(), RdKafka::ERR_NO_ERROR);
  EXPECT_EQ(at->offset(), 60);
  EXPECT_EQ(read(broker_.bootstrap(), topic_, 40, at->offset()), sent_from(60));
}

TEST_F(Reading, FindsNoOffsetBehindTheNewestTimestamp) {
  const auto reader = consumer(broker_.bootstrap(), "unused");
  const std::unique_ptr<RdKafka::TopicPartition> at(
      RdKafka::TopicPartition::create(topic_, 0, sent_.back().timestamp_ms + 1));
  std::vector<RdKafka::TopicPartition*> times = {at.get()};
  ASSERT_EQ(reader->offsetsForTimes(times, kHangMs), RdKafka::ERR_NO_ERROR);
  EXPECT_EQ(at->offset(), RdKafka::Topic::OFFSET_END);
}

TEST_F(Reading, KnowsWhereThePartitionBeginsAndEnds) {
  const auto reader = consumer(broker_.bootstrap(), "unused");
  std::int64_t low = -1, high = -1;
  ASSERT_EQ(reader->query_watermark_offsets(topic_, 0, &low, &high, kHangMs),
            RdKafka::ERR_NO_ERROR);
  EXPECT_EQ(low, 0);
  EXPECT_EQ(high, 100);
}

TEST_F(Reading, GoesOnWhereItIsToldToSeek) {
  const auto reader = consumer(broker_.bootstrap(), "unused");
  const std::unique_ptr<RdKafka::TopicPartition> start(
      RdKafka::TopicPartition::create(topic_, 0, 0));
  ASSERT_EQ(reader->assign({start.get()}), RdKafka::ERR_NO_ERROR);
  EXPECT_EQ(next(*reader)->offset(), 0);
  const std::unique_ptr<RdKafka::TopicPartition> there(
      RdKafka::TopicPartition::create(topic_, 0, 90));
  ASSERT_EQ(reader->seek(*there, kHangMs), RdKafka::ERR_NO_ERROR);
  EXPECT_EQ(next(*reader)->offset(), 90);
  reader->close();
}

TEST_F(Reading, BehindTheEndTellsThatItIsOutOfRange) {
  const auto reader = consumer(broker_.bootstrap(), "unused", {{"auto.offset.reset", "error"}});
  const std::unique_ptr<RdKafka::TopicPartition> at(
      RdKafka::TopicPartition::create(topic_, 0, 1'000));
  ASSERT_EQ(reader->assign({at.get()}), RdKafka::ERR_NO_ERROR);
  EXPECT_EQ(next(*reader)->err(), RdKafka::ERR__AUTO_OFFSET_RESET);
  reader->close();
}

// A consumer at the end is given what comes, from a fetch that waits at the broker.
TEST_F(Reading, AtTheEndWaitsForWhatComes) {
  const auto reader = consumer(broker_.bootstrap(), "unused", {{"enable.partition.eof", "true"}});
  const std::unique_ptr<RdKafka::TopicPartition> end(
      RdKafka::TopicPartition::create(topic_, 0, 100));
  ASSERT_EQ(reader->assign({end.get()}), RdKafka::ERR_NO_ERROR);
  const std::unique_ptr<RdKafka::Message> at_end(reader->consume(kHangMs));
  ASSERT_EQ(at_end->err(), RdKafka::ERR__PARTITION_EOF);
  ASSERT_EQ(send(broker_.bootstrap(), topic_, plain_records(1, "later")).delivered, 1);
  const auto message = next(*reader);
  ASSERT_EQ(message->err(), RdKafka::ERR_NO_ERROR) << message->errstr();
  EXPECT_EQ(message->offset(), 100);
  EXPECT_EQ(as_sent(*message), plain_records(1, "later").front());
  reader->close();
}

TEST(Producing, IdempotentlyKeepsOrderAndStoresEachOnce) {
  const Broker broker;
  const std::string topic = fresh_name("idempotent");
  const auto sent = plain_records(2'000);
  const Reports reports = send(broker.bootstrap(), topic, sent,
                               {{"enable.idempotence", "true"}, {"batch.num.messages", "50"}});
  EXPECT_EQ(reports.failures, std::vector<RdKafka::ErrorCode>{});
  ASSERT_EQ(reports.delivered, 2'000);
  EXPECT_EQ(read(broker.bootstrap(), topic, 2'000, RdKafka::Topic::OFFSET_BEGINNING), sent);
}

TEST(Producing, WhatIsTooLargeForTheClientIsNotSent) {
  const Broker broker;
  const Reports reports =
      send(broker.bootstrap(), fresh_name("large"), {{"key", std::string(5'000, 'x'), {}}},
           {{"message.max.bytes", "2000"}});
  EXPECT_EQ(reports.failures, std::vector<RdKafka::ErrorCode>{RdKafka::ERR_MSG_SIZE_TOO_LARGE});
}

// Beyond what a topic takes unless told otherwise: 1 MiB of Kafka's, 8 MiB here.
TEST(Producing, WhatIsTooLargeForTheBrokerFailsAndTheNextIsStored) {
  const Broker broker;
  const std::string topic = fresh_name("large");
  const Settings settings = {{"message.max.bytes", "20000000"}, {"batch.num.messages", "1"}};
  const std::vector<Sent> sent = {{"large", std::string(9'000'000, 'x'), {}, 1},
                                  {"small", "value", {}, 2}};
  const Reports reports = send(broker.bootstrap(), topic, sent, settings);
  EXPECT_EQ(reports.failures, std::vector<RdKafka::ErrorCode>{RdKafka::ERR_MSG_SIZE_TOO_LARGE});
  EXPECT_EQ(reports.delivered, 1);
  EXPECT_EQ(read(broker.bootstrap(), topic, 1, 0), std::vector<Sent>{sent[1]});
}

TEST(Producing, CreatesAnUnknownTopicWhereThatIsAllowed) {
  const Broker broker;
  const std::string topic = fresh_name("created");
  EXPECT_EQ(send(broker.bootstrap(), topic, plain_records(1)).delivered, 1);
}

TEST(Producing, FindsNoUnknownTopicWhereThatIsNotAllowed) {
  const Broker broker(AutoCreation::kOff);
  const Reports reports = send(broker.bootstrap(), fresh_name("unknown"), plain_records(1),
                               {{"topic.metadata.propagation.max.ms", "1"},
                                {"topic.metadata.refresh.fast.interval.ms", "10"}});
  ASSERT_EQ(reports.failures.size(), 1u);
  EXPECT_TRUE(reports.failures[0] == RdKafka::ERR__UNKNOWN_TOPIC ||
              reports.failures[0] == RdKafka::ERR_UNKNOWN_TOPIC_OR_PART)
      << RdKafka::err2str(reports.failures[0]);
}

TEST(Consuming, DoesNotCreateATopicUnlessItAsksFor) {
  const Broker broker;
  const std::string topic = fresh_name("missing");
  const auto reader = consumer(broker.bootstrap(), fresh_name("group"));
  ASSERT_EQ(reader->subscribe({topic}), RdKafka::ERR_NO_ERROR);
  EXPECT_EQ(next(*reader)->err(), RdKafka::ERR_UNKNOWN_TOPIC_OR_PART);
  reader->close();
}

TEST(Metadata, NamesTheClusterAndABrokerThatCanBeReached) {
  const Broker broker;
  const auto client = producer(broker.bootstrap());
  EXPECT_FALSE(client->clusterid(kHangMs).empty());
  EXPECT_GE(client->controllerid(kHangMs), 0);
  RdKafka::Metadata* found = nullptr;
  ASSERT_EQ(client->metadata(true, nullptr, &found, kHangMs), RdKafka::ERR_NO_ERROR);
  const std::unique_ptr<RdKafka::Metadata> metadata(found);
  ASSERT_EQ(metadata->brokers()->size(), 1u);
  const auto& only = *metadata->brokers()->front();
  EXPECT_EQ(only.host() + ":" + std::to_string(only.port()), broker.bootstrap());
}

}  // namespace
}  // namespace leat::compat
