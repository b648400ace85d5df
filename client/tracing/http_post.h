// One request to a collector, over a connection of its own.
#pragma once

#include <functional>
#include <string_view>

#include "client/tracing/endpoint.h"
#include "protocol/base/clock.h"

namespace leat {

// Sends JSON; gives the status of the answer, of which nothing else is read. Waits no longer than
// `deadline` says, which is asked again when `interrupt` (an eventfd) becomes readable. A name's
// look-up is the system's, and takes as long as that has patience.
// Errors: kUnreachable, kTimedOut, kDisconnected, kMalformedFrame (an answer that is not HTTP).
Result<int> http_post(const TraceEndpoint& to, std::string_view json,
                      const std::function<MonotonicTime()>& deadline, int interrupt);

}  // namespace leat
