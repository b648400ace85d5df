#include "protocol/kafka/frame.h"

#include <limits>
#include <string>

#include "protocol/base/assert.h"
#include "protocol/first_bytes.h"
#include "protocol/kafka/decoder.h"
#include "protocol/kafka/encoder.h"

namespace leat::kafka {
namespace {

// A length beyond any limit is most likely no length at all.
Error bad_length(Bytes received, std::int32_t length, std::size_t limit_bytes) {
  const std::string_view found = known_first_bytes(received);
  if (!found.empty() && found != "a Kafka request")
    return {ErrorCode::kMalformedFrame, "expected a Kafka request, found " + std::string(found)};
  if (length < 0)
    return {ErrorCode::kMalformedFrame, "a frame of " + std::to_string(length) + " bytes"};
  return {ErrorCode::kFrameTooLarge, "a frame of " + std::to_string(length) +
                                         " bytes, the limit is " + std::to_string(limit_bytes)};
}

// What is common to both headers' ends: a section of tagged fields, then the message.
Result<Bytes> body_behind(Bytes content, std::size_t at, bool has_tags) {
  Bytes rest = content.subspan(at);
  if (!has_tags) return rest;
  Decoder decoder(rest, 0, true, 0);
  decoder.skip_tags();
  if (decoder.failed()) return fail(ErrorCode::kMalformedFrame, "a header is cut off");
  return rest.last(decoder.remaining());
}

template <class T>
void put(std::vector<std::byte>& to, T value) {
  std::byte bytes[sizeof(T)];
  store_be(bytes, value);
  to.insert(to.end(), bytes, bytes + sizeof bytes);
}

OpenFrame begin_frame(std::vector<std::byte>& to) {
  const OpenFrame frame{to.size()};
  to.resize(to.size() + kLengthBytes);
  return frame;
}

constexpr std::byte kNoTags{0};

}  // namespace

Result<std::optional<FrameView>> parse_frame(Bytes received, std::size_t limit_bytes) {
  if (received.size() < kLengthBytes) return std::nullopt;
  const auto length = load_be<std::int32_t>(received.data());
  if (length < 0 || static_cast<std::size_t>(length) > limit_bytes)
    return fail(bad_length(received, length, limit_bytes));
  const auto n = static_cast<std::size_t>(length);
  if (received.size() - kLengthBytes < n) return std::nullopt;
  return FrameView{.content = received.subspan(kLengthBytes, n), .frame_bytes = kLengthBytes + n};
}

Result<Request> parse_request(Bytes content) {
  ByteReader in(content);
  const auto key = in.be<std::int16_t>();
  Request request;
  request.header.version = in.be<std::int16_t>();
  request.header.correlation_id = in.be<std::int32_t>();
  if (in.failed()) return fail(ErrorCode::kMalformedFrame, "a header is cut off");
  const ApiInfo* const api = find_api(key);
  if (api == nullptr)
    return fail(ErrorCode::kUnsupportedRequest, "Kafka API " + std::to_string(key) + " version " +
                                                    std::to_string(request.header.version));
  request.header.api = api->key;
  const auto n = in.be<std::int16_t>();
  if (n < -1) return fail(ErrorCode::kMalformedFrame, "a client id of negative length");
  if (n >= 0) request.header.client_id = in.text(static_cast<std::size_t>(n));
  if (in.failed()) return fail(ErrorCode::kMalformedFrame, "a header is cut off");
  auto body = body_behind(content, content.size() - in.remaining(),
                          api->request_header_version(request.header.version) == 2);
  if (!body) return fail(body.error());
  request.body = *body;
  return request;
}

Result<Response> parse_response(Bytes content, ApiKey api, std::int16_t version) {
  ByteReader in(content);
  Response response{.correlation_id = in.be<std::int32_t>(), .body = {}};
  if (in.failed()) return fail(ErrorCode::kMalformedFrame, "a header is cut off");
  auto body = body_behind(content, content.size() - in.remaining(),
                          api_info(api).response_header_version(version) == 1);
  if (!body) return fail(body.error());
  response.body = *body;
  return response;
}

OpenFrame begin_request(const RequestHeader& header, std::vector<std::byte>& to) {
  const OpenFrame frame = begin_frame(to);
  put(to, static_cast<std::int16_t>(header.api));
  put(to, header.version);
  put(to, header.correlation_id);
  const std::string_view client_id =
      header.client_id.value_or("").substr(0, std::numeric_limits<std::int16_t>::max());
  put(to, header.client_id ? static_cast<std::int16_t>(client_id.size()) : std::int16_t{-1});
  to.insert(to.end(), as_bytes(client_id).begin(), as_bytes(client_id).end());
  if (api_info(header.api).request_header_version(header.version) == 2) to.push_back(kNoTags);
  return frame;
}

OpenFrame begin_response(std::int32_t correlation_id, ApiKey api, std::int16_t version,
                         std::vector<std::byte>& to) {
  const OpenFrame frame = begin_frame(to);
  put(to, correlation_id);
  if (api_info(api).response_header_version(version) == 1) to.push_back(kNoTags);
  return frame;
}

void finish_frame(OpenFrame frame, std::vector<std::byte>& to, std::size_t borrowed_bytes) {
  const std::size_t length = to.size() - frame.start - kLengthBytes + borrowed_bytes;
  LEAT_ASSERT(length <= static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()));
  store_be(to.data() + frame.start, static_cast<std::int32_t>(length));
}

}  // namespace leat::kafka
