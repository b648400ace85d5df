#include "server/reactor/open_reactor.h"

#include "server/reactor/epoll_reactor.h"
#include "server/reactor/uring_reactor.h"

namespace leat::reactor {

Result<ReactorKind> parse_reactor_kind(std::string_view text) {
  if (text == "auto") return ReactorKind::kAuto;
  if (text == "uring") return ReactorKind::kUring;
  if (text == "epoll") return ReactorKind::kEpoll;
  return fail(ErrorCode::kUsage,
              "'" + std::string(text) + "' is no reactor; say auto, uring or epoll");
}

Result<OpenedReactor> open_reactor(ReactorKind kind, ReactorLimits limits, const Clock& clock) {
  std::string fallback;
  if (kind != ReactorKind::kEpoll) {
    auto uring = UringReactor::create(limits, clock);
    if (uring) return OpenedReactor{std::move(*uring), {}};
    if (kind == ReactorKind::kUring)
      return fail(uring.error().code,
                  uring.error().detail + "; allow it, or say --reactor epoll or --reactor auto");
    fallback = uring.error().detail;
  }
  auto epoll = EpollReactor::create(limits, clock);
  if (!epoll) return fail(epoll.error());
  return OpenedReactor{std::move(*epoll), std::move(fallback)};
}

}  // namespace leat::reactor
