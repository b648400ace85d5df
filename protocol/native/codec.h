// Native messages <-> frames. Every envelope is verified, with tight depth and table limits, before
// a field is read; one that lies off its 8-byte boundary is copied first (rule 12).
#pragma once

#include <vector>

#include "protocol/base/result.h"
#include "protocol/native/frame.h"
#include "protocol/native/messages.h"

namespace leat::native {

// Most entries in a list that a message may carry; decoding refuses more, so whoever fills a list
// bounds it.
inline constexpr std::size_t kMaxListEntries = 10'000;

template <class Message>
struct Decoded {
  CorrelationId correlation;
  Message message;
};

// Envelope copied only where it was misaligned; it must outlive the decoded message, as must the
// frame. One per connection, reused.
struct AlignedEnvelope {
  std::vector<std::uint64_t> storage;
};

// Errors: kMalformedFrame (not a valid envelope, or a payload where none belongs),
// kUnsupportedRequest (a message this version does not know). `correlation_out` is the envelope's
// correlation id whenever the envelope itself is sound, so that an error can be answered, else 0.
Result<Decoded<Request>> decode_request(const FrameView& frame, AlignedEnvelope& aligned,
                                        CorrelationId& correlation_out);
Result<Decoded<Reply>> decode_reply(const FrameView& frame, AlignedEnvelope& aligned);

// Appends the whole frame (payload copied in) to `out`.
void encode(CorrelationId correlation, const Request& request, std::vector<std::byte>& out);
void encode(CorrelationId correlation, const Reply& reply, std::vector<std::byte>& out);

// Appends header and envelope (padded) of a frame whose payload of `payload_bytes` the caller sends
// behind it, followed by payload_padding(payload_bytes) zeros: for gathering writes without a copy.
// `Produce::batch` and `FetchReply::batches` are ignored.
void encode_head(CorrelationId correlation, const Request& request, std::size_t payload_bytes,
                 std::vector<std::byte>& out);
void encode_head(CorrelationId correlation, const Reply& reply, std::size_t payload_bytes,
                 std::vector<std::byte>& out);
constexpr std::size_t payload_padding(std::size_t payload_bytes) {
  return round_up(payload_bytes, kFrameAlignment) - payload_bytes;
}

}  // namespace leat::native
