#include "server/reactor/socket_reactor.h"

#include <algorithm>

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/reactor/sockets.h"

namespace leat::reactor {

SocketReactor::SocketReactor(ReactorLimits limits, const Clock& clock)
    : clock_(clock),
      deadlines_(limits.write_deadline),
      event_(::eventfd(0, EFD_CLOEXEC)),
      limits_(std::move(limits)) {}

SocketReactor::~SocketReactor() {
  for (auto& [id, connection] : connections_) ::close(connection->fd);
  if (event_ >= 0) ::close(event_);
}

Result<Address> SocketReactor::listen(const Address& address, std::vector<std::byte> refusal) {
  auto bound = listeners_.open(address);
  if (!bound) return bound;
  refusals_.push_back(std::move(refusal));
  watch_listener(listeners_.size() - 1);
  return bound;
}

SocketReactor::Connection* SocketReactor::find(ConnectionId id) {
  const auto it = connections_.find(id);
  return it == connections_.end() ? nullptr : it->second.get();
}

std::optional<ConnectionId> SocketReactor::admit(int fd, std::size_t listener) {
  if (connections_.size() >= limits_.connections) {
    refused_.refuse(fd, refusals_[listener], clock_.now());
    handler_->on_refused(listener);
    return std::nullopt;
  }
  prepare_connection(fd);
  const ConnectionId id(next_id_++);
  auto connection = make_connection();
  connection->fd = fd;
  connections_.emplace(id, std::move(connection));
  return id;
}

void SocketReactor::erase(ConnectionId id, Connection& connection) {
  deadlines_.done(connection.waiting);
  connections_.erase(id);
}

void SocketReactor::send(ConnectionId id, Slice slice) {
  Connection* connection = find(id);
  if (!connection || connection->closing || slice.bytes.empty()) return;
  connection->output.push(std::move(slice));
  mark_dirty(id, *connection);
}

void SocketReactor::mark_dirty(ConnectionId id, Connection& connection) {
  if (!connection.dirty) dirty_.push_back(id);
  connection.dirty = true;
}

std::size_t SocketReactor::queued_bytes(ConnectionId id) const {
  const auto it = connections_.find(id);
  return it == connections_.end() ? 0 : it->second->output.bytes();
}

std::string SocketReactor::peer(ConnectionId id) const {
  const auto it = connections_.find(id);
  return it == connections_.end() ? std::string() : peer_of(it->second->fd);
}

void SocketReactor::pause(ConnectionId id) {
  Connection* connection = find(id);
  if (!connection || connection->paused) return;
  connection->paused = true;
  update_reading(id, *connection);
}

void SocketReactor::resume(ConnectionId id) {
  Connection* connection = find(id);
  if (!connection || !connection->paused) return;
  connection->paused = false;
  update_reading(id, *connection);
}

void SocketReactor::close(ConnectionId id) {
  if (Connection* connection = find(id)) drop(id, *connection);
}

void SocketReactor::close_when_drained(ConnectionId id) {
  Connection* connection = find(id);
  if (!connection) return;
  if (connection->output.empty()) return drop(id, *connection);
  connection->closing = true;
  update_reading(id, *connection);
}

void SocketReactor::lost(ConnectionId id) {
  Connection* connection = find(id);
  if (!connection) return;
  const bool told = !connection->closing;
  drop(id, *connection);
  if (told) handler_->on_closed(id);
}

void SocketReactor::written(ConnectionId id, Connection& connection, bool progress) {
  if (!connection.output.empty()) {
    if (progress || !connection.waiting) deadlines_.waits(connection.waiting, id, clock_.now());
    return;
  }
  deadlines_.done(connection.waiting);
  if (connection.closing) return drop(id, connection);
  handler_->on_drained(id);
}

void SocketReactor::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(event_, &one, sizeof one);
}

void SocketReactor::after_events() {
  if (timer_ && *timer_ <= clock_.now()) {
    timer_.reset();
    handler_->on_timer();
  }
  flush_dirty();
  lose_stuck();
  if (refused_.next()) refused_.close_due(clock_.now());
}

void SocketReactor::flush_dirty() {
  // A handler that is told of a drained connection may send again: that leaves in the next round.
  std::vector<ConnectionId> dirty;
  if (!dirty_.empty()) flush_time_ = clock_.now();
  while (!dirty_.empty()) {
    dirty.swap(dirty_);
    for (const ConnectionId id : dirty) {
      Connection* connection = find(id);
      if (!connection) continue;
      connection->dirty = false;
      if (!connection->writing && !connection->output.empty()) flush(id, *connection);
    }
    dirty.clear();
  }
}

void SocketReactor::lose_stuck() {
  if (!deadlines_.next()) return;
  const MonotonicTime now = clock_.now();
  while (const auto stuck = deadlines_.expired(now)) lost(*stuck);
}

std::optional<Duration> SocketReactor::idle_time() const {
  if (!dirty_.empty()) return Duration::zero();
  auto until = deadlines_.next();
  for (const auto& when : {timer_, refused_.next()})
    if (when) until = until ? std::min(*until, *when) : *when;
  if (!until) return std::nullopt;
  return std::max(*until - clock_.now(), Duration::zero());
}

}  // namespace leat::reactor
