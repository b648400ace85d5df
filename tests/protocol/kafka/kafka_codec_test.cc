// Every message in every version comes back as it went, and what cannot be said is refused.
#include <gmock/gmock.h>

#include "protocol/kafka/decoder.h"
#include "protocol/kafka/encoder.h"
#include "tests/protocol/kafka/every_version.h"
#include "tests/protocol/kafka/random_message.h"

namespace leat::kafka {
namespace {

using ::testing::HasSubstr;

// What no message of the table has yet.
struct Quota {
  double bytes_per_s = 0;
  std::uint16_t port = 0;
  std::optional<Cursor> cursor;

  static void fields(auto& v, auto& m) {
    v(m.bytes_per_s);
    v(m.port, {.since = 1, .until = 2});
    v(m.cursor, {.null_since = 2});
  }
};

TEST(KafkaCodec, NumbersAndStructuresThatMayBeNull) {
  std::vector<std::byte> bytes;
  const auto back = [&](const Quota& quota, std::int16_t version) -> Result<Quota> {
    bytes.clear();
    ByteWriter to(bytes, 64, nullptr);
    Encoder<ByteWriter> encoder(to, version, true);
    encoder.structure(quota);
    const auto size = static_cast<std::size_t>(to.end() - bytes.data());
    Decoder decoder(Bytes(bytes).first(size), version, true, 0);
    Quota read;
    decoder.structure(read);
    if (auto ok = decoder.finish(); !ok) return fail(ok.error());
    return read;
  };
  const Quota quota{-1.25e300, 65'535, Cursor{"orders", 7}};
  const auto whole = back(quota, 2);
  ASSERT_TRUE(whole) << whole.error().message();
  EXPECT_EQ(dump(*whole), dump(quota));
  EXPECT_EQ(back(quota, 0)->port, 0);
  EXPECT_EQ(back(quota, 3)->port, 0);
  EXPECT_FALSE(back({}, 2)->cursor);
  EXPECT_FALSE(back({}, 1)) << "null where none may be";
}

TEST(KafkaCodec, EveryMessageInEveryVersionComesBack) {
  Random random(1);
  for_each_version([&]<class Message>(std::int16_t version) {
    for (int i = 0; i < 50; ++i) {
      const auto message = random_message<Message>(random, version);
      const auto bytes = encoded(message, version);
      const auto back = decode<Message>(bytes, version, kPlenty);
      ASSERT_TRUE(back) << back.error().message();
      ASSERT_EQ(dump(*back), dump(message));
      ASSERT_EQ(encoded(*back, version), bytes);
    }
  });
}

TEST(KafkaCodec, BorrowedBytesBelongWhereTheyAreSaidToBe) {
  Random random(2);
  for_each_version([&]<class Message>(std::int16_t version) {
    const auto message = random_message<Message>(random, version);
    std::vector<std::byte> around(3);
    const auto borrowed = encode_around(message, version, around);
    ASSERT_TRUE(borrowed) << borrowed.error().message();
    std::vector<std::byte> whole;
    std::size_t at = 3;
    for (const Borrowed& each : *borrowed) {
      whole.insert(whole.end(), around.begin() + static_cast<std::ptrdiff_t>(at),
                   around.begin() + static_cast<std::ptrdiff_t>(each.at));
      whole.insert(whole.end(), each.bytes.begin(), each.bytes.end());
      at = each.at;
    }
    whole.insert(whole.end(), around.begin() + static_cast<std::ptrdiff_t>(at), around.end());
    EXPECT_EQ(whole, encoded(message, version));
  });
}

TEST(KafkaCodec, RecordsAreNotCopied) {
  const std::string records(1000, 'r'), more(500, 's');
  FetchResponse::Topic::Partition partition;
  partition.records.emplace();
  partition.records->all = {as_bytes(records), as_bytes(more)};
  FetchResponse response;
  response.responses.push_back({.topic = "orders", .topic_id = {}, .partitions = {partition}});
  std::vector<std::byte> around;
  const auto borrowed = encode_around(response, 11, around);
  ASSERT_TRUE(borrowed);
  ASSERT_EQ(borrowed->size(), 2u);
  EXPECT_EQ(borrowed->front().bytes.data(), as_bytes(records).data());
  EXPECT_EQ(borrowed->back().bytes.data(), as_bytes(more).data());
  EXPECT_LT(around.size(), 100u);

  const auto whole = encoded(response, 11);
  const auto back = decode<FetchResponse>(whole, 11, kPlenty);
  ASSERT_TRUE(back);
  const auto& read = back->responses[0].partitions[0].records;
  ASSERT_EQ(read->all.size(), 1u);
  EXPECT_EQ(as_text(read->all[0]), records + more);
  const std::byte* const at = read->all[0].data();
  EXPECT_TRUE(at > whole.data() && at < whole.data() + whole.size());
}

// Bytes written down by hand from Kafka's documentation of the protocol, both ways.
TEST(KafkaCodec, KnownBytes) {
  const auto text = [](std::string_view bytes) {
    return std::vector<std::byte>(as_bytes(bytes).begin(), as_bytes(bytes).end());
  };
  using namespace std::string_view_literals;
  OffsetForLeaderEpochRequest request;
  request.topics.push_back({.topic = "t", .partitions = {{1, 2, 3}}});
  EXPECT_EQ(encoded(request, 2), text("\0\0\0\1\0\1t\0\0\0\1\0\0\0\1\0\0\0\2\0\0\0\3"sv));
  EXPECT_EQ(encoded(request, 4), text("\xff\xff\xff\xfe\2\2t\2\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"sv));

  MetadataRequest all;
  EXPECT_EQ(encoded(all, 1), text("\xff\xff\xff\xff"sv));
  EXPECT_EQ(encoded(all, 9), text("\0\1\0\0\0"sv));
  ASSERT_TRUE(decode<MetadataRequest>(text("\0\1\0\0\0"sv), 9, kPlenty));

  ApiVersionsResponse features;
  features.supported_features.push_back({"f", 0, 1});
  EXPECT_EQ(encoded(features, 3), text("\0\0\1\0\0\0\0\1\0\x08\2\2f\0\0\0\1\0"sv));
}

TEST(KafkaCodec, DefaultsStandForWhatAVersionLacks) {
  FetchRequest::Topic topic{.topic = "orders", .topic_id = {}, .partitions = {{}}};
  topic.partitions[0].current_leader_epoch = 7;
  FetchRequest request;
  request.topics.push_back(topic);
  const auto old = decode<FetchRequest>(encoded(request, 4), 4, kPlenty);
  ASSERT_TRUE(old);
  EXPECT_EQ(old->topics[0].partitions[0].current_leader_epoch, -1);
  EXPECT_EQ(old->topics[0].partitions[0].high_watermark, std::numeric_limits<std::int64_t>::max());
  const auto newer = decode<FetchRequest>(encoded(request, 9), 9, kPlenty);
  ASSERT_TRUE(newer);
  EXPECT_EQ(newer->topics[0].partitions[0].current_leader_epoch, 7);
}

TEST(KafkaCodec, RefusesVersionsOutsideTheTable) {
  const auto decoded = decode<FetchRequest>({}, 19, kPlenty);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error(), ErrorCode::kUnsupportedVersion);
  EXPECT_THAT(decoded.error().message(), HasSubstr("Fetch 19 (4 to 18 are supported)"));
  std::vector<std::byte> to;
  for (const std::int16_t version : {-1, 3, 19}) {
    const auto written = encode(FetchRequest{}, version, to);
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error(), ErrorCode::kUnsupportedVersion);
  }
  EXPECT_TRUE(to.empty());
}

TEST(KafkaCodec, RefusesToWriteWhatAVersionCannotSay) {
  std::vector<std::byte> to(5);
  const auto null = encode(MetadataRequest{}, 0, to);
  ASSERT_FALSE(null);
  EXPECT_EQ(null.error(), ErrorCode::kInvalidRequest);
  EXPECT_THAT(null.error().message(), HasSubstr("Metadata 0: a field is null"));

  const std::string text(32'768, 'x');
  HeartbeatRequest heartbeat{
      .group_id = text, .generation_id = 0, .member_id = {}, .group_instance_id = {}};
  const auto too_long = encode(heartbeat, 3, to);
  ASSERT_FALSE(too_long);
  EXPECT_EQ(too_long.error(), ErrorCode::kInvalidRequest);
  EXPECT_EQ(to.size(), 5u);
  EXPECT_TRUE(encode(heartbeat, 4, to));
  heartbeat.group_id = std::string_view(text).substr(1);
  EXPECT_TRUE(encode(heartbeat, 3, to));
}

}  // namespace
}  // namespace leat::kafka
