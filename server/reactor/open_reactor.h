// Which reactor runs: picked once, at start.
#pragma once

#include <string>
#include <string_view>

#include "server/reactor/reactor.h"

namespace leat::reactor {

enum class ReactorKind { kAuto, kUring, kEpoll };

// "auto", "uring" or "epoll". Error: kUsage.
Result<ReactorKind> parse_reactor_kind(std::string_view text);

struct OpenedReactor {
  std::unique_ptr<Reactor> reactor;
  std::string fallback;  // why auto did not take io_uring; empty if it did, or was not asked
};

// Auto takes io_uring where all it needs is there, else epoll: containers often forbid io_uring.
// Errors: kUnsupportedRequest when io_uring was asked for by name and cannot be had; kIoError.
Result<OpenedReactor> open_reactor(ReactorKind kind, ReactorLimits limits, const Clock& clock);

}  // namespace leat::reactor
