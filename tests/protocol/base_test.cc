// Checksums, integers, ids and names against their specifications.
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "protocol/base/crc32c.h"
#include "protocol/base/random.h"
#include "protocol/base/result.h"
#include "protocol/base/varint.h"
#include "protocol/names.h"
#include "protocol/partitioner.h"

namespace leat {
namespace {

std::vector<std::byte> random_bytes(Random& random, std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random.next());
  return bytes;
}

TEST(Crc32c, GivesTheVectorsOfRfc3720) {
  EXPECT_EQ(crc32c(as_bytes(std::string(32, '\0'))), 0x8a9136aau);
  EXPECT_EQ(crc32c(as_bytes(std::string(32, '\xff'))), 0x62a8ab43u);
  std::string ascending(32, 0);
  for (std::size_t i = 0; i < 32; ++i) ascending[i] = static_cast<char>(i);
  EXPECT_EQ(crc32c(as_bytes(ascending)), 0x46dd794eu);
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283u);
}

TEST(Crc32c, InstructionAndTableAgreeAtEverySizeAndSplit) {
  Random random(1);
  for (int round = 0; round < 300; ++round) {
    const auto bytes = random_bytes(random, random.below(12'000));
    const Bytes all(bytes);
    const std::size_t split = random.below(bytes.size() + 1);
    EXPECT_EQ(crc32c(all), crc32c_table(all));
    EXPECT_EQ(crc32c(all.subspan(split), crc32c(all.first(split))), crc32c_table(all));
  }
}

TEST(Varint, RoundTripsAndKnowsItsSize) {
  Random random(2);
  for (int round = 0; round < 2'000; ++round) {
    const auto value = static_cast<std::int64_t>(random.next() >> random.below(64));
    for (const std::int64_t v : {value, -value, ~value}) {
      std::byte bytes[kMaxVarintBytes];
      const std::byte* end = put_varint(bytes, v);
      EXPECT_EQ(static_cast<std::size_t>(end - bytes), varint_size(v));
      std::int64_t read = 0;
      EXPECT_EQ(get_varint(bytes, end, read), end);
      EXPECT_EQ(read, v);
      EXPECT_EQ(get_varint(bytes, end - 1, read), nullptr);  // cut off
    }
  }
}

TEST(Varint, RefusesMoreThan64Bits) {
  std::byte bytes[11];
  std::fill(bytes, bytes + 10, std::byte{0xff});
  bytes[10] = std::byte{0};
  std::int64_t read = 0;
  EXPECT_EQ(get_varint(bytes, bytes + 11, read), nullptr);
}

TEST(ByteReader, NeverRunsPastTheEnd) {
  const std::byte bytes[3] = {std::byte{1}, std::byte{2}, std::byte{3}};
  ByteReader reader(bytes);
  EXPECT_EQ(reader.be<std::uint16_t>(), 0x0102);
  EXPECT_EQ(reader.le<std::uint32_t>(), 0u);
  EXPECT_TRUE(reader.failed());
  EXPECT_EQ(reader.be<std::uint8_t>(), 0);  // stays failed
  EXPECT_FALSE(reader.finished());
}

TEST(TopicId, ReadsWhatItWrites) {
  Random random(3);
  const TopicId id = random.topic_id();
  EXPECT_EQ(TopicId::parse(id.to_string()), id);
  EXPECT_EQ(id.to_string()[14], '4');
  for (const char* bad :
       {"", "x", "00000000-0000-4000-8000-00000000000g", "00000000+0000-4000-8000-000000000000"})
    EXPECT_FALSE(TopicId::parse(bad)) << bad;
}

TEST(Partitioner, AgreesWithKafkasJavaClient) {
  const std::pair<std::string_view, std::int32_t> known[] = {
      {"21", -973932308},
      {"foobar", -790332482},
      {"a-little-bit-long-string", -985981536},
      {"a-little-bit-longer-string", -1486304829},
      {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
      {"abc", 479470107}};
  for (const auto& [key, hash] : known)
    EXPECT_EQ(static_cast<std::int32_t>(murmur2(as_bytes(key))), hash) << key;
  EXPECT_GE(partition_for_key(as_bytes("foobar"), 7).value, 0);
}

TEST(Names, TopicsFollowKafkasRule) {
  for (const char* good : {"orders", "a", "A.b_c-9", "..."}) EXPECT_TRUE(validate_topic_name(good));
  EXPECT_TRUE(validate_topic_name(std::string(249, 'x')));
  for (const char* bad : {"", ".", "..", "a b", "a/b", "\xc3\xa9"})
    EXPECT_EQ(validate_topic_name(bad).error().code, ErrorCode::kInvalidTopicName) << bad;
  EXPECT_FALSE(validate_topic_name(std::string(250, 'x')));
}

TEST(Names, GroupsAreAnyBoundedUtf8) {
  EXPECT_TRUE(validate_group_name("Büro/№1 \xf0\x9f\x98\x80"));
  EXPECT_TRUE(validate_group_name(std::string(255, 'g')));
  for (const std::string& bad :
       {std::string(), std::string(256, 'g'), std::string("\xff"), std::string("\xc0\x80"),
        std::string("\xed\xa0\x80"), std::string("\xf4\x90\x80\x80"), std::string("\xe2\x82")})
    EXPECT_EQ(validate_group_name(bad).error().code, ErrorCode::kInvalidGroupName) << bad;
}

TEST(Names, EscapedIsSafeForALogLine) {
  EXPECT_EQ(escaped("plain"), "plain");
  EXPECT_EQ(escaped("a\nb'\xff"), "a\\x0ab\\x27\\xff");
  EXPECT_LE(escaped(std::string(1'000, 'x'), 20).size(), 23u);
}

TEST(Errors, EachCodeHasItsRowAndUnknownOnesReadAsInternal) {
  EXPECT_EQ(error_info(ErrorCode::kUnknownTopic).name, "UnknownTopic");
  EXPECT_EQ(error_info(ErrorCode::kUnknownTopic).exit_status, 4);
  EXPECT_EQ(error_info(static_cast<ErrorCode>(60'000)).code, ErrorCode::kInternal);
  EXPECT_EQ(Error(ErrorCode::kUnknownTopic, "'x'").message(), "unknown topic: 'x'");
}

// docs/native_protocol.md lists every code with its number, name and text.
TEST(Errors, TheDocumentedTableIsTheTable) {
  std::ifstream file(LEAT_SOURCE_DIR "/docs/native_protocol.md");
  std::stringstream text;
  text << file.rdbuf();
#define LEAT_CODE(code, number, kafka, exit_status, retryable, text) ErrorCode::code,
  for (const ErrorCode code : {LEAT_ERRORS(LEAT_CODE)}) {
#undef LEAT_CODE
    const ErrorInfo& info = error_info(code);
    const std::string row = "| " + std::to_string(static_cast<int>(code)) + " | " +
                            std::string(info.name) + " | " + std::string(info.text) + " | " +
                            (info.retryable ? "yes" : "no") + " |";
    EXPECT_NE(text.str().find(row), std::string::npos) << row;
  }
}

}  // namespace
}  // namespace leat
