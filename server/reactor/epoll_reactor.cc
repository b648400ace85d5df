#include "server/reactor/epoll_reactor.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace leat::reactor {
namespace {

// Small reads cap the rate of large frames; what large ones bring may have to be held back.
constexpr std::size_t kReceiveShare = 16, kMostReceiveBytes = 256 << 10;
constexpr int kEvents = 256;
// epoll tags: connections carry their id, the others have the top bit.
constexpr std::uint64_t kListenerTag = std::uint64_t{1} << 63;
constexpr std::uint64_t kWakeTag = kListenerTag | 0xffffffff;

}  // namespace

EpollReactor::EpollReactor(ReactorLimits limits, const Clock& clock)
    : SocketReactor(limits, clock),
      receive_bytes_(std::min(this->limits().receive_bytes / kReceiveShare, kMostReceiveBytes)),
      buffer_(
          std::make_unique_for_overwrite<std::uint64_t[]>(receive_bytes_ / sizeof(std::uint64_t))) {
}

Result<std::unique_ptr<EpollReactor>> EpollReactor::create(ReactorLimits limits,
                                                           const Clock& clock) {
  std::unique_ptr<EpollReactor> reactor(new EpollReactor(limits, clock));
  reactor->epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  if (reactor->epoll_ < 0 || reactor->event_ < 0)
    return fail(ErrorCode::kIoError, std::string("creating epoll: ") + std::strerror(errno));
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kWakeTag}};
  ::epoll_ctl(reactor->epoll_, EPOLL_CTL_ADD, reactor->event_, &event);
  return reactor;
}

EpollReactor::~EpollReactor() {
  if (epoll_ >= 0) ::close(epoll_);
}

void EpollReactor::watch_listener(std::size_t listener) {
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kListenerTag | listener}};
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, listeners_.fd(listener), &event);
}

void EpollReactor::watch(ConnectionId id, const Connection& connection, int operation) {
  const auto in = connection.reads() ? static_cast<std::uint32_t>(EPOLLIN) | EPOLLRDHUP : 0u;
  const auto out = connection.writing ? static_cast<std::uint32_t>(EPOLLOUT) : 0u;
  epoll_event event{.events = in | out, .data = {.u64 = id.value}};
  count_call();
  ::epoll_ctl(epoll_, operation, connection.fd, &event);
}

void EpollReactor::update_reading(ConnectionId id, Connection& connection) {
  watch(id, connection, EPOLL_CTL_MOD);
}

void EpollReactor::drop(ConnectionId id, Connection& connection) {
  // Unread input would turn the close into a reset and take the last reply with it.
  if (connection.closing) ::shutdown(connection.fd, SHUT_WR);
  ::close(connection.fd);
  erase(id, connection);
}

void EpollReactor::run(ReactorHandler& handler) {
  std::array<epoll_event, kEvents> events;
  handler_ = &handler;
  stopping_ = false;
  while (!stopping_) {
    count_call();
    const int n = ::epoll_wait(epoll_, events.data(), kEvents, wait_ms());
    for (int i = 0; i < n; ++i)
      dispatch(events[static_cast<std::size_t>(i)].data.u64,
               events[static_cast<std::size_t>(i)].events);
    after_events();
  }
  handler_ = nullptr;
}

int EpollReactor::wait_ms() const {
  const auto idle = idle_time();
  if (!idle) return -1;
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(*idle).count();
  return static_cast<int>(std::clamp<std::int64_t>(ms, 0, 60'000));
}

void EpollReactor::dispatch(std::uint64_t tag, std::uint32_t events) {
  if (tag == kWakeTag) {
    std::uint64_t count;
    count_call();
    [[maybe_unused]] const ssize_t n = ::read(event_, &count, sizeof count);
    return handler_->on_wake();
  }
  if (tag & kListenerTag) return accept(static_cast<std::size_t>(tag & ~kListenerTag));
  const ConnectionId id(tag);
  Connection* connection = find(id);
  if (connection && events & EPOLLOUT) flush(id, *connection);
  connection = find(id);
  if (!connection) return;
  if (events & (EPOLLIN | EPOLLRDHUP) && connection->reads()) return receive(id, *connection);
  if (events & (EPOLLERR | EPOLLHUP)) lost(id);
}

void EpollReactor::accept(std::size_t listener) {
  for (int i = 0; i < kEvents; ++i) {
    const int from = listeners_.fd(listener);
    if (from < 0) return;
    count_call();
    const int fd = ::accept4(from, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE)) return listeners_.shed();
    if (fd < 0) return;
    const auto id = admit(fd, listener);
    if (!id) continue;
    watch(*id, *find(*id), EPOLL_CTL_ADD);
    handler_->on_accept(*id, listener);
  }
}

void EpollReactor::receive(ConnectionId id, const Connection& connection) {
  const Landing landing = handler_->landing(id);
  const bool lands = !landing.place.empty();
  const MutableBytes to =
      lands ? landing.place
            : MutableBytes(reinterpret_cast<std::byte*>(buffer_.get()), receive_bytes_);
  count_call();
  const ssize_t n = ::recv(connection.fd, to.data(), to.size(), 0);
  const auto received = static_cast<std::size_t>(std::max<ssize_t>(n, 0));
  if (n > 0 && lands) return handler_->on_landed(id, received);
  if (n > 0) return handler_->on_receive(id, to.first(received));
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  lost(id);
}

void EpollReactor::flush(ConnectionId id, Connection& connection) {
  std::array<iovec, kMostPieces> pieces;
  bool progress = false, full = false;
  while (!connection.output.empty() && !full) {
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = connection.output.gather(pieces);
    count_call();
    const ssize_t n = ::sendmsg(connection.fd, &message, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) return lost(id);
    full = n < 0 && errno == EAGAIN;
    if (n <= 0) continue;
    connection.output.sent(static_cast<std::size_t>(n));
    progress = true;
  }
  if (connection.writing != full) {
    connection.writing = full;
    watch(id, connection, EPOLL_CTL_MOD);
  }
  written(id, connection, progress);
}

}  // namespace leat::reactor
