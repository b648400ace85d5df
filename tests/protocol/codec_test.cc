// Messages: every field comes through, at any alignment; heads for gathering writes equal whole
// frames; the documented frame is the frame.
#include "protocol/native/codec.h"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

namespace leat::native {
namespace {

constexpr CorrelationId kCorrelation{0x1122334455667788};

const TopicId kTopic{{0, 1, 2, 3, 4, 5, 0x46, 7, 0x88, 9, 10, 11, 12, 13, 14, 255}};
const TopicId kOther{{9}};

// A decoded message together with the bytes that it borrows.
template <class Message>
struct Received {
  std::vector<std::byte> bytes;
  AlignedEnvelope aligned;
  Decoded<Message> decoded;
};

Result<Decoded<Request>> decode(const FrameView& frame, AlignedEnvelope& aligned, const Request&) {
  CorrelationId correlation;
  auto decoded = decode_request(frame, aligned, correlation);
  EXPECT_TRUE(!decoded || decoded->correlation == correlation);
  return decoded;
}
Result<Decoded<Reply>> decode(const FrameView& frame, AlignedEnvelope& aligned, const Reply&) {
  return decode_reply(frame, aligned);
}

// Sends `message` through a frame that lies `shift` bytes off its boundary.
template <class Message>
std::unique_ptr<Received<Message>> through(const Message& message, std::size_t shift = 0) {
  auto received = std::make_unique<Received<Message>>();
  encode(kCorrelation, message, received->bytes);
  EXPECT_EQ(received->bytes.size() % kFrameAlignment, 0u);
  received->bytes.insert(received->bytes.begin(), shift, std::byte{0});
  const auto frame = parse_frame(Bytes(received->bytes).subspan(shift), {});
  EXPECT_TRUE(frame && *frame);
  auto decoded = decode(**frame, received->aligned, message);
  EXPECT_TRUE(decoded) << decoded.error().message();
  received->decoded = std::move(*decoded);
  EXPECT_EQ(received->decoded.correlation, kCorrelation);
  EXPECT_EQ(received->decoded.message.index(), message.index());
  return received;
}

template <class Kind, class Variant>
const Kind& only(const std::unique_ptr<Received<Variant>>& received) {
  return std::get<Kind>(received->decoded.message);
}

// ---- requests ----

TEST(Codec, HelloComesThrough) {
  const auto received = through(Request(Hello{1, 3, "someone 0.1"}));
  const auto& hello = only<Hello>(received);
  EXPECT_EQ(hello.min_version, 1);
  EXPECT_EQ(hello.max_version, 3);
  EXPECT_EQ(hello.client_name, "someone 0.1");
  EXPECT_EQ(only<Hello>(through(Request(Hello{1, 1, ""}))).client_name, "");
}

TEST(Codec, TopicRequestsComeThrough) {
  for (const bool flag : {false, true}) {
    const auto create = through(Request(CreateTopic{"orders", 8, flag}));
    EXPECT_EQ(only<CreateTopic>(create).name, "orders");
    EXPECT_EQ(only<CreateTopic>(create).partitions, 8);
    EXPECT_EQ(only<CreateTopic>(create).if_not_exists, flag);
    const auto describe = through(Request(DescribeTopic{"orders", flag}));
    EXPECT_EQ(only<DescribeTopic>(describe).name, "orders");
    EXPECT_EQ(only<DescribeTopic>(describe).auto_create, flag);
  }
  const auto remove = through(Request(DeleteTopic{"orders"}));
  EXPECT_EQ(only<DeleteTopic>(remove).name, "orders");
  const auto nameless = through(Request(DeleteTopic{""}));
  EXPECT_EQ(only<DeleteTopic>(nameless).name, "");
  through(Request(ListTopics{}));
  through(Request(Ping{}));
}

TEST(Codec, ProduceComesThroughWithItsBatchInPlace) {
  const std::string batch(1001, 'b');
  const auto received = through(Request(Produce{kTopic, PartitionIndex(3), as_bytes(batch)}));
  const auto& produce = only<Produce>(received);
  EXPECT_EQ(produce.topic, kTopic);
  EXPECT_EQ(produce.partition, PartitionIndex(3));
  EXPECT_EQ(as_text(produce.batch), batch);
  EXPECT_GE(produce.batch.data(), received->bytes.data());  // borrowed, not copied
  EXPECT_LT(produce.batch.data(), received->bytes.data() + received->bytes.size());
  EXPECT_FALSE(only<Produce>(received).source);
  for (const std::size_t shift : {0u, 1u, 4u}) {
    const SourceStep step{"orders.outbox", {7, ~0ull}, {8, 1}};
    const auto named =
        through(Request(Produce{kTopic, PartitionIndex(3), as_bytes(batch), step}), shift);
    EXPECT_EQ(only<Produce>(named).source, step);
    const std::vector<SourcePosition> stored{{}, {~0ull, 3}, {1, 2}};
    const auto told = through(Reply(SourcePositionsReply{stored, Durability::kMemory}), shift);
    EXPECT_EQ(only<SourcePositionsReply>(told).positions, stored);
    EXPECT_EQ(only<SourcePositionsReply>(told).durability, Durability::kMemory);
  }
  const auto asked = through(Request(SourcePositions{kOther, "\xc3\xa9"}));
  EXPECT_EQ(only<SourcePositions>(asked).topic, kOther);
  EXPECT_EQ(only<SourcePositions>(asked).source, "\xc3\xa9");
  const auto empty = through(Request(Produce{kTopic, PartitionIndex(-1), {}}));
  EXPECT_EQ(only<Produce>(empty).partition, PartitionIndex(-1));
  EXPECT_TRUE(only<Produce>(empty).batch.empty());
}

TEST(Codec, FetchComesThrough) {
  const auto received =
      through(Request(Fetch{kTopic, PartitionIndex(2), Offset(INT64_MAX), 77, 500}));
  const auto& fetch = only<Fetch>(received);
  EXPECT_EQ(fetch.topic, kTopic);
  EXPECT_EQ(fetch.partition, PartitionIndex(2));
  EXPECT_EQ(fetch.offset, Offset(INT64_MAX));
  EXPECT_EQ(fetch.max_bytes, 77u);
  EXPECT_EQ(fetch.max_wait_ms, 500u);
}

void expect_offsets(const std::vector<CommittedOffset>& offsets) {
  ASSERT_EQ(offsets.size(), 2u);
  EXPECT_EQ(offsets[0].topic, kTopic);
  EXPECT_EQ(offsets[0].partition, PartitionIndex(1));
  EXPECT_EQ(offsets[0].offset, Offset(5));
  EXPECT_EQ(offsets[0].metadata, "meta");
  EXPECT_EQ(offsets[1].topic, kOther);
  EXPECT_EQ(offsets[1].partition, PartitionIndex(2));
  EXPECT_EQ(offsets[1].offset, Offset(-1));
  EXPECT_EQ(offsets[1].metadata, "");
}

TEST(Codec, OffsetMessagesComeThrough) {
  const std::vector<CommittedOffset> offsets = {{kTopic, PartitionIndex(1), Offset(5), "meta"},
                                                {kOther, PartitionIndex(2), Offset(-1), ""}};
  const auto commit = through(Request(CommitOffsets{"group", offsets}));
  EXPECT_EQ(only<CommitOffsets>(commit).group, "group");
  expect_offsets(only<CommitOffsets>(commit).offsets);
  const auto committed = through(Reply(FetchOffsetsReply{offsets}));
  expect_offsets(only<FetchOffsetsReply>(committed).offsets);
  through(Reply(CommitOffsetsReply{}));

  const auto fetch = through(
      Request(FetchOffsets{"g", {{kTopic, PartitionIndex(0)}, {kOther, PartitionIndex(7)}}}));
  const auto& partitions = only<FetchOffsets>(fetch).partitions;
  EXPECT_EQ(only<FetchOffsets>(fetch).group, "g");
  ASSERT_EQ(partitions.size(), 2u);
  EXPECT_EQ(partitions[1].topic, kOther);
  EXPECT_EQ(partitions[1].partition, PartitionIndex(7));
}

TEST(Codec, EmptyListsComeThrough) {
  EXPECT_TRUE(only<CommitOffsets>(through(Request(CommitOffsets{"g", {}}))).offsets.empty());
  EXPECT_TRUE(only<FetchOffsets>(through(Request(FetchOffsets{"g", {}}))).partitions.empty());
  EXPECT_TRUE(only<TopicsReply>(through(Reply(TopicsReply{}))).topics.empty());
  EXPECT_TRUE(only<FetchOffsetsReply>(through(Reply(FetchOffsetsReply{}))).offsets.empty());
  EXPECT_TRUE(only<TopicReply>(through(Reply(TopicReply{}))).topic.partitions.empty());
}

TEST(Codec, ProducersAndDurabilityComeThrough) {
  const auto init = through(Request(InitProducer{1 << 20, 7}));
  EXPECT_EQ(only<InitProducer>(init).producer_id, 1 << 20);
  EXPECT_EQ(only<InitProducer>(init).epoch, 7);
  EXPECT_EQ(only<InitProducer>(through(Request(InitProducer{}))).producer_id, -1);
  const auto issued = through(Reply(InitProducerReply{5, 2}));
  EXPECT_EQ(only<InitProducerReply>(issued).producer_id, 5);
  EXPECT_EQ(only<InitProducerReply>(issued).epoch, 2);
  const TopicConfig config{Durability::kInterval,
                           std::chrono::milliseconds(250),
                           Cleanup::kCompactDelete,
                           OnFull::kDropOldest,
                           {std::chrono::milliseconds(std::int64_t{1} << 40), 0, 77},
                           std::chrono::hours(3),
                           {std::chrono::hours(5), 9},
                           TimestampType::kAppendTime,
                           std::int64_t{1} << 33};
  EXPECT_EQ(only<CreateTopic>(through(Request(CreateTopic{"t", 1, false, config}))).config, config);
  const auto configure = through(Request(ConfigureTopic{"t", config}));
  EXPECT_EQ(only<ConfigureTopic>(configure).name, "t");
  EXPECT_EQ(only<ConfigureTopic>(configure).config, config);
  EXPECT_EQ(only<ConfigureTopic>(through(Request(ConfigureTopic{"t", {}}))).config, TopicConfig());
  const auto topic = through(Reply(TopicReply{{kTopic, "t", 1, {}, config}}));
  EXPECT_EQ(only<TopicReply>(topic).topic.config, config);
  const auto more = through(Request(AddPartitions{"t", 12}));
  EXPECT_EQ(only<AddPartitions>(more).name, "t");
  EXPECT_EQ(only<AddPartitions>(more).partitions, 12);
  const auto ack = through(Reply(ProduceReply{Offset(3), Durability::kMemory, true}));
  EXPECT_EQ(only<ProduceReply>(ack).durability, Durability::kMemory);
  EXPECT_TRUE(only<ProduceReply>(ack).duplicate);
  const auto fetch = through(Request(Fetch{kTopic, PartitionIndex(2), Offset(1), 77, 500, 6}));
  EXPECT_EQ(only<Fetch>(fetch).leader_epoch, 6);
}

TEST(Codec, DeletedRecordsComeThrough) {
  for (const Offset before : {DeleteRecords::kAll, Offset(0), Offset(std::int64_t{1} << 40)}) {
    const auto request = through(Request(DeleteRecords{{kTopic, PartitionIndex(2)}, before}));
    EXPECT_EQ(only<DeleteRecords>(request).partition.topic, kTopic);
    EXPECT_EQ(only<DeleteRecords>(request).partition.partition, PartitionIndex(2));
    EXPECT_EQ(only<DeleteRecords>(request).before, before);
  }
  const auto reply = through(Reply(DeleteRecordsReply{Offset(9)}));
  EXPECT_EQ(only<DeleteRecordsReply>(reply).log_start, Offset(9));
}

TEST(Codec, Snapshots) {
  EXPECT_EQ(only<CreateSnapshot>(through(Request(CreateSnapshot{"nightly"}))).name, "nightly");
  EXPECT_EQ(only<SnapshotReply>(through(Reply(SnapshotReply{"/data/snapshots/nightly"}))).path,
            "/data/snapshots/nightly");
}

TEST(Codec, TimesComeThrough) {
  const auto find = through(Request(FindOffset{{kTopic, PartitionIndex(2)}, -5}));
  EXPECT_EQ(only<FindOffset>(find).partition.topic, kTopic);
  EXPECT_EQ(only<FindOffset>(find).partition.partition, PartitionIndex(2));
  EXPECT_EQ(only<FindOffset>(find).timestamp_ms, -5);
  const auto found = through(Reply(FindOffsetReply{Offset(9), 44}));
  EXPECT_EQ(only<FindOffsetReply>(found).offset, Offset(9));
  EXPECT_EQ(only<FindOffsetReply>(found).timestamp_ms, 44);
}

TEST(Codec, MembershipComesThrough) {
  const auto join = through(
      Request(JoinGroup{"g", "m", GroupKind::kKeyShared, {"a", "b"}, 1'234, 5'678, "someone 1.0"}));
  EXPECT_EQ(only<JoinGroup>(join).group, "g");
  EXPECT_EQ(only<JoinGroup>(join).member, "m");
  EXPECT_EQ(only<JoinGroup>(join).kind, GroupKind::kKeyShared);
  EXPECT_EQ(only<JoinGroup>(join).topics, (std::vector<std::string_view>{"a", "b"}));
  EXPECT_EQ(only<JoinGroup>(join).session_timeout_ms, 1'234u);
  EXPECT_EQ(only<JoinGroup>(join).rebalance_timeout_ms, 5'678u);
  EXPECT_EQ(only<JoinGroup>(join).client_name, "someone 1.0");
  const auto sync = through(Request(SyncGroup{"g", "m", 8, {{kOther, PartitionIndex(3)}}, 99}));
  EXPECT_EQ(only<SyncGroup>(sync).member, "m");
  EXPECT_EQ(only<SyncGroup>(sync).epoch, 8);
  EXPECT_EQ(only<SyncGroup>(sync).owned.at(0).topic, kOther);
  EXPECT_EQ(only<SyncGroup>(sync).owned.at(0).partition, PartitionIndex(3));
  EXPECT_EQ(only<SyncGroup>(sync).max_wait_ms, 99u);
  const auto leave = through(Request(LeaveGroup{"g", "m"}));
  EXPECT_EQ(only<LeaveGroup>(leave).member, "m");
  const auto assigned =
      through(Reply(GroupAssignment{4, {{kTopic, "a", {0, 2}}, {kOther, "b", {}}}}));
  EXPECT_EQ(only<GroupAssignment>(assigned).epoch, 4);
  ASSERT_EQ(only<GroupAssignment>(assigned).topics.size(), 2u);
  EXPECT_EQ(only<GroupAssignment>(assigned).topics[0].topic, kTopic);
  EXPECT_EQ(only<GroupAssignment>(assigned).topics[0].name, "a");
  EXPECT_EQ(only<GroupAssignment>(assigned).topics[0].partitions, (std::vector<int>{0, 2}));
  const auto commit = through(
      Request(CommitOffsets{"g", {{kTopic, PartitionIndex(0), Offset(1), "", 12}}, "m", 3}));
  EXPECT_EQ(only<CommitOffsets>(commit).member, "m");
  EXPECT_EQ(only<CommitOffsets>(commit).epoch, 3);
  EXPECT_EQ(only<CommitOffsets>(commit).offsets.at(0).leader_epoch, 12);
}

TEST(Codec, GroupsComeThrough) {
  through(Request(ListGroups{}));
  EXPECT_EQ(only<DescribeGroup>(through(Request(DescribeGroup{"g"}))).group, "g");
  EXPECT_EQ(only<DeleteGroup>(through(Request(DeleteGroup{"g"}))).group, "g");
  const GroupState state{"g", GroupKind::kPartitioned, 7, 2, false};
  const auto list = through(Reply(ListGroupsReply{{state}}));
  const auto one = through(Reply(
      DescribeGroupReply{state,
                         {{"m", "someone", {"a"}}},
                         {{{kTopic, PartitionIndex(1)}, "a", "m", Offset(3), Offset(1), Offset(9)},
                          {{kOther, PartitionIndex(0)}, "b", "", Offset(-1), {}, {}}}}));
  const auto& group = only<DescribeGroupReply>(one);
  for (const GroupState& got : {only<ListGroupsReply>(list).groups.at(0), group.group}) {
    EXPECT_EQ(got.name, "g");
    EXPECT_EQ(got.kind, GroupKind::kPartitioned);
    EXPECT_EQ(got.epoch, 7);
    EXPECT_EQ(got.members, 2u);
    EXPECT_FALSE(got.settled);
  }
  EXPECT_EQ(group.members.at(0).id, "m");
  EXPECT_EQ(group.members.at(0).client_name, "someone");
  EXPECT_EQ(group.members.at(0).topics.at(0), "a");
  ASSERT_EQ(group.partitions.size(), 2u);
  EXPECT_EQ(group.partitions[0].partition.topic, kTopic);
  EXPECT_EQ(group.partitions[0].topic, "a");
  EXPECT_EQ(group.partitions[0].member, "m");
  EXPECT_EQ(group.partitions[0].committed, Offset(3));
  EXPECT_EQ(group.partitions[0].log_start, Offset(1));
  EXPECT_EQ(group.partitions[0].high_watermark, Offset(9));
  EXPECT_EQ(group.partitions[1].committed, Offset(-1));
}

TEST(Codec, PushComesThrough) {
  const auto subscribe =
      through(Request(Subscribe{3, {kTopic, PartitionIndex(1)}, Offset(5), 6, 7, 8, 9}));
  EXPECT_EQ(only<Subscribe>(subscribe).subscription, 3u);
  EXPECT_EQ(only<Subscribe>(subscribe).partition.partition, PartitionIndex(1));
  EXPECT_EQ(only<Subscribe>(subscribe).offset, Offset(5));
  EXPECT_EQ(only<Subscribe>(subscribe).leader_epoch, 6);
  EXPECT_EQ(only<Subscribe>(subscribe).records, 7u);
  EXPECT_EQ(only<Subscribe>(subscribe).bytes, 8u);
  EXPECT_EQ(only<Subscribe>(subscribe).max_bytes, 9u);
  const auto grant = through(Request(Grant{3, UINT64_MAX, 1}));
  EXPECT_EQ(only<Grant>(grant).records, UINT64_MAX);
  EXPECT_EQ(only<Grant>(grant).bytes, 1u);
  EXPECT_EQ(only<Unsubscribe>(through(Request(Unsubscribe{3}))).subscription, 3u);
  EXPECT_EQ(only<SubscribeReply>(through(Reply(SubscribeReply{Offset(1), Offset(2)}))).log_start,
            Offset(1));
  const std::string batches(77, 'p');
  const auto push = through(Reply(Push{3, Offset(1), Offset(2), as_bytes(batches)}));
  EXPECT_EQ(only<Push>(push).subscription, 3u);
  EXPECT_EQ(only<Push>(push).high_watermark, Offset(2));
  EXPECT_EQ(as_text(only<Push>(push).batches), batches);
  const auto end = through(Reply(PushEnd{3, ErrorCode::kUnknownTopic, "gone"}));
  EXPECT_EQ(only<PushEnd>(end).code, ErrorCode::kUnknownTopic);
  EXPECT_EQ(only<PushEnd>(end).detail, "gone");
}

TEST(Codec, AttachingComesThrough) {
  const auto received = through(Request(Attach{.subscription = 3,
                                               .group = "billing",
                                               .kind = GroupKind::kKeyShared,
                                               .topics = {"orders", "returns"},
                                               .client_name = "till",
                                               .records = 7,
                                               .bytes = 8,
                                               .max_bytes = 9,
                                               .latest = true,
                                               .ack_timeout_ms = 10,
                                               .max_deliveries = 11,
                                               .dead_letter = "bad",
                                               .min_backoff_ms = 12,
                                               .max_backoff_ms = 13,
                                               .dead_letter_expired = true}));
  const Attach& attach = only<Attach>(received);
  EXPECT_EQ(attach.subscription, 3u);
  EXPECT_EQ(attach.group, "billing");
  EXPECT_EQ(attach.kind, GroupKind::kKeyShared);
  EXPECT_EQ(attach.topics, (std::vector<std::string_view>{"orders", "returns"}));
  EXPECT_EQ(attach.client_name, "till");
  EXPECT_EQ(attach.records, 7u);
  EXPECT_EQ(attach.bytes, 8u);
  EXPECT_EQ(attach.max_bytes, 9u);
  EXPECT_TRUE(attach.latest);
  EXPECT_EQ(attach.ack_timeout_ms, 10u);
  EXPECT_EQ(attach.max_deliveries, 11u);
  EXPECT_EQ(attach.dead_letter, "bad");
  EXPECT_EQ(attach.min_backoff_ms, 12u);
  EXPECT_EQ(attach.max_backoff_ms, 13u);
  EXPECT_TRUE(attach.dead_letter_expired);
  through(Reply(AttachReply{}));
}

TEST(Codec, SettlingComesThrough) {
  const SettledRange range{
      {kTopic, PartitionIndex(1)}, Outcome::kNack, 500, Offset(5), Offset(9), 6};
  const auto check = [](const std::vector<SettledRange>& ranges) {
    ASSERT_EQ(ranges.size(), 2u);
    EXPECT_EQ(ranges[1].partition.topic, kTopic);
    EXPECT_EQ(ranges[1].partition.partition, PartitionIndex(1));
    EXPECT_EQ(ranges[1].outcome, Outcome::kNack);
    EXPECT_EQ(ranges[1].delay_ms, 500u);
    EXPECT_EQ(ranges[1].first, Offset(5));
    EXPECT_EQ(ranges[1].last, Offset(9));
    EXPECT_EQ(ranges[1].delivery, 6u);
  };
  const auto settle = through(Request(Settle{3, {SettledRange{}, range}, "poison"}));
  EXPECT_EQ(only<Settle>(settle).subscription, 3u);
  EXPECT_EQ(only<Settle>(settle).reason, "poison");
  check(only<Settle>(settle).ranges);
  const auto reply = through(Reply(SettleReply{{range, range}}));
  check(only<SettleReply>(reply).refused);
}

TEST(Codec, DeliveriesComeThrough) {
  const std::string batches(77, 'p');
  const auto received =
      through(Reply(Delivery{3,
                             {kTopic, PartitionIndex(1)},
                             "orders",
                             {{Offset(1), Offset(2), 1}, {Offset(5), Offset(5), 4}},
                             as_bytes(batches),
                             12}));
  const Delivery& delivery = only<Delivery>(received);
  EXPECT_EQ(delivery.subscription, 3u);
  EXPECT_EQ(delivery.partition.topic, kTopic);
  EXPECT_EQ(delivery.topic, "orders");
  EXPECT_EQ(delivery.number, 12u);
  ASSERT_EQ(delivery.ranges.size(), 2u);
  EXPECT_EQ(delivery.ranges[0].last, Offset(2));
  EXPECT_EQ(delivery.ranges[1].first, Offset(5));
  EXPECT_EQ(delivery.ranges[1].attempt, 4u);
  EXPECT_EQ(as_text(delivery.batches), batches);
}

// ---- replies ----

TEST(Codec, ErrorsComeThroughKnownOrNot) {
  for (const auto code : {ErrorCode::kUnknownTopic, static_cast<ErrorCode>(60'000)}) {
    const auto received = through(Reply(ErrorReply{code, "'x'"}));
    EXPECT_EQ(only<ErrorReply>(received).code, code);
    EXPECT_EQ(only<ErrorReply>(received).detail, "'x'");
  }
}

TEST(Codec, HelloReplyComesThrough) {
  const auto received = through(Reply(HelloReply{1, "leatd 0.1.0", 2, 3, 0xffffffff}));
  const auto& hello = only<HelloReply>(received);
  EXPECT_EQ(hello.version, 1);
  EXPECT_EQ(hello.server_name, "leatd 0.1.0");
  EXPECT_EQ(hello.max_envelope_bytes, 2u);
  EXPECT_EQ(hello.max_payload_bytes, 3u);
  EXPECT_EQ(hello.max_batch_bytes, 0xffffffffu);
}

TEST(Codec, TopicsComeThrough) {
  const TopicState orders{
      kTopic, "orders", 12345, {{Offset(0), Offset(9)}, {Offset(3), Offset(4)}}};
  const TopicState bare{kOther, "bare", -1, {}};
  const auto several = through(Reply(TopicsReply{{orders, bare}}));
  const auto single = through(Reply(TopicReply{orders}));
  const auto& topics = only<TopicsReply>(several).topics;
  ASSERT_EQ(topics.size(), 2u);
  for (const TopicState* topic : {&topics[0], &only<TopicReply>(single).topic}) {
    EXPECT_EQ(topic->id, kTopic);
    EXPECT_EQ(topic->name, "orders");
    EXPECT_EQ(topic->created_ms, 12345);
    ASSERT_EQ(topic->partitions.size(), 2u);
    EXPECT_EQ(topic->partitions[0].high_watermark, Offset(9));
    EXPECT_EQ(topic->partitions[1].log_start, Offset(3));
    EXPECT_EQ(topic->partitions[1].high_watermark, Offset(4));
  }
  EXPECT_EQ(topics[1].id, kOther);
  EXPECT_EQ(topics[1].created_ms, -1);
  EXPECT_TRUE(topics[1].partitions.empty());
  through(Reply(DeleteTopicReply{}));
  through(Reply(Pong{}));
}

TEST(Codec, RecordRepliesComeThrough) {
  const auto produced = through(Reply(ProduceReply{Offset(1) + (std::int64_t{1} << 40)}));
  EXPECT_EQ(only<ProduceReply>(produced).base_offset.value, (std::int64_t{1} << 40) + 1);
  EXPECT_TRUE(only<ProduceReply>(produced).known.empty());
  const std::vector<KnownRecords> known{
      {0, 3, Offset(7)}, {3, 1, Offset(2)}, {65'535, 1, Offset(0)}};
  const auto sparse = through(Reply(ProduceReply{Offset(9), Durability::kSync, false, known}));
  EXPECT_EQ(only<ProduceReply>(sparse).known, known);
  const std::string batches(3001, 'r');
  const auto fetched = through(Reply(FetchReply{Offset(1), Offset(2), as_bytes(batches)}));
  EXPECT_EQ(only<FetchReply>(fetched).log_start, Offset(1));
  EXPECT_EQ(only<FetchReply>(fetched).high_watermark, Offset(2));
  EXPECT_EQ(as_text(only<FetchReply>(fetched).batches), batches);
  const auto empty = through(Reply(FetchReply{Offset(1), Offset(2), {}}));
  EXPECT_TRUE(only<FetchReply>(empty).batches.empty());
}

// ---- frames ----

TEST(Codec, AMisalignedFrameReadsTheSame) {
  const TopicState topic{kTopic, "orders", 1, {{Offset(3), Offset(4)}}};
  for (std::size_t shift = 0; shift < 16; ++shift) {
    const auto reply = through(Reply(TopicsReply{{topic, topic}}), shift);
    EXPECT_EQ(only<TopicsReply>(reply).topics[1].partitions[0].high_watermark, Offset(4));
    const auto request = through(Request(FetchOffsets{"g", {{kTopic, PartitionIndex(9)}}}), shift);
    EXPECT_EQ(only<FetchOffsets>(request).partitions[0].partition, PartitionIndex(9));
  }
}

TEST(Codec, AHeadAndItsPayloadMakeTheWholeFrame) {
  for (std::size_t size = 0; size < 20; ++size) {
    const std::string payload(size, 'p');
    const Bytes bytes = as_bytes(payload);
    std::vector<std::byte> whole, parts;
    encode(kCorrelation, Reply(FetchReply{Offset(1), Offset(2), bytes}), whole);
    encode_head(kCorrelation, Reply(FetchReply{Offset(1), Offset(2), {}}), size, parts);
    parts.insert(parts.end(), bytes.begin(), bytes.end());
    parts.resize(parts.size() + payload_padding(size));
    EXPECT_EQ(parts, whole) << size;
    whole.clear(), parts.clear();
    encode(kCorrelation, Request(Produce{kTopic, PartitionIndex(1), bytes}), whole);
    encode_head(kCorrelation, Request(Produce{kTopic, PartitionIndex(1), {}}), size, parts);
    parts.insert(parts.end(), bytes.begin(), bytes.end());
    parts.resize(parts.size() + payload_padding(size));
    EXPECT_EQ(parts, whole) << size;
  }
}

TEST(Codec, FramesAreAppendedOneBehindTheOther) {
  std::vector<std::byte> bytes;
  for (std::uint64_t i = 0; i < 5; ++i) encode(CorrelationId(i), Request(Ping{}), bytes);
  AlignedEnvelope aligned;
  Bytes rest(bytes);
  for (std::uint64_t i = 0; i < 5; ++i) {
    const auto frame = parse_frame(rest, {});
    ASSERT_TRUE(frame && *frame);
    EXPECT_EQ(decode(**frame, aligned, Request())->correlation, CorrelationId(i));
    rest = rest.subspan((*frame)->frame_bytes);
  }
  EXPECT_TRUE(rest.empty());
}

// Larger than the encoder's first kilobyte, with every list at its limit.
TEST(Codec, MaximalListsComeThrough) {
  constexpr FrameLimits kRoomy{.envelope_bytes = 16 << 20, .payload_bytes = 0};
  const std::vector<CommittedOffset> offsets(kMaxListEntries,
                                             {kTopic, PartitionIndex(1), Offset(5), "m"});
  const std::vector<TopicState> topics(kMaxListEntries,
                                       {kTopic, "orders", 1, {{Offset(1), Offset(2)}}});
  const TopicState wide{kTopic, "w", 1, std::vector<PartitionState>(kMaxListEntries)};
  AlignedEnvelope aligned;
  const auto reread = [&](const auto& message) {
    std::vector<std::byte> bytes;
    encode(kCorrelation, message, bytes);
    const auto frame = parse_frame(bytes, kRoomy);
    const auto decoded = decode(**frame, aligned, message);
    EXPECT_TRUE(decoded) << decoded.error().message();
    std::vector<std::byte> again;
    if (decoded) encode(kCorrelation, decoded->message, again);
    EXPECT_EQ(again, bytes);
  };
  reread(Request(CommitOffsets{"g", offsets}));
  reread(Request(FetchOffsets{"g", std::vector<PartitionRef>(kMaxListEntries)}));
  reread(Reply(FetchOffsetsReply{offsets}));
  reread(Reply(TopicsReply{topics}));
  reread(Reply(TopicReply{wide}));
}

// docs/native_protocol.md shows one exchange in hexadecimal; it is what we send.
TEST(Codec, TheDocumentedFramesAreTheFrames) {
  std::ifstream file(LEAT_SOURCE_DIR "/docs/native_protocol.md");
  std::stringstream document;
  document << file.rdbuf();
  std::vector<std::byte> bytes;
  encode(CorrelationId(1), Request(Hello{1, 1, "me"}), bytes);
  encode(CorrelationId(2), Request(Ping{}), bytes);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string dump;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0) dump.push_back(i % 16 == 0 ? '\n' : ' ');
    dump.push_back(kDigits[static_cast<unsigned>(bytes[i]) >> 4]);
    dump.push_back(kDigits[static_cast<unsigned>(bytes[i]) & 15]);
  }
  EXPECT_NE(document.str().find("```\n" + dump + "\n```"), std::string::npos) << dump;
}

}  // namespace
}  // namespace leat::native
