// What every reactor over sockets does in the same way: the connections, their queued output and
// its deadlines, the timer, the wake. How bytes are read and written is the derived one's.
#pragma once

#include <atomic>
#include <unordered_map>

#include "server/reactor/listeners.h"
#include "server/reactor/output_queue.h"
#include "server/reactor/reactor.h"
#include "server/reactor/refused_connections.h"
#include "server/reactor/write_deadlines.h"

namespace leat::reactor {

class SocketReactor : public Reactor {
 public:
  std::uint64_t system_calls() const final { return calls_.load(std::memory_order_relaxed); }
  Result<Address> listen(const Address& address, std::vector<std::byte> refusal) final;
  void send(ConnectionId id, Slice slice) final;
  std::size_t queued_bytes(ConnectionId id) const final;
  std::string peer(ConnectionId id) const final;
  void pause(ConnectionId id) final;
  void resume(ConnectionId id) final;
  void close(ConnectionId id) final;
  void close_when_drained(ConnectionId id) final;
  void set_timer(std::optional<MonotonicTime> when) final { timer_ = when; }
  void wake() final;
  void stop() final { stopping_ = true; }

 protected:
  struct Connection {
    virtual ~Connection() = default;
    bool reads() const { return !paused && !closing; }

    int fd = -1;
    bool paused = false, closing = false;
    bool dirty = false;    // in dirty_
    bool writing = false;  // the kernel has output it has not taken all of
    OutputQueue output;
    WriteDeadlines::Place waiting;
  };

  SocketReactor(ReactorLimits limits, const Clock& clock);
  ~SocketReactor() override;

  // ---- what the derived one does ----
  virtual void watch_listener(std::size_t listener) = 0;
  virtual std::unique_ptr<Connection> make_connection() = 0;
  // `reads()` may have changed.
  virtual void update_reading(ConnectionId id, Connection& connection) = 0;
  // Hands queued output to the kernel; nothing is `writing`.
  virtual void flush(ConnectionId id, Connection& connection) = 0;
  // Closes the descriptor and erases the connection.
  virtual void drop(ConnectionId id, Connection& connection) = 0;

  // ---- what it builds on ----
  Connection* find(ConnectionId id);
  // The new connection's id; none beyond the limit, where it is told so and closed.
  std::optional<ConnectionId> admit(int fd, std::size_t listener);
  void erase(ConnectionId id, Connection& connection);
  // The kernel took of the output what it could; told, or closed, when that was all.
  void written(ConnectionId id, Connection& connection, bool progress);
  void mark_dirty(ConnectionId id, Connection& connection);
  // The connection ended by itself: told unless it was closing.
  void lost(ConnectionId id);
  // After a batch of events: the timer, output that was queued, deadlines.
  void after_events();
  void flush_dirty();
  // Before each call to the kernel that events cause; rare ones are not worth counting.
  void count_call() {
    calls_.store(calls_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  bool output_waits() const { return !dirty_.empty(); }  // for flush_dirty()
  // How long nothing is due; none: for ever.
  std::optional<Duration> idle_time() const;

  const ReactorLimits& limits() const { return limits_; }

  const Clock& clock_;
  Listeners listeners_;
  std::unordered_map<ConnectionId, std::unique_ptr<Connection>> connections_;
  WriteDeadlines deadlines_;
  ReactorHandler* handler_ = nullptr;  // while run() runs
  int event_ = -1;                     // wake()'s eventfd
  bool stopping_ = false;
  MonotonicTime flush_time_;  // of the flush_dirty() that runs: one look at the clock for all

 private:
  void lose_stuck();

  std::atomic<std::uint64_t> calls_{0};
  ReactorLimits limits_;
  std::vector<std::vector<std::byte>> refusals_;  // by listener
  RefusedConnections refused_;
  std::vector<ConnectionId> dirty_;
  std::uint64_t next_id_ = 1;
  std::optional<MonotonicTime> timer_;
};

}  // namespace leat::reactor
