#include "client/connection_logic.h"

#include <utility>

namespace leat {
namespace {
// A broker's replies may be as large as its own limits allow; these are ours.
constexpr native::FrameLimits kReplyLimits{.envelope_bytes = 64 << 20, .payload_bytes = 64 << 20};
}  // namespace

void ConnectionLogic::sent(CorrelationId correlation, ReplyHandler handler,
                           MonotonicTime deadline) {
  deadlines_.insert({deadline, correlation});
  pending_.emplace(correlation, Pending{std::move(handler), deadline});
}

Result<> ConnectionLogic::received(Bytes bytes) {
  if (partial_.empty()) {
    auto used = process(bytes);
    if (!used) return fail(used.error());
    partial_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(*used), bytes.end());
    return {};
  }
  partial_.insert(partial_.end(), bytes.begin(), bytes.end());
  auto used = process(partial_);
  if (!used) return fail(used.error());
  partial_.erase(partial_.begin(), partial_.begin() + static_cast<std::ptrdiff_t>(*used));
  return {};
}

Result<std::size_t> ConnectionLogic::process(Bytes bytes) {
  std::size_t used = 0;
  for (;;) {
    auto frame = native::parse_frame(bytes.subspan(used), kReplyLimits);
    if (!frame) return fail(frame.error());
    if (!*frame) return used;
    if (auto ok = answer(**frame); !ok) return fail(ok.error());
    used += (*frame)->frame_bytes;
  }
}

Result<> ConnectionLogic::answer(const native::FrameView& frame) {
  auto reply = native::decode_reply(frame, aligned_);
  if (!reply) return fail(reply.error());
  const auto* error = std::get_if<native::ErrorReply>(&reply->message);
  const auto it = pending_.find(reply->correlation);
  if (it == pending_.end()) {
    const bool push = std::holds_alternative<native::Push>(reply->message) ||
                      std::holds_alternative<native::Delivery>(reply->message) ||
                      std::holds_alternative<native::PushEnd>(reply->message);
    if (push && reply->correlation == CorrelationId()) {
      if (push_) push_(reply->message);
      return {};
    }
    // Correlation 0: the broker gives up on the connection and says why.
    if (error) return fail(error->code, std::string(error->detail));
    return fail(ErrorCode::kMalformedFrame, "a reply to no request");
  }
  Pending pending = std::move(it->second);
  deadlines_.erase({pending.deadline, it->first});
  pending_.erase(it);
  if (error)
    pending.handler(fail(error->code, std::string(error->detail)));
  else
    pending.handler(&reply->message);
  return {};
}

void ConnectionLogic::disconnected(const Error& why) {
  partial_.clear();
  deadlines_.clear();
  // In the order of sending, which the correlation ids follow.
  std::map<CorrelationId, Pending> lost;
  for (auto& [correlation, pending] : std::exchange(pending_, {}))
    lost.emplace(correlation, std::move(pending));
  for (auto& [correlation, pending] : lost) pending.handler(fail(why));
}

std::optional<MonotonicTime> ConnectionLogic::next_deadline() const {
  if (deadlines_.empty()) return std::nullopt;
  return deadlines_.begin()->first;
}

bool ConnectionLogic::overdue(MonotonicTime now) const {
  return !deadlines_.empty() && deadlines_.begin()->first <= now;
}

}  // namespace leat
