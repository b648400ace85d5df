// One connection within the process: two bounded queues in memory between a client's thread and the
// shard's, no socket. Nothing is copied: frames and slices change hands.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "client/transport.h"
#include "protocol/base/ids.h"
#include "server/reactor/reactor.h"

namespace leat {

class LocalPipe;

// Where clients of the process knock, and pipes tell the shard that they have something. Outlives
// the server: later connectors learn that it is gone.
class LocalDoor {
 public:
  // `wake` makes the shard take() soon; called from any thread, never after close().
  explicit LocalDoor(std::function<void()> wake) : wake_(std::move(wake)) {}

  // Any thread. False: the server no longer takes connections.
  bool knock(std::shared_ptr<LocalPipe> pipe);
  void tell(std::shared_ptr<LocalPipe> pipe);
  // The shard: the pipes that told since the last call.
  std::vector<std::shared_ptr<LocalPipe>> take();
  // Takes no further connections; then, nothing at all.
  void refuse();
  std::vector<std::shared_ptr<LocalPipe>> close();

 private:
  void add(std::shared_ptr<LocalPipe> pipe);

  std::mutex mutex_;
  std::function<void()> wake_;
  std::vector<std::shared_ptr<LocalPipe>> ready_;
  bool refuses_ = false, closed_ = false;
};

class LocalPipe final : public Transport, public std::enable_shared_from_this<LocalPipe> {
 public:
  LocalPipe(std::shared_ptr<LocalDoor> door, asio::io_context& io, TransportEvents& events)
      : door_(std::move(door)), io_(io), events_(events) {}

  // ---- the client's thread ----
  void connect() override;
  void send(std::vector<std::vector<std::byte>> frames) override;
  void close() override;

  // ---- the shard's thread ----
  // Moves what the client sent behind `frames`; it counts against the queue until done_with().
  void take(std::deque<std::vector<std::byte>>& frames);
  void done_with(std::size_t bytes);
  // Moves slices in while there is room, one always; returns how many bytes went. When some stay
  // behind, the door is told once there is room.
  std::size_t put(std::deque<reactor::Slice>& slices);
  bool client_gone() const;
  // The client gets what was put, then hears why; `ended`: there will be no server any more.
  void hang_up(Error why, bool ended);

  ConnectionId id;    // the shard's; 0 until it is accepted
  bool told = false;  // the door's: waits in its list

 private:
  void wake_client();
  void push();
  void deliver();
  void tell_end();

  const std::shared_ptr<LocalDoor> door_;
  asio::io_context& io_;
  TransportEvents& events_;

  // The client's thread.
  std::deque<std::vector<std::byte>> unsent_;  // waits for room
  bool sending_ = false;
  bool open_ = true;

  mutable std::mutex mutex_;
  std::deque<std::vector<std::byte>> requests_;
  std::vector<reactor::Slice> replies_;
  std::size_t request_bytes_ = 0, reply_bytes_ = 0;
  bool client_waits_ = false, shard_waits_ = false;  // for room
  bool delivery_posted_ = false, client_gone_ = false, ended_ = false;
  std::optional<Error> hung_up_;
};

// For blocking::Client::connect(): opens pipes to the server behind `door`.
std::unique_ptr<Connector> local_connector(std::shared_ptr<LocalDoor> door);

}  // namespace leat
