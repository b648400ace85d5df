#include "server/local_connections.h"

#include <algorithm>

namespace leat {

LocalConnections::LocalConnections(std::function<void()> wake, const reactor::ReactorLimits& limits,
                                   const Clock& clock)
    : limits_(limits), clock_(clock), door_(std::make_shared<LocalDoor>(std::move(wake))) {}

LocalConnections::Connection* LocalConnections::find(ConnectionId id) {
  const auto it = connections_.find(id);
  return it == connections_.end() ? nullptr : &it->second;
}

// ---- in ----

void LocalConnections::poll(LocalHandler& handler) {
  for (const auto& pipe : door_->take()) {
    if (pipe->id == ConnectionId(0)) accept(pipe, handler);
    Connection* connection = find(pipe->id);
    if (!connection) continue;
    if (pipe->client_gone()) {
      const bool told = !connection->closing;
      drop(pipe->id, ErrorCode::kDisconnected);
      if (told) handler.on_local_closed(pipe->id);
      continue;
    }
    mark_dirty(pipe->id, *connection);  // there may be room again
    receive(pipe->id, handler);
  }
}

void LocalConnections::accept(const std::shared_ptr<LocalPipe>& pipe, LocalHandler& handler) {
  pipe->id = ConnectionId(next_id_++);
  if (connections_.size() >= limits_.connections)
    return pipe->hang_up({ErrorCode::kLimitReached, "the server in this process takes " +
                                                        std::to_string(limits_.connections) +
                                                        " connections (limits.connections); close "
                                                        "one, or raise it"},
                         false);
  connections_[pipe->id].pipe = pipe;
  handler.on_local_accept(pipe->id);
}

void LocalConnections::receive(ConnectionId id, LocalHandler& handler) {
  Connection& connection = connections_.at(id);
  connection.pipe->take(connection.input);
  std::size_t handled = 0;
  while (!connection.input.empty() && !connection.paused && !connection.closing) {
    const std::vector<std::byte> frame = std::move(connection.input.front());
    connection.input.pop_front();
    handled += frame.size();
    handler.on_local_receive(id, frame);
  }
  if (handled > 0) connection.pipe->done_with(handled);
}

void LocalConnections::pause(ConnectionId id) {
  if (Connection* connection = find(id)) connection->paused = true;
}

void LocalConnections::resume(ConnectionId id) {
  Connection* connection = find(id);
  if (!connection || !connection->paused) return;
  connection->paused = false;
  door_->tell(connection->pipe);  // poll() goes on: the caller is in the midst of an event
}

// ---- out ----

void LocalConnections::mark_dirty(ConnectionId id, Connection& connection) {
  if (connection.queued == 0 || std::exchange(connection.dirty, true)) return;
  dirty_.push_back(id);
}

void LocalConnections::send(ConnectionId id, reactor::Slice slice) {
  Connection* connection = find(id);
  if (!connection || connection->closing || slice.bytes.empty()) return;
  if (connection->queued == 0) connection->progress = clock_.now();
  connection->queued += slice.bytes.size();
  connection->output.push_back(std::move(slice));
  mark_dirty(id, *connection);
}

bool LocalConnections::flush(LocalHandler& handler) {
  bool told = false;
  for (const ConnectionId id : std::exchange(dirty_, {})) {
    Connection* connection = find(id);
    if (!connection) continue;
    connection->dirty = false;
    const std::size_t sent = connection->pipe->put(connection->output);
    connection->queued -= sent;
    if (sent > 0) connection->progress = clock_.now();
    if (connection->queued > 0) continue;
    if (connection->closing) {
      drop(id, {ErrorCode::kDisconnected, "the server closed the connection"});
      continue;
    }
    handler.on_local_drained(id);
    told = true;
  }
  return told;
}

std::size_t LocalConnections::queued_bytes(ConnectionId id) const {
  const auto it = connections_.find(id);
  return it == connections_.end() ? 0 : it->second.queued;
}

void LocalConnections::on_time(MonotonicTime now, LocalHandler& handler) {
  std::vector<ConnectionId> stuck;
  for (const auto& [id, connection] : connections_)
    if (connection.queued > 0 && connection.progress + limits_.write_deadline <= now)
      stuck.push_back(id);
  for (const ConnectionId id : stuck) {
    const bool told = !connections_.at(id).closing;
    drop(id, {ErrorCode::kDisconnected, "the client took nothing for too long"});
    if (told) handler.on_local_closed(id);
  }
}

std::optional<MonotonicTime> LocalConnections::next_deadline() const {
  std::optional<MonotonicTime> next;
  for (const auto& [id, connection] : connections_) {
    if (connection.queued == 0) continue;
    const MonotonicTime deadline = connection.progress + limits_.write_deadline;
    next = next ? std::min(*next, deadline) : deadline;
  }
  return next;
}

// ---- the end ----

void LocalConnections::close_when_drained(ConnectionId id) {
  Connection* connection = find(id);
  if (!connection) return;
  if (connection->queued == 0)
    return drop(id, {ErrorCode::kDisconnected, "the server closed the connection"});
  connection->closing = true;
}

void LocalConnections::drop(ConnectionId id, Error why) {
  const auto it = connections_.find(id);
  it->second.pipe->hang_up(std::move(why), false);
  connections_.erase(it);
}

void LocalConnections::close() {
  const Error why(ErrorCode::kShuttingDown, "the server in this process was closed");
  for (const auto& pipe : door_->close()) pipe->hang_up(why, true);
  for (const auto& [id, connection] : connections_) connection.pipe->hang_up(why, true);
  connections_.clear();
}

}  // namespace leat
