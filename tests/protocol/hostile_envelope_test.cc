// Envelopes that are cut, damaged or lie: refused with the right code, never read beyond their
// bytes (the sanitizers watch), never worth more memory than their size.
#include <gtest/gtest.h>

#include "native_generated.h"
#include "protocol/base/random.h"
#include "protocol/native/codec.h"

namespace leat::native {
namespace {

std::vector<std::vector<std::byte>> one_of_each(const TopicId& id) {
  const std::string payload(100, 'b');
  const TopicState topic{id, "orders", 12345, {{Offset(0), Offset(9)}, {Offset(3), Offset(4)}}};
  const std::vector<CommittedOffset> offsets = {{id, PartitionIndex(1), Offset(5), "meta"},
                                                {id, PartitionIndex(2), Offset(-1), ""}};
  const GroupState group{"group", GroupKind::kPartitioned, 4, 2, false};
  const GroupMember member{"m1", "someone", {"orders", "more"}};
  const GroupPartition held{
      {id, PartitionIndex(1)}, "orders", "m1", Offset(5), Offset(0), Offset(9)};
  const TopicConfig config{Durability::kInterval,
                           std::chrono::milliseconds(5),
                           Cleanup::kCompact,
                           OnFull::kDropOldest,
                           {std::chrono::hours(1), 1 << 20, 1000}};
  const SettledRange settled{{id, PartitionIndex(0)}, Outcome::kNack, 5, Offset(1), Offset(2)};
  const Attach attach{.subscription = 1,
                      .group = "group",
                      .topics = {"orders", "returns"},
                      .client_name = "till",
                      .dead_letter = "bad"};
  const Request requests[] = {
      Hello{1, 3, "someone"},
      Ping{},
      CreateTopic{"orders", 8, true},
      DeleteTopic{"orders"},
      ListTopics{},
      DescribeTopic{"orders", true},
      Produce{id, PartitionIndex(3), as_bytes(payload)},
      Fetch{id, PartitionIndex(2), Offset(77), 1000, 500},
      CommitOffsets{"group", offsets},
      FetchOffsets{"group", {{id, PartitionIndex(0)}}},
      InitProducer{7, 3},
      FindOffset{{id, PartitionIndex(1)}, 12345},
      JoinGroup{"group", "m1", GroupKind::kPartitioned, {"a", "b"}},
      SyncGroup{"group", "m1", 3, {{id, PartitionIndex(1)}}, 500},
      LeaveGroup{"group", "m1"},
      ListGroups{},
      DescribeGroup{"group"},
      DeleteGroup{"group"},
      Subscribe{1, {id, PartitionIndex(0)}, Offset(4), 2, 10, 1000},
      Grant{1, 20, 2000},
      Unsubscribe{1},
      ConfigureTopic{"orders", config},
      DeleteRecords{{id, PartitionIndex(1)}, Offset(4)},
      CreateSnapshot{"one"},
      attach,
      Settle{1, {settled, settled}, "poison"},
      Reset{},
      Produce{id, PartitionIndex(3), as_bytes(payload), SourceStep{"s", {1, 2}, {3, 4}}},
      SourcePositions{id, "outbox"},
      AddPartitions{"orders", 12}};
  const std::vector<KnownRecords> known{{0, 2, Offset(5)}, {3, 1, Offset(4)}};
  const Reply replies[] = {ErrorReply{ErrorCode::kUnknownTopic, "'x'"},
                           HelloReply{1, "leatd", 1, 2, 3},
                           Pong{},
                           TopicReply{topic},
                           DeleteTopicReply{},
                           TopicsReply{{topic, topic}},
                           ProduceReply{Offset(8), Durability::kSync, false, known},
                           SourcePositionsReply{{{1, 2}, {3, 4}}, Durability::kSync},
                           FetchReply{Offset(1), Offset(2), as_bytes(payload)},
                           CommitOffsetsReply{},
                           FetchOffsetsReply{offsets},
                           InitProducerReply{7, 3},
                           FindOffsetReply{Offset(4), 12345},
                           GroupAssignment{3, {{id, "orders", {0, 1, 2}}, {id, "more", {}}}},
                           LeaveGroupReply{},
                           ListGroupsReply{{group, group}},
                           DescribeGroupReply{group, {member, member}, {held}},
                           DeleteGroupReply{},
                           SubscribeReply{Offset(1), Offset(2)},
                           UnsubscribeReply{},
                           Push{1, Offset(1), Offset(2), as_bytes(payload)},
                           PushEnd{1, ErrorCode::kUnknownTopic, "gone"},
                           DeleteRecordsReply{Offset(4)},
                           SnapshotReply{"/data/snapshots/one"},
                           AttachReply{},
                           SettleReply{{settled}},
                           Delivery{1,
                                    {id, PartitionIndex(0)},
                                    "orders",
                                    {{Offset(1), Offset(2), 1}, {Offset(4), Offset(4), 3}},
                                    as_bytes(payload)},
                           ResetReply{}};
  static_assert(std::size(requests) == std::variant_size_v<Request> + 1);  // a source or none
  static_assert(std::size(replies) == std::variant_size_v<Reply>);
  std::vector<std::vector<std::byte>> frames;
  for (const Request& r : requests) encode(CorrelationId(7), r, frames.emplace_back());
  for (const Reply& r : replies) encode(CorrelationId(7), r, frames.emplace_back());
  return frames;
}

// Decodes both ways and reads every field of what came out, by encoding it again.
// Returns whether either side took it.
bool decode_any(const FrameView& frame) {
  AlignedEnvelope aligned;
  std::vector<std::byte> again;
  CorrelationId correlation;
  bool taken = false;
  if (const auto request = decode_request(frame, aligned, correlation)) {
    encode(request->correlation, request->message, again);
    taken = true;
  }
  if (const auto reply = decode_reply(frame, aligned)) {
    encode(reply->correlation, reply->message, again);
    EXPECT_FALSE(taken) << "a message cannot be both";
    taken = true;
  }
  return taken;
}

FrameView frame_of(const std::vector<std::byte>& bytes) {
  return **parse_frame(bytes, {.envelope_bytes = 1 << 24, .payload_bytes = 1 << 20});
}

TEST(HostileEnvelope, EveryTruncationIsReadWithinItsBytes) {
  TopicId id;
  for (const auto& bytes : one_of_each(id)) {
    const FrameView intact = frame_of(bytes);
    ASSERT_TRUE(decode_any(intact));
    for (std::size_t size = 0; size < intact.envelope.size(); ++size) {
      // Copied, so that the end of the envelope is the end of the allocation.
      const std::vector<std::byte> cut(intact.envelope.begin(),
                                       intact.envelope.begin() + static_cast<std::ptrdiff_t>(size));
      decode_any({cut, intact.payload, 0});
    }
    EXPECT_FALSE(decode_any({intact.envelope.first(4), intact.payload, 0}));
    EXPECT_FALSE(decode_any({{}, intact.payload, 0}));
  }
}

TEST(HostileEnvelope, EveryByteAtItsExtremesIsReadWithinItsBytes) {
  TopicId id;
  for (auto bytes : one_of_each(id)) {
    const std::size_t end = kFrameHeaderBytes + frame_of(bytes).envelope.size();
    for (std::size_t at = kFrameHeaderBytes; at < end; ++at) {
      const std::byte before = bytes[at];
      for (const int value : {0x00, 0x01, 0x04, 0x7f, 0x80, 0xfc, 0xff}) {
        bytes[at] = static_cast<std::byte>(value);
        decode_any(frame_of(bytes));
      }
      bytes[at] = before;
    }
  }
}

TEST(HostileEnvelope, RandomDamageIsReadWithinItsBytes) {
  Random random(5);
  const auto frames = one_of_each(random.topic_id());
  int taken = 0, refused = 0;
  for (int round = 0; round < 8'000; ++round) {
    for (const auto& intact : frames) {
      const FrameView view = frame_of(intact);
      const std::size_t shift = random.below(8);
      std::vector<std::byte> envelope(shift);
      envelope.insert(envelope.end(), view.envelope.begin(), view.envelope.end());
      for (std::uint64_t n = random.below(4) + 1; n > 0; --n)
        envelope[shift + random.below(view.envelope.size())] =
            static_cast<std::byte>(random.next() >> random.below(8));
      const bool ok = decode_any({Bytes(envelope).subspan(shift), view.payload, 0});
      ++(ok ? taken : refused);
    }
  }
  EXPECT_GT(taken, 0);
  EXPECT_GT(refused, 0);
}

// ---- lies that a well-formed FlatBuffer can tell ----

ErrorCode request_verdict(const FrameView& frame, CorrelationId& correlation) {
  AlignedEnvelope aligned;
  const auto decoded = decode_request(frame, aligned, correlation);
  return decoded ? ErrorCode::kOk : decoded.error().code;
}
ErrorCode request_verdict(const FrameView& frame) {
  CorrelationId correlation;
  return request_verdict(frame, correlation);
}
ErrorCode reply_verdict(const FrameView& frame) {
  AlignedEnvelope aligned;
  const auto decoded = decode_reply(frame, aligned);
  return decoded ? ErrorCode::kOk : decoded.error().code;
}

// An envelope around whatever table `write` makes, under whatever number.
template <class Write>
std::vector<std::byte> envelope_of(int message, Write write) {
  flatbuffers::FlatBufferBuilder builder;
  const flatbuffers::Offset<void> body = write(builder);
  builder.Finish(wire::CreateEnvelope(builder, 4711, static_cast<wire::Message>(message), body));
  const auto* data = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  return {data, data + builder.GetSize()};
}
FrameView framed(const std::vector<std::byte>& envelope, Bytes payload = {}) {
  return {envelope, payload, 0};
}
const auto kEmptyTable = [](auto& builder) { return wire::CreatePing(builder).Union(); };

TEST(HostileEnvelope, UnknownMessagesAreToldFromMalformedOnes) {
  for (int number = static_cast<int>(std::variant_size_v<Request>) + 1; number < 128; ++number) {
    CorrelationId correlation;
    const auto envelope = envelope_of(number, kEmptyTable);
    EXPECT_EQ(request_verdict(framed(envelope), correlation), ErrorCode::kUnsupportedRequest);
    EXPECT_EQ(correlation, CorrelationId(4711));
    EXPECT_EQ(reply_verdict(framed(envelope)), ErrorCode::kMalformedFrame);
  }
  for (int number = 128 + static_cast<int>(std::variant_size_v<Reply>); number < 256; ++number) {
    const auto envelope = envelope_of(number, kEmptyTable);
    EXPECT_EQ(reply_verdict(framed(envelope)), ErrorCode::kUnsupportedRequest);
    EXPECT_EQ(request_verdict(framed(envelope)), ErrorCode::kMalformedFrame);
  }
  const auto none = envelope_of(0, kEmptyTable);
  EXPECT_EQ(request_verdict(framed(none)), ErrorCode::kMalformedFrame);
  EXPECT_EQ(reply_verdict(framed(none)), ErrorCode::kMalformedFrame);
}

TEST(HostileEnvelope, RequestsAndRepliesAreNotConfused) {
  for (int number = 1; number <= 10; ++number)
    EXPECT_EQ(reply_verdict(framed(envelope_of(number, kEmptyTable))), ErrorCode::kMalformedFrame);
  for (int number = 128; number <= 137; ++number) {
    CorrelationId correlation;
    const auto envelope = envelope_of(number, kEmptyTable);
    EXPECT_EQ(request_verdict(framed(envelope), correlation), ErrorCode::kMalformedFrame);
    if (number == 130) {  // an empty table is a sound Pong, so the envelope could be read
      EXPECT_EQ(correlation, CorrelationId(4711));
    }
  }
}

TEST(HostileEnvelope, RequiredFieldsAreRequired) {
  for (const int number : {3, 4, 6, 7, 8, 9, 10, 22, 23})
    EXPECT_EQ(request_verdict(framed(envelope_of(number, kEmptyTable))), ErrorCode::kMalformedFrame)
        << number;
  for (const int number : {128, 131, 133, 137})
    EXPECT_EQ(reply_verdict(framed(envelope_of(number, kEmptyTable))), ErrorCode::kMalformedFrame)
        << number;
}

TEST(HostileEnvelope, APayloadBelongsToProduceAndFetchOnly) {
  TopicId id;
  const std::string payload(8, 'p');
  for (const auto& bytes : one_of_each(id)) {
    const FrameView intact = frame_of(bytes);
    const bool carries = !intact.payload.empty();
    EXPECT_EQ(decode_any({intact.envelope, as_bytes(payload), 0}), carries);
  }
}

TEST(HostileEnvelope, ListsEndAtTheirLimit) {
  std::vector<std::byte> bytes;
  encode(CorrelationId(1),
         Request(FetchOffsets{"g", std::vector<PartitionRef>(kMaxListEntries + 1)}), bytes);
  EXPECT_EQ(request_verdict(frame_of(bytes)), ErrorCode::kMalformedFrame);
  bytes.clear();
  encode(CorrelationId(1),
         Request(CommitOffsets{"g", std::vector<CommittedOffset>(kMaxListEntries + 1)}), bytes);
  EXPECT_EQ(request_verdict(frame_of(bytes)), ErrorCode::kMalformedFrame);
  bytes.clear();
  encode(CorrelationId(1), Reply(TopicsReply{std::vector<TopicState>(kMaxListEntries + 1)}), bytes);
  EXPECT_EQ(reply_verdict(frame_of(bytes)), ErrorCode::kMalformedFrame);
  bytes.clear();
  const TopicState wide{{}, "w", 0, std::vector<PartitionState>(kMaxListEntries + 1)};
  encode(CorrelationId(1), Reply(TopicReply{wide}), bytes);
  EXPECT_EQ(reply_verdict(frame_of(bytes)), ErrorCode::kMalformedFrame);
}

// One topic of 10,000 partitions, listed 10,000 times over: 200 KB that claim 1.6 GB.
TEST(HostileEnvelope, SharedPartsDoNotMultiply) {
  const auto envelope = envelope_of(133, [](auto& builder) {
    const std::vector<wire::PartitionState> partitions(10'000);
    const auto states = builder.CreateVectorOfStructs(partitions);
    const wire::TopicId id;
    const auto topic = wire::CreateTopicState(builder, &id, builder.CreateString("x"), 0, states);
    const std::vector<flatbuffers::Offset<wire::TopicState>> topics(10'000, topic);
    return wire::CreateTopicsReply(builder, builder.CreateVector(topics)).Union();
  });
  EXPECT_LT(envelope.size(), 256u << 10);
  EXPECT_EQ(reply_verdict(framed(envelope)), ErrorCode::kMalformedFrame);
}

// More tables than the verifier counts, though the list is one that points at one table.
TEST(HostileEnvelope, TablesAreCounted) {
  const auto envelope = envelope_of(9, [](auto& builder) {
    const wire::PartitionRef partition;
    const auto entry = wire::CreateCommittedOffset(builder, &partition);
    const std::vector<flatbuffers::Offset<wire::CommittedOffset>> entries(60'000, entry);
    return wire::CreateCommitOffsets(builder, builder.CreateString("g"),
                                     builder.CreateVector(entries))
        .Union();
  });
  CorrelationId correlation;
  EXPECT_EQ(request_verdict(framed(envelope), correlation), ErrorCode::kMalformedFrame);
  EXPECT_EQ(correlation, CorrelationId(0));  // stopped before the envelope was found sound
}

TEST(HostileEnvelope, AnErrorReplyNamesAnError) {
  const auto envelope =
      envelope_of(128, [](auto& builder) { return wire::CreateErrorReply(builder, 0).Union(); });
  EXPECT_EQ(reply_verdict(framed(envelope)), ErrorCode::kMalformedFrame);
}

}  // namespace
}  // namespace leat::native
