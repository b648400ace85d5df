// The reactor seam: bytes only. Accept, receive, send, one timer, wake; one thread. Behind it stand
// io_uring (uring_reactor.h) and epoll (epoll_reactor.h); open_reactor.h picks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"

namespace leat::reactor {

// Where to listen: tcp host and port (0: any free port), or a Unix socket's path.
struct Address {
  std::string host;
  std::uint16_t port = 0;
  std::string unix_path;  // set: a Unix socket
};

// A piece of output kept alive by `owner` until it is sent.
struct Slice {
  std::shared_ptr<const void> owner;
  Bytes bytes;
};

// Memory that bytes are received into. `owner` keeps it while the kernel may write there.
struct Landing {
  std::shared_ptr<void> owner;
  MutableBytes place;
};

// What happens, told on the thread that runs the reactor. A handler may call any method of the
// reactor; it must not throw.
class ReactorHandler {
 public:
  virtual ~ReactorHandler() = default;
  virtual void on_accept(ConnectionId connection, std::size_t listener) = 0;
  // One came beyond the limit of connections, was told so where there are words for it, and closed.
  virtual void on_refused(std::size_t /*listener*/) {}
  // `bytes` are valid during the call, and 8-byte aligned at the start of a read.
  virtual void on_receive(ConnectionId connection, Bytes bytes) = 0;
  // Queued output fell to zero.
  virtual void on_drained(ConnectionId connection) = 0;
  // Where the connection's next bytes are wanted, if that is known: asked before they are received.
  // Nothing else of it is received until on_landed() tells how many came there.
  virtual Landing landing(ConnectionId) { return {}; }
  virtual void on_landed(ConnectionId, std::size_t /*bytes*/) {}
  // The peer closed, an error, or the write deadline; not told after close(). The id is dead.
  virtual void on_closed(ConnectionId connection) = 0;
  virtual void on_wake() = 0;
  virtual void on_timer() = 0;
};

struct ReactorLimits {
  std::size_t connections = 10'000;
  std::size_t receive_bytes = 4 << 20;  // of the buffers that sockets are read into, in all
  Duration write_deadline = std::chrono::seconds(30);  // without progress on queued output
};

class Reactor {
 public:
  virtual ~Reactor() = default;

  virtual const char* name() const = 0;  // "uring" or "epoll"
  // Made by run() so far, for benchmarks. Any thread.
  virtual std::uint64_t system_calls() const = 0;
  // Binds and listens; returns the address with the port that was bound. A connection beyond the
  // limit is told `refusal` before it is closed.
  // Errors: kAddressInUse, kInvalidAddress, kNotAllowed.
  virtual Result<Address> listen(const Address& address, std::vector<std::byte> refusal = {}) = 0;

  // Queues output; it leaves, gathered, at the end of the event batch. Ignored on a dead id.
  virtual void send(ConnectionId connection, Slice slice) = 0;
  virtual std::size_t queued_bytes(ConnectionId connection) const = 0;
  // The peer's IP address, as the kernel says; empty: of a Unix socket, or of a dead id.
  virtual std::string peer(ConnectionId connection) const = 0;
  // Stops reading: back-pressure to the peer.
  virtual void pause(ConnectionId connection) = 0;
  virtual void resume(ConnectionId connection) = 0;
  // Closes at once, or after what is queued has left (within the write deadline).
  virtual void close(ConnectionId connection) = 0;
  virtual void close_when_drained(ConnectionId connection) = 0;
  // Stops accepting; open connections stay.
  virtual void stop_listening() = 0;

  // on_timer() once at `when`, replacing the time set before; nullopt: never.
  virtual void set_timer(std::optional<MonotonicTime> when) = 0;
  // Any thread, also a signal handler's: on_wake() soon. Wakes coalesce.
  virtual void wake() = 0;

  // Runs until stop(), which a handler calls; always on the same thread. What was queued by then
  // leaves as far as it can without waiting.
  virtual void run(ReactorHandler& handler) = 0;
  virtual void stop() = 0;
};

}  // namespace leat::reactor
