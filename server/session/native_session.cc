#include "server/session/native_session.h"

#include "server/session/native_replies.h"
#include "server/session/native_requests.h"

namespace leat::session {
namespace {

constexpr std::byte kZeros[native::kFrameAlignment]{};

}  // namespace

NativeSession::NativeSession(ConnectionId id, broker::Broker& broker, SessionOutput& output,
                             ConnectionMemory& memory, const SessionOptions& options,
                             const Clock& clock)
    : FramedSession(id, broker, output, memory, options, clock) {
  update_deadline();
}

const native::FrameLimits& NativeSession::limits() const {
  return greeted_ ? options_.limits : native::kLimitsBeforeHello;
}

FramedSession::Taken NativeSession::take_frame(Bytes received) {
  auto frame = native::parse_frame(received, limits());
  if (!frame) {
    refuse(frame.error());
    return {};
  }
  if (!*frame) return {};
  if (!handle(**frame)) return {.held_back = true};
  return {.bytes = (*frame)->frame_bytes};
}

std::size_t NativeSession::begun_frame(Bytes received) const {
  const auto header = native::parse_frame_header(received, limits());
  return header && *header ? (*header)->frame_bytes() : 0;
}

bool NativeSession::blocked() const {
  return output_waits() || in_flight_ >= options_.requests_in_flight ||
         !broker_.accepts_records() ||
         output_.queued_bytes(id_) + replies_.size() >= options_.output_bytes;
}

// Requests of a connection are carried out in the order they were sent.
bool NativeSession::must_wait(const native::Request& request) const {
  if (const auto* produce = std::get_if<native::Produce>(&request))
    return !broker_.produces().takes(produce->topic, produce->partition, produce->batch);
  return broker_.produces().waits(id_) && !may_overtake_produces(request);
}

// False: not now.
bool NativeSession::handle(const native::FrameView& frame) {
  CorrelationId correlation;
  auto request = native::decode_request(frame, aligned_, correlation);
  if (!request && request.error() == ErrorCode::kUnsupportedRequest) {
    send_reply(correlation, native::ErrorReply{request.error().code, request.error().detail});
  } else if (!request) {
    refuse(request.error());
  } else if (const auto* greeting = std::get_if<native::Hello>(&request->message)) {
    hello(request->correlation, *greeting);
  } else if (!greeted_) {
    refuse({ErrorCode::kMalformedFrame, "the first message must be Hello"});
  } else if (std::holds_alternative<native::Ping>(request->message)) {
    send_reply(request->correlation, native::Pong{});
  } else if (must_wait(request->message)) {
    return false;
  } else {
    ++in_flight_;
    if (!carry_out(request->message, {id_, request->correlation}, broker_, received(), clock_))
      --in_flight_;
  }
  return true;
}

void NativeSession::hello(CorrelationId correlation, const native::Hello& hello) {
  if (hello.min_version > native::kProtocolVersion ||
      hello.max_version < native::kProtocolVersion) {
    const std::string detail = "the client speaks versions " + std::to_string(hello.min_version) +
                               " to " + std::to_string(hello.max_version) + ", this broker " +
                               std::to_string(native::kProtocolVersion);
    send_reply(correlation, native::ErrorReply{ErrorCode::kUnsupportedVersion, detail});
    return close();
  }
  greeted_ = true;
  send_reply(correlation,
             native::HelloReply{
                 .version = native::kProtocolVersion,
                 .server_name = options_.server_name,
                 .max_envelope_bytes = static_cast<std::uint32_t>(options_.limits.envelope_bytes),
                 .max_payload_bytes = static_cast<std::uint32_t>(options_.limits.payload_bytes),
                 .max_batch_bytes = static_cast<std::uint32_t>(broker_.options().batch_bytes)});
}

void NativeSession::on_reply(CorrelationId correlation, broker::Reply reply) {
  if (in_flight_ > 0) --in_flight_;
  if (auto* fetched = std::get_if<broker::Fetched>(&reply))
    if (auto& batches = fetched->partitions.front().batches; !batches.empty())
      return send_batches(correlation, to_native(reply), std::move(batches));
  send_reply(correlation, to_native(reply));
}

void NativeSession::on_subscription_ended(std::uint32_t subscription, const Error& why) {
  send_reply(CorrelationId(0), native::PushEnd{subscription, why.code, why.detail});
}

void NativeSession::send_reply(CorrelationId correlation, const native::Reply& reply) {
  native::encode(correlation, reply, replies_);
}

// The batches go out from where they lie: the tail cache, or what a cold read brought.
void NativeSession::send_batches(CorrelationId correlation, const native::Reply& head,
                                 std::vector<storage::StoredBatches> batches) {
  std::size_t bytes = 0;
  for (const auto& batch : batches) bytes += batch.bytes.size();
  native::encode_head(correlation, head, bytes, replies_);
  flush_replies();
  for (auto& batch : batches) output_.send(id_, std::move(batch.owner), batch.bytes);
  if (const std::size_t padding = native::payload_padding(bytes); padding > 0)
    output_.send(id_, nullptr, Bytes(kZeros, padding));
}

void NativeSession::flush_replies() {
  if (replies_.empty()) return;
  auto owner = std::make_shared<std::vector<std::byte>>(std::move(replies_));
  replies_ = {};
  const Bytes bytes(*owner);
  output_.send(id_, std::move(owner), bytes);
}

bool NativeSession::deliver() {
  auto next = broker_.deliveries().next(id_);
  if (!next) return false;
  native::Delivery head{.subscription = next->subscription,
                        .partition = {next->partition.topic, next->partition.partition},
                        .topic = next->topic,
                        .ranges = {},
                        .batches = {},
                        .number = next->number};
  head.ranges.reserve(next->ranges.size());
  for (const auto& [range, attempt] : next->ranges)
    head.ranges.push_back({range.first, range.last, attempt});
  send_batches(CorrelationId(0), head, std::move(next->batches));
  return true;
}

void NativeSession::push() {
  while (!closing_ && !output_waits() && output_.queued_bytes(id_) < options_.push_bytes) {
    const bool delivered = deliver();
    auto next = broker_.subscriptions().next_push(id_);
    if (!next && !delivered) return;
    if (!next) continue;
    send_batches(CorrelationId(0),
                 native::Push{.subscription = next->subscription,
                              .log_start = next->bounds.log_start,
                              .high_watermark = next->bounds.high_watermark,
                              .batches = {}},
                 std::move(next->batches));
  }
}

void NativeSession::flush() {
  flush_replies();
  push();
}

void NativeSession::refuse(const Error& error) {
  output_.complain(id_, error.message());
  send_reply(CorrelationId(0), native::ErrorReply{error.code, error.detail});
  close();
}

}  // namespace leat::session
