// Checksums, integers, ids and names against their specifications.
#include <fstream>
#include <optional>
#include <sstream>

#include <gtest/gtest.h>

#include "protocol/base/crc32c.h"
#include "protocol/base/random.h"
#include "protocol/base/result.h"
#include "protocol/base/siphash.h"
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
  std::string descending(ascending.rbegin(), ascending.rend());
  EXPECT_EQ(crc32c(as_bytes(descending)), 0x113fdb5cu);
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283u);
  EXPECT_EQ(crc32c({}), 0u);
}

// The authors' vectors_sip128: the key and the data count up from 0.
TEST(Siphash128, GivesTheAuthorsVectors) {
  std::vector<std::byte> counted(16);
  for (std::size_t i = 0; i < counted.size(); ++i) counted[i] = static_cast<std::byte>(i);
  const auto hash = [&](std::size_t size) {
    const auto words = siphash128(counted, Bytes(counted).first(size));
    char text[33];
    std::snprintf(text, sizeof text, "%016lx%016lx", byte_swap(words[0]), byte_swap(words[1]));
    return std::string(text);
  };
  EXPECT_EQ(hash(0), "a3817f04ba25a8e66df67214c7550293");
  EXPECT_EQ(hash(1), "da87c1d86b99af44347659119b22fc45");
  EXPECT_EQ(hash(2), "8177228da4a45dc7fca38bdef60affe4");
  EXPECT_EQ(hash(3), "9c70b60c5267a94e5f33b6b02985ed51");
  EXPECT_EQ(hash(4), "f88164c12d9c8faf7d0f6e7c7bcd5579");
  EXPECT_EQ(hash(5), "1368875980776f8854527a07690e9627");
  EXPECT_EQ(hash(15), "5493e99933b0a8117e08ec0f97cfc3d9");
}

TEST(Crc32c, InstructionAndTableAgreeAtEverySizeAndSplit) {
  Random random(1);
  for (int round = 0; round < 300; ++round) {
    const auto bytes = random_bytes(random, random.below(12'000));
    const Bytes all(bytes);
    const std::size_t split = random.below(bytes.size() + 1);
    EXPECT_EQ(crc32c(all), crc32c_table(all));
    EXPECT_EQ(crc32c(all.subspan(split), crc32c(all.first(split))), crc32c_table(all));
    const Bytes rest = all.subspan(split);
    EXPECT_EQ(crc32c_joined(crc32c(all.first(split)), crc32c(rest), rest.size()), crc32c(all));
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

std::string varint_bytes(std::int64_t value) {
  std::byte bytes[kMaxVarintBytes];
  return std::string(as_text(Bytes(bytes, put_varint(bytes, value))));
}

TEST(Varint, HasTheDocumentedBytes) {
  using namespace std::string_literals;
  EXPECT_EQ(varint_bytes(0), "\0"s);
  EXPECT_EQ(varint_bytes(-1), "\x01");
  EXPECT_EQ(varint_bytes(1), "\x02");
  EXPECT_EQ(varint_bytes(-64), "\x7f");
  EXPECT_EQ(varint_bytes(64), "\x80\x01");
  EXPECT_EQ(varint_bytes(INT32_MAX), "\xfe\xff\xff\xff\x0f");
  EXPECT_EQ(varint_bytes(INT32_MIN), "\xff\xff\xff\xff\x0f");
  EXPECT_EQ(varint_bytes(INT64_MAX), "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01");
  EXPECT_EQ(varint_bytes(INT64_MIN), "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
}

// The value and how many bytes it took, or nothing.
std::optional<std::pair<std::int64_t, std::size_t>> read_varint(std::string_view text) {
  const Bytes bytes = as_bytes(text);
  std::int64_t value = 0;
  const std::byte* next = get_varint(bytes.data(), bytes.data() + bytes.size(), value);
  if (next == nullptr) return std::nullopt;
  return std::pair(value, static_cast<std::size_t>(next - bytes.data()));
}

TEST(Varint, ReadsUpTo64BitsAndRefusesMore) {
  const std::string nine(9, '\xff');
  EXPECT_EQ(read_varint(nine + "\x01"), std::pair(INT64_MIN, std::size_t{10}));
  EXPECT_FALSE(read_varint(nine + "\x02"));  // a 65th bit
  EXPECT_FALSE(read_varint(nine + "\x7f"));
  EXPECT_FALSE(read_varint(nine + "\x81\x01"));  // an eleventh byte
  EXPECT_FALSE(read_varint(nine));
  EXPECT_FALSE(read_varint(""));
  EXPECT_FALSE(read_varint("\x80"));
}

// As protocol buffers and Kafka do; a batch is never re-encoded, so nothing depends on the form.
TEST(Varint, ReadsFormsThatAreLongerThanNeeded) {
  EXPECT_EQ(read_varint(std::string_view("\x82\x00\x55", 3)),
            std::pair(std::int64_t{1}, std::size_t{2}));
  EXPECT_EQ(read_varint(std::string_view("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 10)),
            std::pair(std::int64_t{0}, std::size_t{10}));
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
  // "foobar": (-790332482 & 0x7fffffff) % 7
  EXPECT_EQ(partition_for_key(as_bytes("foobar"), 7).value, 1'357'151'166 % 7);
  EXPECT_EQ(partition_for_key({}, 1).value, 0);
}

TEST(Names, TopicsFollowKafkasRule) {
  for (const char* good : {"orders", "a", "A.b_c-9", "..."}) EXPECT_TRUE(validate_topic_name(good));
  EXPECT_TRUE(validate_topic_name(std::string(249, 'x')));
  for (const char* bad : {"", ".", "..", "a b", "a/b", "\xc3\xa9"})
    EXPECT_EQ(validate_topic_name(bad).error().code, ErrorCode::kInvalidTopicName) << bad;
  EXPECT_FALSE(validate_topic_name(std::string(250, 'x')));
}

TEST(Names, GroupsAreAnyBoundedUtf8) {
  for (const std::string& good :
       {std::string("Büro/№1 \xf0\x9f\x98\x80"), std::string(255, 'g'), std::string(1, '\0'),
        std::string("\xc2\x80"), std::string("\xdf\xbf"), std::string("\xe0\xa0\x80"),
        std::string("\xed\x9f\xbf"), std::string("\xee\x80\x80"), std::string("\xef\xbf\xbf"),
        std::string("\xf0\x90\x80\x80"), std::string("\xf4\x8f\xbf\xbf")})
    EXPECT_TRUE(validate_group_name(good)) << escaped(good);
  for (const std::string& bad : {std::string(),
                                 std::string(256, 'g'),  // size
                                 std::string("\x80"),
                                 std::string("\xbf"),  // no lead
                                 std::string("\xc0\x80"),
                                 std::string("\xc1\xbf"),  // overlong
                                 std::string("\xe0\x9f\xbf"),
                                 std::string("\xf0\x8f\xbf\xbf"),  // overlong
                                 std::string("\xed\xa0\x80"),
                                 std::string("\xed\xbf\xbf"),  // surrogates
                                 std::string("\xf4\x90\x80\x80"),
                                 std::string("\xf5\x80\x80\x80"),  // > U+10FFFF
                                 std::string("\xff"),
                                 std::string("\xfe"),  // never
                                 std::string("\xc3"),
                                 std::string("\xe2\x82"),
                                 std::string("\xf0\x9f\x98"),  // cut off
                                 std::string("\xc3("),
                                 std::string("\xe2(\x82"),
                                 std::string("ok\xf0\x9f\x98")})
    EXPECT_EQ(validate_group_name(bad).error().code, ErrorCode::kInvalidGroupName) << escaped(bad);
}

TEST(Names, ErrorsQuoteTheNameSafely) {
  EXPECT_EQ(validate_topic_name("a\nb").error().detail,
            "'a\\x0ab' holds other characters than A-Z a-z 0-9 . _ -");
  EXPECT_LT(validate_topic_name(std::string(100'000, '\n')).error().detail.size(), 300u);
}

TEST(Names, EscapedIsSafeForALogLine) {
  EXPECT_EQ(escaped("plain Büro"), "plain Büro");
  EXPECT_EQ(escaped("a\nb'\xff\"\\"), "a\\x0ab\\x27\\xff\\x22\\x5c");
  EXPECT_EQ(escaped("\x7f"), "\\x7f");
  EXPECT_EQ(escaped("\xc2\x9b"), "\\xc2\\x9b");           // the terminal's 8-bit CSI
  EXPECT_EQ(escaped("\xe2\x80\xa8"), "\\xe2\\x80\\xa8");  // line separator
  EXPECT_EQ(escaped("\xe2\x80\xae"), "\\xe2\\x80\\xae");  // right-to-left override
  for (int c = 0; c < 256; ++c) {
    const std::string once = escaped(std::string(1, static_cast<char>(c)));
    EXPECT_TRUE(is_utf8(once)) << c;
    if (c < 32 || c > 126) {
      EXPECT_EQ(once.size(), 4u) << c;
    }
  }
}

TEST(Names, EscapedIsCutBetweenCharacters) {
  EXPECT_EQ(escaped("12345", 5), "12345");
  EXPECT_EQ(escaped("123456", 5), "12345...");
  EXPECT_EQ(escaped("12\n", 5), "12...");
  EXPECT_EQ(escaped("1234\xc3\xbc", 5), "1234...");
  EXPECT_EQ(escaped("x", 0), "...");
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
  std::size_t codes = 0;
#define LEAT_CODE(code, number, kafka, exit_status, retryable, text) ErrorCode::code,
  for (const ErrorCode code : {LEAT_ERRORS(LEAT_CODE)}) {
#undef LEAT_CODE
    const ErrorInfo& info = error_info(code);
    const std::string row = "| " + std::to_string(static_cast<int>(code)) + " | " +
                            std::string(info.name) + " | " + std::string(info.text) + " | " +
                            (info.retryable ? "yes" : "no") + " |";
    EXPECT_NE(text.str().find("\n" + row + "\n"), std::string::npos) << row;
    ++codes;
  }
  std::size_t rows = 0;  // behind the heading, so that no row is left of a code that is gone
  for (std::size_t at = text.str().find("## Errors"); at != std::string::npos;
       at = text.str().find("\n| ", at + 1))
    ++rows;
  EXPECT_EQ(rows, codes + 2);  // "## Errors" itself and the head of the table
}

}  // namespace
}  // namespace leat
