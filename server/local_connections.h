// The shard's side of connections within the process; to the shard they look as the reactor's do.
// The shard's thread, but for connector().
#pragma once

#include <deque>
#include <optional>
#include <unordered_map>

#include "protocol/base/clock.h"
#include "server/local_pipe.h"

namespace leat {

// As reactor::ReactorHandler's calls of the same names.
class LocalHandler {
 public:
  virtual ~LocalHandler() = default;
  virtual void on_local_accept(ConnectionId connection) = 0;
  virtual void on_local_receive(ConnectionId connection, Bytes bytes) = 0;
  virtual void on_local_drained(ConnectionId connection) = 0;
  virtual void on_local_closed(ConnectionId connection) = 0;
};

class LocalConnections {
 public:
  // `wake`: any thread; poll() follows on the shard's.
  LocalConnections(std::function<void()> wake, const reactor::ReactorLimits& limits,
                   const Clock& clock);
  ~LocalConnections() { close(); }
  LocalConnections(const LocalConnections&) = delete;
  LocalConnections& operator=(const LocalConnections&) = delete;

  // Any thread: for a client of this process.
  std::unique_ptr<Connector> connector() const { return local_connector(door_); }

  // Ids of the reactor's connections stay below.
  static bool owns(ConnectionId id) { return (id.value & kFirstId) != 0; }

  // Tells what happened since the last call.
  void poll(LocalHandler& handler);
  // At the end of an event: what was sent leaves. True when the handler was told of a drained
  // connection, and may have sent again.
  bool flush(LocalHandler& handler);
  // Drops connections that took nothing for the write deadline.
  void on_time(MonotonicTime now, LocalHandler& handler);
  std::optional<MonotonicTime> next_deadline() const;

  void send(ConnectionId id, reactor::Slice slice);
  std::size_t queued_bytes(ConnectionId id) const;
  void pause(ConnectionId id);
  void resume(ConnectionId id);
  void close_when_drained(ConnectionId id);
  void stop_accepting() { door_->refuse(); }
  // For good: clients get what was flushed, then hear that the server is closed.
  void close();

 private:
  static constexpr std::uint64_t kFirstId = std::uint64_t{1} << 62;

  struct Connection {
    std::shared_ptr<LocalPipe> pipe;
    std::deque<std::vector<std::byte>> input;  // taken from the pipe, not handled yet
    std::deque<reactor::Slice> output;
    std::size_t queued = 0;
    bool paused = false, closing = false, dirty = false;
    MonotonicTime progress;  // of the last byte that left, or when output was first queued
  };

  Connection* find(ConnectionId id);
  void accept(const std::shared_ptr<LocalPipe>& pipe, LocalHandler& handler);
  void receive(ConnectionId id, LocalHandler& handler);
  void mark_dirty(ConnectionId id, Connection& connection);
  void drop(ConnectionId id, Error why);

  const reactor::ReactorLimits limits_;
  const Clock& clock_;
  std::shared_ptr<LocalDoor> door_;
  std::unordered_map<ConnectionId, Connection> connections_;
  std::vector<ConnectionId> dirty_;
  std::uint64_t next_id_ = kFirstId;
};

}  // namespace leat
