#include "server/reactor/epoll_reactor.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "server/reactor/sockets.h"

namespace leat::reactor {
namespace {

constexpr std::size_t kReceiveBytes = 256 << 10;  // small reads cap the rate of large frames
constexpr std::size_t kGather = 64;
constexpr int kEvents = 256;
// epoll tags: connections carry their id, the others have the top bit.
constexpr std::uint64_t kListenerTag = std::uint64_t{1} << 63;
constexpr std::uint64_t kWakeTag = kListenerTag | 0xffffffff;

}  // namespace

Result<std::unique_ptr<EpollReactor>> EpollReactor::create(ReactorLimits limits,
                                                           const Clock& clock) {
  std::unique_ptr<EpollReactor> reactor(new EpollReactor(limits, clock));
  reactor->epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  reactor->event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  reactor->spare_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (reactor->epoll_ < 0 || reactor->event_ < 0 || reactor->spare_ < 0)
    return fail(ErrorCode::kIoError, std::string("creating epoll: ") + std::strerror(errno));
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kWakeTag}};
  ::epoll_ctl(reactor->epoll_, EPOLL_CTL_ADD, reactor->event_, &event);
  reactor->buffer_ =
      std::make_unique_for_overwrite<std::uint64_t[]>(kReceiveBytes / sizeof(std::uint64_t));
  return reactor;
}

EpollReactor::~EpollReactor() {
  for (auto& [id, connection] : connections_) ::close(connection.fd);
  stop_listening();
  for (const int fd : {epoll_, event_, spare_})
    if (fd >= 0) ::close(fd);
}

Result<Address> EpollReactor::listen(const Address& address) {
  Address bound = address;
  auto fd = open_listener(address, bound);
  if (!fd) return fail(fd.error());
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kListenerTag | listeners_.size()}};
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, *fd, &event);
  listeners_.push_back({*fd, address.unix_path});
  return bound;
}

void EpollReactor::stop_listening() {
  for (Listener& listener : listeners_) {
    if (listener.fd < 0) continue;
    ::close(listener.fd);
    listener.fd = -1;
    if (!listener.unix_path.empty()) ::unlink(listener.unix_path.c_str());
  }
}

EpollReactor::Connection* EpollReactor::find(ConnectionId id) {
  const auto it = connections_.find(id);
  return it == connections_.end() ? nullptr : &it->second;
}

void EpollReactor::watch(ConnectionId id, Connection& connection, int operation) {
  const bool reads = !connection.paused && !connection.closing;
  const auto in = reads ? static_cast<std::uint32_t>(EPOLLIN) | EPOLLRDHUP : 0u;
  const auto out = connection.writing ? static_cast<std::uint32_t>(EPOLLOUT) : 0u;
  epoll_event event{.events = in | out, .data = {.u64 = id.value}};
  ::epoll_ctl(epoll_, operation, connection.fd, &event);
}

void EpollReactor::send(ConnectionId id, Slice slice) {
  Connection* connection = find(id);
  if (!connection || connection->closing || slice.bytes.empty()) return;
  if (connection->queued == 0) {
    connection->progress = clock_.now();
    ++with_output_;
  }
  connection->queued += slice.bytes.size();
  connection->output.push_back(std::move(slice));
  if (!connection->dirty) dirty_.push_back(id);
  connection->dirty = true;
}

std::size_t EpollReactor::queued_bytes(ConnectionId id) const {
  const auto it = connections_.find(id);
  return it == connections_.end() ? 0 : it->second.queued;
}

void EpollReactor::pause(ConnectionId id) {
  Connection* connection = find(id);
  if (!connection || connection->paused) return;
  connection->paused = true;
  watch(id, *connection, EPOLL_CTL_MOD);
}

void EpollReactor::resume(ConnectionId id) {
  Connection* connection = find(id);
  if (!connection || !connection->paused) return;
  connection->paused = false;
  watch(id, *connection, EPOLL_CTL_MOD);
}

void EpollReactor::close(ConnectionId id) {
  drop(id);
}

void EpollReactor::close_when_drained(ConnectionId id) {
  Connection* connection = find(id);
  if (!connection) return;
  if (connection->queued == 0) return drop(id);
  connection->closing = true;
  watch(id, *connection, EPOLL_CTL_MOD);
}

void EpollReactor::drop(ConnectionId id) {
  Connection* connection = find(id);
  if (!connection) return;
  if (connection->queued > 0) --with_output_;
  // Unread input would turn the close into a reset and take the last reply with it.
  if (connection->closing) ::shutdown(connection->fd, SHUT_WR);
  ::close(connection->fd);
  connections_.erase(id);
}

void EpollReactor::lost(ConnectionId id, ReactorHandler& handler) {
  const Connection* connection = find(id);
  if (!connection) return;
  const bool told = !connection->closing;
  drop(id);
  if (told) handler.on_closed(id);
}

void EpollReactor::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(event_, &one, sizeof one);
}

void EpollReactor::run(ReactorHandler& handler) {
  std::array<epoll_event, kEvents> events;
  stopping_ = false;
  while (!stopping_) {
    const int n = ::epoll_wait(epoll_, events.data(), kEvents, wait_ms());
    for (int i = 0; i < n; ++i)
      dispatch(events[static_cast<std::size_t>(i)].data.u64,
               events[static_cast<std::size_t>(i)].events, handler);
    if (timer_ && *timer_ <= clock_.now()) {
      timer_.reset();
      handler.on_timer();
    }
    flush_dirty(handler);
    if (with_output_ > 0) check_deadlines(handler);
  }
}

void EpollReactor::dispatch(std::uint64_t tag, std::uint32_t events, ReactorHandler& handler) {
  if (tag == kWakeTag) {
    std::uint64_t count;
    [[maybe_unused]] const ssize_t n = ::read(event_, &count, sizeof count);
    return handler.on_wake();
  }
  if (tag & kListenerTag) return accept(static_cast<std::size_t>(tag & ~kListenerTag), handler);
  const ConnectionId id(tag);
  if (events & EPOLLOUT) flush(id, handler);
  const Connection* connection = find(id);
  if (!connection) return;
  if (events & (EPOLLIN | EPOLLRDHUP) && !connection->paused && !connection->closing)
    return receive(id, handler);
  if (events & (EPOLLERR | EPOLLHUP)) lost(id, handler);
}

void EpollReactor::accept(std::size_t listener, ReactorHandler& handler) {
  for (int i = 0; i < kEvents; ++i) {
    if (listeners_[listener].fd < 0) return;
    const int fd =
        ::accept4(listeners_[listener].fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE)) return shed();
    if (fd < 0) return;
    if (connections_.size() >= limits_.connections) {
      ::close(fd);
      continue;
    }
    prepare_connection(fd);
    const ConnectionId id(next_id_++);
    Connection& connection = connections_[id];
    connection.fd = fd;
    watch(id, connection, EPOLL_CTL_ADD);
    handler.on_accept(id, listener);
  }
}

// Out of descriptors: without this the waiting connection would make epoll return for ever.
void EpollReactor::shed() {
  ::close(spare_);
  for (const Listener& listener : listeners_) {
    const int fd = listener.fd < 0 ? -1 : ::accept4(listener.fd, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) ::close(fd);
  }
  spare_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void EpollReactor::receive(ConnectionId id, ReactorHandler& handler) {
  const Connection* connection = find(id);
  auto* buffer = reinterpret_cast<std::byte*>(buffer_.get());
  const ssize_t n = ::recv(connection->fd, buffer, kReceiveBytes, 0);
  if (n > 0) return handler.on_receive(id, Bytes(buffer, static_cast<std::size_t>(n)));
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  lost(id, handler);
}

void EpollReactor::flush_dirty(ReactorHandler& handler) {
  // A handler that is told of a drained connection may send again: that leaves in the next round.
  std::vector<ConnectionId> dirty;
  while (!dirty_.empty()) {
    dirty.swap(dirty_);
    for (const ConnectionId id : dirty) {
      Connection* connection = find(id);
      if (!connection) continue;
      connection->dirty = false;
      if (!connection->writing) flush(id, handler);
    }
    dirty.clear();
  }
}

void EpollReactor::flush(ConnectionId id, ReactorHandler& handler) {
  Connection* connection = find(id);
  if (!connection || connection->queued == 0) return;
  while (connection->queued > 0) {
    std::array<iovec, kGather> pieces;
    const std::size_t count = std::min(kGather, connection->output.size());
    for (std::size_t i = 0; i < count; ++i) {
      const Bytes bytes = connection->output[i].bytes.subspan(i == 0 ? connection->first_sent : 0);
      pieces[i] = {const_cast<std::byte*>(bytes.data()), bytes.size()};
    }
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = count;
    const ssize_t n = ::sendmsg(connection->fd, &message, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN) return lost(id, handler);
    if (n < 0) break;
    connection->progress = clock_.now();
    connection->queued -= static_cast<std::size_t>(n);
    std::size_t sent = connection->first_sent + static_cast<std::size_t>(n);
    while (!connection->output.empty() && sent >= connection->output.front().bytes.size()) {
      sent -= connection->output.front().bytes.size();
      connection->output.pop_front();
    }
    connection->first_sent = sent;
  }
  const bool more = connection->queued > 0;
  if (!more) --with_output_;
  if (!more && connection->closing) return drop(id);
  if (more != connection->writing) {
    connection->writing = more;
    watch(id, *connection, EPOLL_CTL_MOD);
  }
  if (!more) handler.on_drained(id);
}

int EpollReactor::wait_ms() const {
  if (!dirty_.empty()) return 0;
  std::optional<MonotonicTime> until = timer_;
  if (with_output_ > 0)
    for (const auto& [id, connection] : connections_)
      if (connection.queued > 0) {
        const MonotonicTime deadline = connection.progress + limits_.write_deadline;
        until = until ? std::min(*until, deadline) : deadline;
      }
  if (!until) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - clock_.now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

void EpollReactor::check_deadlines(ReactorHandler& handler) {
  std::vector<ConnectionId> stuck;
  const MonotonicTime now = clock_.now();
  for (const auto& [id, connection] : connections_)
    if (connection.queued > 0 && connection.progress + limits_.write_deadline <= now)
      stuck.push_back(id);
  for (const ConnectionId id : stuck) lost(id, handler);
}

}  // namespace leat::reactor
