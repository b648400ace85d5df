// A Kafka connection without sockets: order of responses, what closes it, and what is told of the
// broker.
#include "server/session/kafka/handlers.h"
#include "tests/server/kafka/kafka_fixture.h"

namespace leat::session {
namespace {

using kafka::KafkaError;

std::vector<std::byte> batch(int records = 1, std::string_view value = "v") {
  RecordBatchBuilder builder;
  for (int i = 0; i < records; ++i) builder.append({as_bytes("k"), as_bytes(value), {}}, 1);
  return builder.take();
}

class KafkaSessionTest : public KafkaFixture {
 protected:
  kafka::ProduceRequest produce(Bytes records, std::int16_t acks = -1,
                                std::string_view topic = "orders") {
    kafka::ProduceRequest request{.transactional_id = {}, .acks = acks, .timeout_ms = 1'000};
    auto& to = request.topic_data.emplace_back();
    to.name = topic;
    if (const auto* found = storage.find_topic(topic)) to.topic_id = found->id;
    to.partition_data.push_back({.index = 0, .records = records});
    return request;
  }
  KafkaError produced(Bytes records, std::int16_t version = 9) {
    const auto response = ask<kafka::ProduceResponse>(produce(records), version);
    if (!response) return KafkaError::kUnknownServerError;
    return response->responses.at(0).partition_responses.at(0).error_code;
  }
};

TEST_F(KafkaSessionTest, SaysWhatIsServedInEveryVersion) {
  for (std::int16_t version = 0; version <= 4; ++version) {
    const auto response = ask<kafka::ApiVersionsResponse>(
        kafka::ApiVersionsRequest{"leat-test", "1.0-rc.1"}, version);
    ASSERT_TRUE(response);
    EXPECT_EQ(response->error_code, KafkaError::kNone);
    EXPECT_EQ(response->api_keys.size(), std::size(kafka::kApis));
    bool produce = false;
    for (const auto& api : response->api_keys) {
      EXPECT_TRUE(kafka::find_api(api.api_key));
      produce |= api.api_key == 0 && api.min_version == 0 && api.max_version == 13;
    }
    EXPECT_TRUE(produce);
  }
  EXPECT_EQ(ask<kafka::ApiVersionsResponse>(kafka::ApiVersionsRequest{"a b", "1"}, 3)->error_code,
            KafkaError::kInvalidRequest);
}

TEST_F(KafkaSessionTest, WhereTheBrokerStampsTheResponseSaysWhen) {
  create("orders", 1, {.timestamps = TimestampType::kAppendTime});
  const auto records = batch();
  const auto response = ask<kafka::ProduceResponse>(produce(records), 9);
  ASSERT_TRUE(response);
  const auto& answer = response->responses.at(0).partition_responses.at(0);
  EXPECT_EQ(answer.log_append_time_ms, now().wall.time_since_epoch().count());
  create("plain", 1);
  const auto plain = ask<kafka::ProduceResponse>(produce(records, -1, "plain"), 9);
  EXPECT_EQ(plain->responses.at(0).partition_responses.at(0).log_append_time_ms, -1);
}

// Storage may keep the one large batch of a request where it was received, not one of two.
TEST_F(KafkaSessionTest, ALargeBatchMayStayWhereItWasReceived) {
  const TopicId topic = create("orders", 1);
  RecordBatchBuilder builder;
  const std::string value(200'000, 'v');
  builder.append({.key = {}, .value = as_bytes(value)}, 1);
  const std::vector<std::byte> large = builder.take();
  int stay = 0;
  for (const std::int16_t version : {3, 9, 13})
    for (const bool two : {false, true}) {
      auto request = produce(large);
      if (two) request.topic_data.push_back(request.topic_data.front());
      std::vector<std::byte> frame;
      const auto open =
          kafka::begin_request({kafka::ApiKey::kProduce, version, ++correlation, "test"}, frame);
      ASSERT_TRUE(kafka::encode(request, version, frame));
      kafka::finish_frame(open, frame);
      client().versions[correlation] = version;
      client().session.on_receive(Bytes(frame).first(100'000));
      client().session.on_receive(Bytes(frame).subspan(100'000));
      deliver();
      const auto response = take<kafka::ProduceResponse>();
      ASSERT_TRUE(response && response->responses.size() == (two ? 2u : 1u));
      for (const auto& answered : response->responses)
        EXPECT_EQ(answered.partition_responses.at(0).error_code, KafkaError::kNone);
      EXPECT_EQ(storage.may_stay, stay += two ? 0 : 1) << version;
    }
  const auto stored = storage.result_of(storage.find_topic(topic)->partitions.front());
  EXPECT_EQ(stored.batches.size(), 9u);
  for (const auto& one : stored.batches) EXPECT_TRUE(RecordBatchView::parse(one.bytes)->validate());
}

TEST_F(KafkaSessionTest, AnApiVersionsOfTheFutureIsAnsweredInVersionZero) {
  std::vector<std::byte> frame;
  const auto open = kafka::begin_request({kafka::ApiKey::kApiVersions, 99, 7, "new"}, frame);
  frame.push_back(std::byte{0xff});
  kafka::finish_frame(open, frame);
  client().versions[7] = 0;
  client().session.on_receive(frame);
  settle();
  const auto response = take<kafka::ApiVersionsResponse>();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->error_code, KafkaError::kUnsupportedVersion);
  EXPECT_FALSE(response->api_keys.empty());
  EXPECT_FALSE(client().output.closed);
}

TEST_F(KafkaSessionTest, MetadataTellsWhereTopicsAre) {
  const TopicId id = create("orders", 3);
  create("payments", 1);
  for (std::int16_t version = 0; version <= 13; ++version) {
    kafka::MetadataRequest named;
    named.topics.emplace();
    named.topics->push_back({.topic_id = {}, .name = "orders"});
    named.topics->push_back({.topic_id = {}, .name = "nowhere"});
    const auto response = ask<kafka::MetadataResponse>(named, version);
    ASSERT_TRUE(response);
    ASSERT_EQ(response->brokers.size(), 1u);
    EXPECT_EQ(response->brokers[0].host, "broker.example");
    EXPECT_EQ(response->brokers[0].port, 9092);
    ASSERT_EQ(response->topics.size(), 2u);
    EXPECT_EQ(response->topics[0].name, "orders");
    ASSERT_EQ(response->topics[0].partitions.size(), 3u);
    EXPECT_EQ(response->topics[0].partitions[2].leader_id, KafkaFacts::kNodeId);
    if (version >= 10) {
      EXPECT_EQ(response->topics[0].topic_id, id);
    }
    EXPECT_EQ(response->topics[1].error_code, KafkaError::kUnknownTopicOrPartition);
    kafka::MetadataRequest all;
    if (version == 0) all.topics.emplace();
    EXPECT_EQ(ask<kafka::MetadataResponse>(all, version)->topics.size(), 2u);
  }
}

TEST_F(KafkaSessionTest, MetadataFindsTopicsByIdAndRefusesBadNames) {
  const TopicId id = create();
  kafka::MetadataRequest request;
  request.topics.emplace();
  request.topics->push_back({.topic_id = id, .name = std::nullopt});
  request.topics->push_back({.topic_id = TopicId{{1}}, .name = std::nullopt});
  request.topics->push_back({.topic_id = id, .name = ""});  // as the Java client asks
  request.topics->push_back({.topic_id = {}, .name = "no/slash"});
  const auto response = ask<kafka::MetadataResponse>(request, 12);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->topics[0].name, "orders");
  EXPECT_EQ(response->topics[1].error_code, KafkaError::kUnknownTopicId);
  EXPECT_EQ(response->topics[2].name, "orders");
  EXPECT_EQ(response->topics[2].topic_id, id);
  EXPECT_EQ(response->topics[3].error_code, KafkaError::kInvalidTopicException);
}

class CreatingTest : public KafkaFixture {
 protected:
  CreatingTest() : KafkaFixture({.auto_create_topics = true, .auto_create_partitions = 4}) {}
};

TEST_F(CreatingTest, MetadataCreatesATopicWhereThatIsWantedAndAllowed) {
  kafka::MetadataRequest request;
  request.topics.emplace();
  request.topics->push_back({.topic_id = {}, .name = "fresh"});
  request.allow_auto_topic_creation = false;
  EXPECT_EQ(ask<kafka::MetadataResponse>(request, 9)->topics.at(0).error_code,
            KafkaError::kUnknownTopicOrPartition);
  request.allow_auto_topic_creation = true;
  EXPECT_EQ(ask<kafka::MetadataResponse>(request, 9)->topics.at(0).partitions.size(), 4u);
}

TEST_F(KafkaSessionTest, RecordsAreStoredAsTheyCameInEveryVersion) {
  create();
  const auto records = batch(2);
  std::int64_t next = 0;
  for (std::int16_t version = 3; version <= 13; ++version, next += 2) {
    const auto response = ask<kafka::ProduceResponse>(produce(records), version);
    ASSERT_TRUE(response);
    const auto& answer = response->responses.at(0).partition_responses.at(0);
    EXPECT_EQ(answer.error_code, KafkaError::kNone);
    EXPECT_EQ(answer.base_offset, next);
  }
  EXPECT_EQ(storage.bounds(storage.find_topic("orders")->partitions[0]).high_watermark.value, next);
}

// Rule 2.
TEST_F(KafkaSessionTest, AProduceIsAnsweredWhenItsRecordsAreDurable) {
  create();
  const auto records = batch();
  send(produce(records), 9);
  EXPECT_FALSE(take<kafka::ProduceResponse>());
  deliver();
  EXPECT_TRUE(take<kafka::ProduceResponse>());
}

TEST_F(KafkaSessionTest, ResponsesLeaveInTheOrderOfTheRequests) {
  create();
  const auto records = batch();
  const std::int32_t first = send(produce(records), 9);
  send(kafka::ApiVersionsRequest{"leat-test", "1"}, 3);
  EXPECT_TRUE(client().output.sent.empty());  // although the second could be answered
  deliver();
  EXPECT_TRUE(take<kafka::ProduceResponse>());
  EXPECT_EQ(last_correlation, first);
  EXPECT_TRUE(take<kafka::ApiVersionsResponse>());
  EXPECT_EQ(last_correlation, first + 1);
}

TEST_F(KafkaSessionTest, RecordsOfOtherFormatsAndBrokenOnesAreRefusedOneByOne) {
  create();
  auto records = batch();
  for (std::int16_t version = 0; version < 3; ++version)
    EXPECT_EQ(produced(records, version), KafkaError::kUnsupportedForMessageFormat);
  EXPECT_EQ(produced({}), KafkaError::kInvalidRecord);
  auto old = records;
  old[batch_layout::kMagic] = std::byte{1};
  EXPECT_EQ(produced(old), KafkaError::kInvalidRecord);
  auto two = records;
  two.insert(two.end(), records.begin(), records.end());
  EXPECT_EQ(produced(two), KafkaError::kInvalidRecord);
  auto rotten = records;
  rotten.back() ^= std::byte{1};
  EXPECT_EQ(produced(rotten), KafkaError::kCorruptMessage);
  EXPECT_EQ(produced(records), KafkaError::kNone);
  auto unknown = produce(records, -1, "nowhere");
  EXPECT_EQ(ask<kafka::ProduceResponse>(unknown, 9)->responses[0].partition_responses[0].error_code,
            KafkaError::kUnknownTopicOrPartition);
  auto beyond = produce(records);
  beyond.topic_data[0].partition_data[0].index = 9;
  EXPECT_EQ(ask<kafka::ProduceResponse>(beyond, 9)->responses[0].partition_responses[0].error_code,
            KafkaError::kUnknownTopicOrPartition);
  EXPECT_EQ(ask<kafka::ProduceResponse>(produce(records, 2), 9)
                ->responses[0]
                .partition_responses[0]
                .error_code,
            KafkaError::kInvalidRequiredAcks);
  EXPECT_FALSE(client().output.closed);
}

TEST_F(KafkaSessionTest, WhoWantsNoAnswerGetsNoneAndLearnsOfErrorsByTheEnd) {
  create();
  const auto records = batch();
  send(produce(records, 0), 9);
  send(kafka::ApiVersionsRequest{"leat-test", "1"}, 3);
  deliver();
  EXPECT_TRUE(take<kafka::ApiVersionsResponse>());
  EXPECT_TRUE(client().output.sent.empty());
  EXPECT_EQ(storage.bounds(storage.find_topic("orders")->partitions[0]).high_watermark.value, 1);
  send(produce(records, 0, "nowhere"), 9);
  EXPECT_TRUE(client().output.closed);
  EXPECT_NE(client().output.complaint.find("acks=0"), std::string::npos);
}

TEST_F(KafkaSessionTest, AnIdempotentProducerIsKnownByItsNumbers) {
  create();
  const auto id = ask<kafka::InitProducerIdResponse>(kafka::InitProducerIdRequest{}, 4);
  ASSERT_TRUE(id);
  EXPECT_EQ(id->error_code, KafkaError::kNone);
  EXPECT_GE(id->producer_id, 0);
  const auto numbered = [&](std::int32_t sequence) {
    auto records = batch(2);
    assign_producer(records, {id->producer_id, id->producer_epoch}, sequence);
    return ask<kafka::ProduceResponse>(produce(records), 9)->responses[0].partition_responses[0];
  };
  EXPECT_EQ(numbered(0).base_offset, 0);
  EXPECT_EQ(numbered(2).base_offset, 2);
  EXPECT_EQ(numbered(0).base_offset, 0);  // sent again: where it is
  EXPECT_EQ(numbered(6).error_code, KafkaError::kOutOfOrderSequenceNumber);
  EXPECT_EQ(storage.bounds(storage.find_topic("orders")->partitions[0]).high_watermark.value, 4);
  kafka::InitProducerIdRequest transactional;
  transactional.transactional_id = "t";
  EXPECT_EQ(ask<kafka::InitProducerIdResponse>(transactional, 4)->error_code,
            KafkaError::kUnsupportedVersion);
}

TEST_F(KafkaSessionTest, BytesOfOtherProtocolsAreNamedAndTheConnectionCloses) {
  const std::pair<std::uint64_t, std::string_view> foreign[] = {{2, "GET / HTTP/1.1\r\n\r\n"},
                                                                {3, "\x16\x03\x01\x02\x00\x01\x00"},
                                                                {4, "LEAT\0\0\0\0\0\0\0\0"}};
  for (const auto& [number, bytes] : foreign) {
    client(number).session.on_receive(as_bytes(bytes));
    EXPECT_TRUE(client(number).output.closed);
    EXPECT_EQ(client(number).output.complaints, 1);
    EXPECT_NE(client(number).output.complaint.find("expected a Kafka request, found"),
              std::string::npos)
        << client(number).output.complaint;
  }
}

TEST_F(KafkaSessionTest, UnknownApisAndVersionsCloseTheConnection) {
  const std::pair<std::int16_t, std::int16_t> unknown[] = {{999, 0}, {3, 99}, {24, 0}, {-1, -1}};
  for (std::uint64_t number = 2; const auto& [api, version] : unknown) {
    std::vector<std::byte> frame(14);
    store_be(frame.data(), std::int32_t{10});
    store_be(frame.data() + 4, api);
    store_be(frame.data() + 6, version);
    store_be(frame.data() + 12, std::int16_t{-1});
    client(number).session.on_receive(frame);
    EXPECT_TRUE(client(number).output.closed) << api;
    EXPECT_EQ(client(number).output.complaints, 1);
    ++number;
  }
}

TEST_F(KafkaSessionTest, AFrameThatIsTooLargeIsRefusedByItsLength) {
  std::vector<std::byte> length(4);
  store_be(length.data(), std::int32_t{0x7fffffff});
  client().session.on_receive(length);
  EXPECT_TRUE(client().output.closed);
  EXPECT_NE(client().output.complaint.find("the limit is"), std::string::npos);
}

TEST_F(KafkaSessionTest, AFrameThatComesByteByByteIsOneAndOneCutOffHasADeadline) {
  create();
  std::vector<std::byte> frame;
  const auto open = kafka::begin_request({kafka::ApiKey::kMetadata, 9, 1, "slow"}, frame);
  ASSERT_TRUE(kafka::encode(kafka::MetadataRequest{}, 9, frame));
  kafka::finish_frame(open, frame);
  client().versions[1] = 9;
  for (std::size_t i = 0; i + 1 < frame.size(); ++i) {
    client().session.on_receive(Bytes(frame).subspan(i, 1));
    EXPECT_TRUE(client().session.deadline());
  }
  client().session.on_receive(Bytes(frame).last(1));
  EXPECT_FALSE(client().session.deadline());
  deliver();
  EXPECT_TRUE(take<kafka::MetadataResponse>());
  client().session.on_receive(Bytes(frame).first(9));
  clock.time = *client().session.deadline();
  client().session.on_deadline();
  EXPECT_TRUE(client().output.closed);
}

TEST_F(KafkaSessionTest, RequestsAreHeldBackWithoutRoomAndNoneIsLost) {
  storage.room = false;
  for (int i = 0; i < 3; ++i) send(kafka::ApiVersionsRequest{"leat-test", "1"}, 3);
  EXPECT_TRUE(client().output.sent.empty());
  EXPECT_TRUE(client().output.paused);
  storage.room = true;
  broker.on_room();
  settle();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(take<kafka::ApiVersionsResponse>());
  EXPECT_FALSE(client().output.paused);
}

TEST_F(KafkaSessionTest, TheLogLearnsOnceWhichVersionsAClientUses) {
  send(kafka::ApiVersionsRequest{"leat-test", "1"}, 3);
  send(kafka::ApiVersionsRequest{"leat-test", "1"}, 3);
  send(kafka::ApiVersionsRequest{"leat-test", "1"}, 0);
  EXPECT_EQ(client().output.traces,
            (std::vector<std::string>{"event=kafka_api api=ApiVersions version=3",
                                      "event=kafka_api api=ApiVersions version=0"}));
}

}  // namespace
}  // namespace leat::session
