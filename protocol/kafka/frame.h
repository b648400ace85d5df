// Frames of Kafka's protocol: a length of 4 bytes, big-endian, a header and a message. How a frame
// is found in what arrives, and headers are read and written.
//
//   request header    api key i16, api version i16, correlation id i32, client id (a nullable
//   string
//                     whose length has 2 bytes in every version); in 2: tagged fields. Version 0,
//                     without a client id, was for messages between brokers.
//   response header   correlation id i32; in 1: tagged fields
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/kafka/api_table.h"
#include "protocol/kafka/codec.h"

namespace leat::kafka {

inline constexpr std::size_t kLengthBytes = 4;

// One frame in a receive buffer: `content` is header and message, a view into it.
struct FrameView {
  Bytes content;
  std::size_t frame_bytes = 0;  // content and its length
};

// The first frame of `received`, or nullopt while it is incomplete. Its length is judged as soon as
// it is there. Errors: kMalformedFrame for a negative length, and for what is plainly not Kafka
// (says what it looks like: HTTP, TLS …); kFrameTooLarge for a content above `limit_bytes`.
Result<std::optional<FrameView>> parse_frame(Bytes received, std::size_t limit_bytes);

struct RequestHeader {
  ApiKey api = ApiKey::kApiVersions;
  std::int16_t version = 0;
  std::int32_t correlation_id = 0;
  std::optional<std::string_view> client_id;
};

struct Request {
  RequestHeader header;
  Bytes body;  // for decode<>, unless `header.version` is one the table does not support
};

// Takes a frame's content apart; views into it. Versions are not judged: of one that is not
// supported the header can be read all the same, and ApiVersions answers it. Errors:
// kUnsupportedRequest for an API that is not in the table, kMalformedFrame.
Result<Request> parse_request(Bytes content);

struct Response {
  std::int32_t correlation_id = 0;
  Bytes body;
};

// The same for the response to a request of this API and version, which only the one who asked
// knows. Errors: kMalformedFrame.
Result<Response> parse_response(Bytes content, ApiKey api, std::int16_t version);

// Frames are appended in three steps, so that any message fits between:
//   begin_…, encode, finish_frame; after an error in between, cut `to` back to `Frame::start`.
struct OpenFrame {
  std::size_t start;  // where in the buffer its length is
};
OpenFrame begin_request(const RequestHeader& header, std::vector<std::byte>& to);
OpenFrame begin_response(std::int32_t correlation_id, ApiKey api, std::int16_t version,
                         std::vector<std::byte>& to);
// Writes the length, of `borrowed_bytes` more than what is in the buffer.
void finish_frame(OpenFrame frame, std::vector<std::byte>& to, std::size_t borrowed_bytes = 0);

}  // namespace leat::kafka
