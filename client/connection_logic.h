// One connection to a broker, without the connection: matches replies to requests, knows what is
// due, turns bytes into replies. No sockets, threads or clock (rule 11).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "client/completion.h"
#include "protocol/base/clock.h"
#include "protocol/native/codec.h"

namespace leat {

// Gets the reply, or why there is none: kDisconnected, kTimedOut, or the broker's own error. Called
// exactly once. The reply borrows; copy what must live on.
using ReplyHandler = OnceFunction<const Result<const native::Reply*>&>;
// Takes what comes unasked: Push, Delivery and PushEnd. Borrows as well.
using PushHandler = std::function<void(const native::Reply& push)>;

class ConnectionLogic {
 public:
  // Takes a request whose frame `encoded` was built with `correlation`.
  void sent(CorrelationId correlation, ReplyHandler handler, MonotonicTime deadline);
  // Feeds what arrived; calls the handlers of the replies in it. An error means the peer cannot be
  // understood: drop the connection.
  Result<> received(Bytes bytes);
  void on_push(PushHandler handler) { push_ = std::move(handler); }
  // The connection is gone: every handler hears `why`.
  void disconnected(const Error& why);

  std::optional<MonotonicTime> next_deadline() const;
  bool overdue(MonotonicTime now) const;

 private:
  struct Pending {
    ReplyHandler handler;
    MonotonicTime deadline;
  };
  Result<std::size_t> process(Bytes bytes);
  Result<> answer(const native::FrameView& frame);

  std::unordered_map<CorrelationId, Pending> pending_;
  std::set<std::pair<MonotonicTime, CorrelationId>> deadlines_;
  std::vector<std::byte> partial_;
  native::AlignedEnvelope aligned_;
  PushHandler push_;
};

}  // namespace leat
