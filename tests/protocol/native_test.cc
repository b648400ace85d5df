// Frames and messages: what is encoded is decoded, what is damaged is refused.
#include <gtest/gtest.h>

#include "protocol/base/random.h"
#include "protocol/native/codec.h"

namespace leat::native {
namespace {

constexpr FrameLimits kLimits;

std::vector<Request> requests(const TopicId& id) {
  static const std::string batch(1000, 'b');
  return {Hello{1, 3, "someone"},
          Ping{},
          CreateTopic{"orders", 8, true},
          DeleteTopic{"orders"},
          ListTopics{},
          DescribeTopic{"orders", true},
          Produce{id, PartitionIndex(3), as_bytes(batch)},
          Fetch{id, PartitionIndex(2), Offset(77), 1 << 20, 500},
          CommitOffsets{"group",
                        {{id, PartitionIndex(1), Offset(5), "meta"},
                         {id, PartitionIndex(2), Offset(-1), ""}}},
          CommitOffsets{"group", {}},
          FetchOffsets{"group", {{id, PartitionIndex(0)}}}};
}

std::vector<Reply> replies(const TopicId& id) {
  static const std::string batches(3001, 'r');
  const TopicState topic{id, "orders", 12345, {{Offset(0), Offset(9)}, {Offset(3), Offset(4)}}};
  return {ErrorReply{ErrorCode::kUnknownTopic, "'x'"},
          HelloReply{1, "leatd", 1, 2, 3},
          Pong{},
          TopicReply{topic},
          DeleteTopicReply{},
          TopicsReply{{topic, topic}},
          TopicsReply{},
          ProduceReply{Offset(8)},
          FetchReply{Offset(1), Offset(2), as_bytes(batches)},
          FetchReply{Offset(1), Offset(2), {}},
          CommitOffsetsReply{},
          FetchOffsetsReply{{{id, PartitionIndex(1), Offset(5), "meta"}}}};
}

// Encoding what was decoded must give the same bytes: every field came through.
template <class Message, class Decode>
void expect_round_trip(const Message& message, Decode decode) {
  std::vector<std::byte> bytes, again;
  encode(CorrelationId(42), message, bytes);
  EXPECT_EQ(bytes.size() % kFrameAlignment, 0u);
  const auto frame = parse_frame(bytes, kLimits);
  ASSERT_TRUE(frame && *frame);
  EXPECT_EQ((*frame)->frame_bytes, bytes.size());
  AlignedEnvelope aligned;
  const auto decoded = decode(**frame, aligned);
  ASSERT_TRUE(decoded) << decoded.error().message();
  EXPECT_EQ(decoded->correlation, CorrelationId(42));
  EXPECT_EQ(decoded->message.index(), message.index());
  encode(CorrelationId(42), decoded->message, again);
  EXPECT_EQ(again, bytes);
}

const auto kDecodeRequest = [](const FrameView& frame, AlignedEnvelope& aligned) {
  CorrelationId correlation;
  return decode_request(frame, aligned, correlation);
};
const auto kDecodeReply = [](const FrameView& frame, AlignedEnvelope& aligned) {
  return decode_reply(frame, aligned);
};

TEST(Native, MessagesRoundTrip) {
  TopicId id;
  id.bytes[3] = 9;
  for (const Request& request : requests(id)) expect_round_trip(request, kDecodeRequest);
  for (const Reply& reply : replies(id)) expect_round_trip(reply, kDecodeReply);
}

TEST(Native, AHeadAndItsPayloadMakeTheWholeFrame) {
  const std::string payload(1001, 'p');
  std::vector<std::byte> whole, parts;
  encode(CorrelationId(1), Reply(FetchReply{Offset(1), Offset(2), as_bytes(payload)}), whole);
  encode_head(CorrelationId(1), Reply(FetchReply{Offset(1), Offset(2), {}}), payload.size(), parts);
  const Bytes bytes = as_bytes(payload);
  parts.insert(parts.end(), bytes.begin(), bytes.end());
  parts.resize(parts.size() + payload_padding(payload.size()));
  EXPECT_EQ(parts, whole);
}

TEST(Native, AFrameIsIncompleteUntilItsLastByte) {
  std::vector<std::byte> bytes;
  encode(CorrelationId(1), Request(CreateTopic{"orders", 8, true}), bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto frame = parse_frame(Bytes(bytes).first(size), kLimits);
    ASSERT_TRUE(frame) << size;
    EXPECT_FALSE(*frame) << size;
  }
}

TEST(Native, OtherProtocolsAreFoundAndNamed) {
  const std::pair<std::string, std::string> known[] = {
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP"},
      {std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), "TLS"}};
  for (const auto& [bytes, name] : known) {
    const auto frame = parse_frame(as_bytes(bytes), kLimits);
    ASSERT_FALSE(frame);
    EXPECT_EQ(frame.error().code, ErrorCode::kMalformedFrame);
    EXPECT_NE(frame.error().detail.find(name), std::string::npos) << frame.error().detail;
  }
  EXPECT_FALSE(parse_frame(as_bytes("x"), kLimits));  // the first wrong byte is enough
}

TEST(Native, HeadersThatLieAreRefused) {
  std::vector<std::byte> intact;
  encode(CorrelationId(1), Request(Ping{}), intact);
  const auto error_with = [&](std::size_t at, auto value) {
    auto bytes = intact;
    store_le(&bytes[at], value);
    const auto frame = parse_frame(bytes, kLimits);
    return frame ? ErrorCode::kOk : frame.error().code;
  };
  EXPECT_EQ(error_with(4, std::uint32_t{0x80000000}), ErrorCode::kFrameTooLarge);
  EXPECT_EQ(error_with(8, std::uint32_t{0xffffffff}), ErrorCode::kFrameTooLarge);
  EXPECT_EQ(error_with(12, std::uint16_t{2}), ErrorCode::kUnsupportedVersion);
  EXPECT_EQ(error_with(14, std::uint16_t{1}), ErrorCode::kMalformedFrame);
}

TEST(Native, ARequestIsNoReply) {
  std::vector<std::byte> bytes;
  encode(CorrelationId(1), Request(Ping{}), bytes);
  AlignedEnvelope aligned;
  EXPECT_FALSE(decode_reply(**parse_frame(bytes, kLimits), aligned));
  bytes.clear();
  encode(CorrelationId(1), Reply(Pong{}), bytes);
  CorrelationId correlation;
  EXPECT_EQ(decode_request(**parse_frame(bytes, kLimits), aligned, correlation).error().code,
            ErrorCode::kMalformedFrame);
}

// Damaged envelopes decode to an error or to some message, never beyond the bytes, at any
// alignment.
TEST(Native, DamagedEnvelopesStayInBounds) {
  Random random(5);
  const TopicId id = random.topic_id();
  AlignedEnvelope aligned;
  for (int round = 0; round < 400; ++round) {
    std::vector<std::vector<std::byte>> frames;
    for (const Request& request : requests(id))
      encode(CorrelationId(9), request, frames.emplace_back());
    for (const Reply& reply : replies(id)) encode(CorrelationId(9), reply, frames.emplace_back());
    for (auto& bytes : frames) {
      for (std::uint64_t n = random.below(4) + 1; n > 0; --n)
        bytes[kFrameHeaderBytes + random.below(bytes.size() - kFrameHeaderBytes)] =
            static_cast<std::byte>(random.next());
      const std::size_t shift = random.below(8);
      bytes.insert(bytes.begin(), shift, std::byte{0});
      const auto frame = parse_frame(Bytes(bytes).subspan(shift), kLimits);
      if (!frame || !*frame) continue;
      std::vector<std::byte> again;
      CorrelationId correlation;
      if (const auto request = decode_request(**frame, aligned, correlation))
        encode(request->correlation, request->message, again);
      if (const auto reply = decode_reply(**frame, aligned))
        encode(reply->correlation, reply->message, again);
    }
  }
}

}  // namespace
}  // namespace leat::native
