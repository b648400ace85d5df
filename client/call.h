// One request and its reply, with patience: what a lost connection swallowed is asked again.
#pragma once

#include <functional>
#include <future>
#include <optional>

#include "client/link.h"

namespace leat {

// Makes the request, anew for each attempt; what it returns may borrow from the function itself.
using MakeRequest = std::function<native::Request()>;
// After a lost connection kAgain tries again until the timeout; kOnce, for what must not be carried
// out twice, fails with kDisconnected.
enum class Repeat : std::uint8_t { kAgain, kOnce };

// Any thread; on the link's own the request is sent before this returns, if the link is up. `done`
// is called exactly once, on the link's thread; kTimedOut, kClosed (the link is gone) and the
// broker's errors come there too.
void call(Link& link, MakeRequest make, std::chrono::milliseconds timeout, ReplyHandler done,
          Repeat repeat = Repeat::kAgain);

// A ReplyHandler that expects `Expected` and completes with what `take` makes of it.
template <class Expected, class T, class Take>
ReplyHandler expect(Completion<T> done, Take take) {
  return [done = std::move(done),
          take = std::move(take)](const Result<const native::Reply*>& reply) mutable {
    if (!reply) return done(fail(reply.error()));
    const auto* expected = std::get_if<Expected>(*reply);
    if (!expected)
      return done(fail(ErrorCode::kMalformedFrame, "the reply does not belong to the request"));
    if constexpr (std::is_void_v<T>)
      done(Result<>());
    else
      done(take(*expected));
  };
}
template <class Expected>
ReplyHandler expect(Completion<> done) {
  return expect<Expected>(std::move(done), 0);
}

// Starts what completes on the link's thread, and waits for it, with a patience where it has none
// of its own. Errors besides its own: kNotAllowed on the link's own thread, kTimedOut.
template <class T, class Start>
Result<T> wait_for(Link& link, Start start,
                   std::optional<std::chrono::milliseconds> patience = {}) {
  if (auto ok = link.check_process(); !ok) return fail(ok.error());
  if (link.on_own_thread())
    return fail(ErrorCode::kNotAllowed, "a handler cannot wait for what its own thread does");
  // Shared: who sets it may still be at it when who waits goes on.
  auto done = std::make_shared<std::promise<Result<T>>>();
  auto result = done->get_future();
  start(Completion<T>([done](Result<T> value) { done->set_value(std::move(value)); }));
  if (patience && result.wait_for(*patience) != std::future_status::ready)
    return fail(ErrorCode::kTimedOut, "no answer from the broker");
  return result.get();
}

}  // namespace leat
