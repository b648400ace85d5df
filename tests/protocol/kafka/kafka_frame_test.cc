// Frames and headers of Kafka's protocol, and the tables around them.
#include <gmock/gmock.h>

#include "protocol/first_bytes.h"
#include "protocol/kafka/error_code.h"
#include "protocol/kafka/frame.h"

namespace leat::kafka {
namespace {

using namespace std::string_view_literals;
using ::testing::HasSubstr;

constexpr std::size_t kLimit = 1000;

std::string text_of(const std::vector<std::byte>& bytes) {
  return std::string(as_text(bytes));
}

TEST(KafkaFrame, IsFoundWhenItIsWhole) {
  const std::string_view stream = "\0\0\0\3abc\0\0\0\0\0\0\0\1d"sv;
  for (std::size_t n = 0; n < 7; ++n) {
    const auto frame = parse_frame(as_bytes(stream.substr(0, n)), kLimit);
    ASSERT_TRUE(frame);
    EXPECT_FALSE(*frame) << n;
  }
  std::string contents;
  for (Bytes rest = as_bytes(stream); !rest.empty();) {
    const auto frame = parse_frame(rest, kLimit);
    ASSERT_TRUE(frame && *frame);
    contents.append(as_text((*frame)->content)) += ',';
    rest = rest.subspan((*frame)->frame_bytes);
  }
  EXPECT_EQ(contents, "abc,,d,");
}

TEST(KafkaFrame, LengthsAreJudgedAtOnce) {
  EXPECT_TRUE(parse_frame(as_bytes("\0\0\x03\xe8"sv), kLimit));
  const auto large = parse_frame(as_bytes("\0\0\x03\xe9"sv), kLimit);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error(), ErrorCode::kFrameTooLarge);
  EXPECT_THAT(large.error().message(), HasSubstr("1001 bytes, the limit is 1000"));
  const auto negative = parse_frame(as_bytes("\xff\xff\xff\xfe"sv), kLimit);
  ASSERT_FALSE(negative);
  EXPECT_EQ(negative.error(), ErrorCode::kMalformedFrame);
  EXPECT_THAT(negative.error().message(), HasSubstr("-2 bytes"));
}

TEST(KafkaFrame, SaysWhatAStrangerSpeaks) {
  for (const auto& [received, name] :
       {std::pair{"GET / HTTP/1.1\r\n"sv, "an HTTP request"},
        std::pair{"PRI * HTTP/2.0\r\n"sv, "an HTTP request"},
        std::pair{"\x16\x03\x01\x02\0"sv, "a TLS handshake"},
        std::pair{"LEAT\0\0\0\0"sv, "a frame of Leat's native protocol"}}) {
    const auto frame = parse_frame(as_bytes(received), 100 << 20);
    ASSERT_FALSE(frame);
    EXPECT_EQ(frame.error(), ErrorCode::kMalformedFrame);
    EXPECT_THAT(frame.error().message(), HasSubstr(std::string("found ") + name));
    EXPECT_EQ(name_first_bytes(as_bytes(received)), name);
  }
  EXPECT_EQ(name_first_bytes(as_bytes("\0\0\0\x10\0\x12\0\0"sv)), "a Kafka request");
  EXPECT_EQ(name_first_bytes(as_bytes("\0\x01zz"sv)), "bytes 00 01 7a 7a");
}

TEST(KafkaFrame, RequestHeadersGoBothWays) {
  for (const std::int16_t version : {3, 4})  // of Heartbeat, 4 is flexible
    for (const auto client_id : {std::optional<std::string_view>(), std::optional("me"sv)}) {
      std::vector<std::byte> bytes(2);
      const auto frame = begin_request({ApiKey::kHeartbeat, version, 77, client_id}, bytes);
      bytes.push_back(std::byte{'b'});
      finish_frame(frame, bytes);
      const auto found = parse_frame(Bytes(bytes).subspan(2), kLimit);
      ASSERT_TRUE(found && *found);
      EXPECT_EQ((*found)->frame_bytes + 2, bytes.size());
      const auto request = parse_request((*found)->content);
      ASSERT_TRUE(request) << request.error().message();
      EXPECT_EQ(request->header.api, ApiKey::kHeartbeat);
      EXPECT_EQ(request->header.version, version);
      EXPECT_EQ(request->header.correlation_id, 77);
      EXPECT_EQ(request->header.client_id, client_id);
      EXPECT_EQ(as_text(request->body), "b");
    }
}

TEST(KafkaFrame, KnownRequestHeaders) {
  std::vector<std::byte> bytes;
  finish_frame(begin_request({ApiKey::kMetadata, 9, 5, "me"sv}, bytes), bytes, 3);
  EXPECT_EQ(text_of(bytes), "\0\0\0\x10\0\3\0\x09\0\0\0\5\0\2me\0"sv);
  // With tagged fields that nobody knows.
  const auto request = parse_request(as_bytes("\0\3\0\x09\0\0\0\5\xff\xff\1\7\2xybody"sv));
  ASSERT_TRUE(request);
  EXPECT_FALSE(request->header.client_id);
  EXPECT_EQ(as_text(request->body), "body");
  // What an ApiVersions request of a version to come is answered by.
  const auto future = parse_request(as_bytes("\0\x12\0\x63\0\0\0\5\0\0\0?"sv));
  ASSERT_TRUE(future);
  EXPECT_EQ(future->header.version, 99);
  EXPECT_EQ(future->header.correlation_id, 5);
}

TEST(KafkaFrame, BadRequestHeaders) {
  const std::string_view whole = "\0\3\0\x09\0\0\0\5\0\2me\1\7\2xy"sv;
  ASSERT_TRUE(parse_request(as_bytes(whole)));
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const auto cut = parse_request(as_bytes(whole.substr(0, n)));
    ASSERT_FALSE(cut) << n;
    EXPECT_EQ(cut.error(), ErrorCode::kMalformedFrame);
  }
  EXPECT_FALSE(parse_request(as_bytes("\0\3\0\1\0\0\0\5\xff\xfe"sv)));
  const auto unknown = parse_request(as_bytes("\0\x07\0\1\0\0\0\5\0\0"sv));
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error(), ErrorCode::kUnsupportedRequest);
  EXPECT_THAT(unknown.error().message(), HasSubstr("Kafka API 7 version 1"));
}

TEST(KafkaFrame, ResponseHeadersGoBothWays) {
  struct Case {
    ApiKey api;
    std::int16_t version;
    std::string_view header;
  };
  for (const Case& each :
       {Case{ApiKey::kMetadata, 8, "\0\0\0\5"sv}, Case{ApiKey::kMetadata, 9, "\0\0\0\5\0"sv},
        Case{ApiKey::kApiVersions, 4, "\0\0\0\5"sv},
        Case{ApiKey::kOffsetDelete, 0, "\0\0\0\5"sv}}) {
    std::vector<std::byte> bytes;
    const auto frame = begin_response(5, each.api, each.version, bytes);
    EXPECT_EQ(text_of(bytes).substr(kLengthBytes), each.header);
    bytes.push_back(std::byte{'b'});
    finish_frame(frame, bytes);
    const auto found = parse_frame(bytes, kLimit);
    ASSERT_TRUE(found && *found);
    const auto response = parse_response((*found)->content, each.api, each.version);
    ASSERT_TRUE(response) << response.error().message();
    EXPECT_EQ(response->correlation_id, 5);
    EXPECT_EQ(as_text(response->body), "b");
    EXPECT_FALSE(parse_response(as_bytes(each.header.substr(0, 3)), each.api, each.version));
  }
  EXPECT_FALSE(parse_response(as_bytes("\0\0\0\5"sv), ApiKey::kMetadata, 9));
}

TEST(KafkaTables, TellHeadersAndVersions) {
  EXPECT_EQ(api_info(ApiKey::kProduce).lowest, 0);
  EXPECT_EQ(api_info(ApiKey::kFetch).request_header_version(11), 1);
  EXPECT_EQ(api_info(ApiKey::kFetch).request_header_version(12), 2);
  EXPECT_EQ(api_info(ApiKey::kFetch).response_header_version(12), 1);
  EXPECT_EQ(api_info(ApiKey::kApiVersions).request_header_version(3), 2);
  EXPECT_EQ(api_info(ApiKey::kApiVersions).response_header_version(3), 0);
  EXPECT_EQ(api_info(ApiKey::kOffsetDelete).request_header_version(0), 1);
  EXPECT_EQ(find_api(17), nullptr);
  EXPECT_EQ(find_api(-1), nullptr);
}

TEST(KafkaTables, ErrorsHaveKafkasNumbers) {
  EXPECT_EQ(kafka_error(ErrorCode::kOk), KafkaError::kNone);
  EXPECT_EQ(kafka_error(ErrorCode::kUnknownTopic), KafkaError::kUnknownTopicOrPartition);
  EXPECT_EQ(kafka_error(ErrorCode::kUnsupportedVersion), KafkaError::kUnsupportedVersion);
  EXPECT_EQ(kafka_error(ErrorCode::kOutOfSequence), KafkaError::kOutOfOrderSequenceNumber);
  EXPECT_EQ(kafka_error(ErrorCode::kInternal), KafkaError::kUnknownServerError);
}

}  // namespace
}  // namespace leat::kafka
