// Messages that are cut, damaged or lie: refused, never read beyond their bytes (the sanitizers
// watch), never worth more memory than they were given.
#include <algorithm>

#include <gmock/gmock.h>

#include "tests/protocol/kafka/counted_allocations.h"
#include "tests/protocol/kafka/every_version.h"
#include "tests/protocol/kafka/random_message.h"

namespace leat::kafka {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kErrorText = 1024;  // what saying so may cost

std::vector<std::byte> bytes_of(std::string_view text) {
  return {as_bytes(text).begin(), as_bytes(text).end()};
}

// Decodes, and holds the decoder to its budget.
template <class Message>
Result<Message> decode_within(Bytes body, std::int16_t version, std::size_t memory_bytes) {
  const std::size_t before = allocated_bytes();
  auto decoded = decode<Message>(body, version, memory_bytes);
  EXPECT_LE(allocated_bytes() - before, memory_bytes + kErrorText);
  return decoded;
}

TEST(HostileMessage, EveryTruncationIsRefused) {
  Random random(1);
  for_each_version([&]<class Message>(std::int16_t version) {
    for (int i = 0; i < 3; ++i) {
      const auto bytes = encoded(random_message<Message>(random, version), version);
      for (std::size_t n = 0; n < bytes.size(); ++n) {
        // A copy of its own, so that a sanitizer sees reads beyond its end.
        const std::vector<std::byte> cut(bytes.begin(),
                                         bytes.begin() + static_cast<std::ptrdiff_t>(n));
        const auto decoded = decode_within<Message>(cut, version, kPlenty);
        ASSERT_FALSE(decoded) << n << " of " << bytes.size() << " bytes";
        ASSERT_EQ(decoded.error(), ErrorCode::kMalformedFrame);
      }
    }
  });
}

// librdkafka 2.16 asks for all topics with three bytes too many (Metadata 13), and Kafka answers.
TEST(HostileMessage, BytesLeftOverAreIgnored) {
  Random random(2);
  for_each_version([&]<class Message>(std::int16_t version) {
    const auto bytes = encoded(random_message<Message>(random, version), version);
    auto longer = bytes;
    longer.insert(longer.end(), 3, std::byte{1});
    const auto decoded = decode<Message>(longer, version, kPlenty);
    ASSERT_TRUE(decoded) << decoded.error().message();
    EXPECT_EQ(encoded(*decoded, version), bytes);
  });
}

// Wherever a length or count is, sooner or later it is written over.
TEST(HostileMessage, LiesAnywhereCostNoMoreThanTheBudget) {
  constexpr std::size_t kBudget = 64 << 10;
  const std::vector<std::byte> lies[] = {bytes_of("\x7f\xff\xff\xff"),
                                         bytes_of("\xff\xff\xff\xfe"),
                                         bytes_of("\xff\xff\xff\xff"),
                                         bytes_of("\xff\xff\xff\xff\x0f"),
                                         bytes_of("\xff\xff\xff\xff\x7f"),
                                         bytes_of("\x7f\xff"),
                                         bytes_of("\xff\x7f")};
  Random random(3);
  for_each_version([&]<class Message>(std::int16_t version) {
    const auto bytes = encoded(random_message<Message>(random, version), version);
    for (std::size_t at = 0; at < bytes.size(); ++at)
      for (const auto& lie : lies) {
        auto lying = bytes;
        std::copy_n(lie.begin(), std::min(lie.size(), bytes.size() - at),
                    lying.begin() + static_cast<std::ptrdiff_t>(at));
        const auto decoded = decode_within<Message>(lying, version, kBudget);
        if (decoded) {
          ASSERT_TRUE(decode<Message>(encoded(*decoded, version), version, kBudget));
        }
      }
  });
}

TEST(HostileMessage, CountsAreHeldToWhatIsThere) {
  constexpr std::size_t kOneTopic = sizeof(MetadataRequest::Topic);
  struct Lie {
    std::int16_t version;
    std::string_view body;
    const char* found;
  };
  using namespace std::string_view_literals;
  for (const Lie& lie : {Lie{1, "\x7f\xff\xff\xff\0\1t"sv, "a length is beyond the end"},
                         Lie{1, "\xff\xff\xff\xfe\0\1t"sv, "a length is negative"},
                         Lie{0, "\xff\xff\xff\xff\0\1t"sv, "a field is null"},
                         Lie{1, "\0\0\0\2\0\1t"sv, "a count is beyond what can be there"},
                         Lie{1, "\0\0\0\1\xff\xff"sv, "a field is null"},
                         Lie{1, "\0\0\0\1\0\2t"sv, "a length is beyond the end"},
                         Lie{9, "\xff\xff\xff\xff\x1f\1t"sv, "more than 32 bits"},
                         Lie{9, "\xff\xff\xff\xff\xff\x01"sv, "more than 32 bits"},
                         Lie{9, "\xff\xff\xff\xff\x0f\2t"sv, "a length is beyond the end"},
                         Lie{9, "\4\2t\0\0\0"sv, "a count is beyond what can be there"},
                         Lie{9, "\2\2t\0\0\0\0\1\0\7"sv, "a tagged field is beyond the end"}}) {
    const auto decoded = decode_within<MetadataRequest>(as_bytes(lie.body), lie.version, kOneTopic);
    ASSERT_FALSE(decoded) << lie.found;
    EXPECT_THAT(decoded.error().message(), HasSubstr(lie.found));
  }
}

TEST(HostileMessage, SmallElementsAreChargedForTheirStructs) {
  // A million empty names, one byte each.
  std::vector<std::byte> body = bytes_of("\xc1\x84\x3d");
  body.resize(body.size() + 1'000'000, std::byte{1});
  body.insert(body.end(), 2, std::byte{0});
  const auto refused = decode_within<DescribeGroupsRequest>(body, 5, 1 << 20);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), ErrorCode::kFrameTooLarge);
  const auto taken = decode_within<DescribeGroupsRequest>(body, 5, 16'000'000);
  ASSERT_TRUE(taken) << taken.error().message();
  EXPECT_EQ(taken->groups.size(), 1'000'000u);
}

TEST(HostileMessage, TheBudgetIsForAllArraysTogether) {
  FetchRequest request;
  request.topics.resize(100);
  for (auto& topic : request.topics) topic.partitions.resize(10);
  const auto body = encoded(request, 12);
  const std::size_t needed =
      100 * sizeof(FetchRequest::Topic) + 1000 * sizeof(FetchRequest::Topic::Partition);
  EXPECT_TRUE(decode_within<FetchRequest>(body, 12, needed));
  EXPECT_FALSE(decode_within<FetchRequest>(body, 12, needed - 1));
}

TEST(HostileMessage, MillionsOfTaggedFieldsCostNothing) {
  std::vector<std::byte> body = encoded(HeartbeatRequest{}, 4);
  body.pop_back();
  const auto count = bytes_of("\x80\xda\xc4\x09");  // 20,000,000
  body.insert(body.end(), count.begin(), count.end());
  for (int i = 0; i < 20'000'000; ++i) {
    body.push_back(std::byte{5});
    body.push_back(std::byte{0});
  }
  EXPECT_TRUE(decode_within<HeartbeatRequest>(body, 4, 0));
  body.pop_back();
  EXPECT_FALSE(decode_within<HeartbeatRequest>(body, 4, 0));
}

TEST(HostileMessage, UnknownTaggedFieldsAreSkipped) {
  using namespace std::string_view_literals;
  Random random(4);
  for_each_version([&]<class Message>(std::int16_t version) {
    if (!api_info(Message::kApi).flexible(version)) return;
    Message message;
    RandomFiller(random, version, false).structure(message);  // without known ones
    const auto plain = encoded(message, version);
    auto more = plain;
    ASSERT_EQ(more.back(), std::byte{0});  // the count
    more.pop_back();
    const auto unknown = bytes_of("\2\x64\3abc\xe5\7\0"sv);
    more.insert(more.end(), unknown.begin(), unknown.end());
    const auto decoded = decode<Message>(more, version, kPlenty);
    ASSERT_TRUE(decoded) << decoded.error().message();
    EXPECT_EQ(encoded(*decoded, version), plain);
  });
}

TEST(HostileMessage, TaggedFieldsSayWhatTheyAre) {
  using namespace std::string_view_literals;
  // An ApiVersions response with one API, whose tagged fields come first, then the message's own.
  const auto decode_with = [](std::string_view inner, std::string_view outer) {
    auto body = bytes_of("\0\0\2\0\1\0\2\0\3"sv);
    for (const std::string_view part : {inner, "\0\0\0\0"sv, outer})
      body.insert(body.end(), as_bytes(part).begin(), as_bytes(part).end());
    return decode<ApiVersionsResponse>(body, 3, kPlenty);
  };
  const auto unknown_inside = decode_with("\1\0\5hello"sv, "\0"sv);
  ASSERT_TRUE(unknown_inside) << unknown_inside.error().message();
  EXPECT_EQ(unknown_inside->api_keys[0].max_version, 3);

  const auto known = decode_with("\0"sv, "\2\1\x08\0\0\0\0\0\0\0\7\3\1\1"sv);
  ASSERT_TRUE(known) << known.error().message();
  EXPECT_EQ(known->finalized_features_epoch, 7);
  EXPECT_TRUE(known->zk_migration_ready);

  struct Lie {
    std::string_view outer;
    const char* found;
  };
  for (const Lie& lie : {Lie{"\1\1\x09\0\0\0\0\0\0\0\7\0"sv, "of another size than it says"},
                         Lie{"\1\1\7\0\0\0\0\0\0\0\7"sv, "in the middle of a field"},
                         Lie{"\1\1\x08\0\0\0\0\0\0\7"sv, "a tagged field is beyond the end"},
                         Lie{"\1\0\1\3"sv, "a length is beyond the end"}}) {
    const auto decoded = decode_with("\0"sv, lie.outer);
    ASSERT_FALSE(decoded) << lie.found;
    EXPECT_THAT(decoded.error().message(), HasSubstr(lie.found));
  }
}

}  // namespace
}  // namespace leat::kafka
