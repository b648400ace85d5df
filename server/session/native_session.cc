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
    : id_(id), broker_(broker), output_(output), memory_(memory), options_(options), clock_(clock) {
  update_deadline();
}

void NativeSession::on_receive(Bytes bytes) {
  if (closing_) return;
  if (received_.empty()) {
    const std::size_t used = process(bytes);
    received_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(used), bytes.end());
  } else {
    received_.insert(received_.end(), bytes.begin(), bytes.end());
    proceed();
  }
  account();
  update_deadline();
}

void NativeSession::proceed() {
  if (closing_ || blocked()) return;
  const std::size_t used = process(received_);
  received_.erase(received_.begin(), received_.begin() + static_cast<std::ptrdiff_t>(used));
  if (used > 0) received_.shrink_to_fit();
  account();
  if (paused_ && !held_back_ && !closing_) {
    paused_ = false;
    output_.resume(id_);
  }
  update_deadline();
}

// Handles whole frames from the front; returns how many bytes they had. Stops, and stops reading
// from the peer, where the broker or the peer's own appetite for replies demands it.
std::size_t NativeSession::process(Bytes bytes) {
  std::size_t used = 0;
  held_back_ = false;
  while (!closing_ && used < bytes.size()) {
    if (blocked()) {
      hold_back();
      break;
    }
    auto frame = native::parse_frame(bytes.subspan(used),
                                     greeted_ ? options_.limits : native::kLimitsBeforeHello);
    if (!frame) {
      refuse(frame.error());
      break;
    }
    if (!*frame) break;
    if (!handle(**frame)) {
      hold_back();
      break;
    }
    used += (*frame)->frame_bytes;
  }
  return closing_ ? bytes.size() : used;
}

void NativeSession::hold_back() {
  held_back_ = true;
  if (!paused_) output_.pause(id_);
  paused_ = true;
}

// The size of the frame that received_ holds a part of; 0: none, or not known yet.
std::size_t NativeSession::begun_frame() const {
  const auto header = native::parse_frame_header(
      received_, greeted_ ? options_.limits : native::kLimitsBeforeHello);
  if (!header || !*header || (*header)->frame_bytes() <= received_.size()) return 0;
  return (*header)->frame_bytes();
}

// Has what lies in received_ counted, and room for the rest of a frame before it is read.
void NativeSession::account() {
  if (closing_) received_ = {};
  const std::size_t frame = begun_frame();
  if (reserved_ > 0 && frame == reserved_) return;
  memory_.give_back(std::exchange(held_, 0), std::exchange(reserved_, 0));
  if (frame > 0 && memory_.reserve(frame)) {
    reserved_ = frame;
    return received_.reserve(frame);
  }
  if (!memory_.hold(received_.size())) {
    received_ = {};
    return refuse({ErrorCode::kLimitReached,
                   "the memory for requests is in use (memory); try again later, or raise it"});
  }
  held_ = received_.size();
  if (frame > 0) hold_back();
}

// While connections together hold much, one gets nothing more before it took what waits for it.
bool NativeSession::output_waits() const {
  return memory_.is_full() && output_.queued_bytes(id_) > 0;
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
    if (!carry_out(request->message, {id_, request->correlation}, broker_, clock_)) --in_flight_;
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
    closing_ = true;
    flush();
    return output_.close_when_drained(id_);
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
  if (auto* fetched = std::get_if<broker::Fetched>(&reply); fetched && !fetched->batches.empty())
    return send_batches(correlation, to_native(reply), std::move(fetched->batches));
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
  closing_ = true;
  flush();
  output_.close_when_drained(id_);
}

void NativeSession::update_deadline() {
  const bool waits = !closing_ && (!greeted_ || (!received_.empty() && !held_back_));
  if (!waits)
    deadline_.reset();
  else if (!deadline_)
    deadline_ = clock_.now() + options_.frame_deadline;
}

void NativeSession::on_deadline() {
  refuse({ErrorCode::kTimedOut,
          greeted_ ? "a frame was begun and not completed in time" : "no Hello arrived in time"});
  deadline_.reset();
}

}  // namespace leat::session
