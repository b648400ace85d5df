// The reactor on epoll: level-triggered, one thread, no tick while nothing happens.
#pragma once

#include <deque>
#include <unordered_map>

#include "server/reactor/reactor.h"

namespace leat::reactor {

class EpollReactor final : public Reactor {
 public:
  static Result<std::unique_ptr<EpollReactor>> create(ReactorLimits limits, const Clock& clock);
  ~EpollReactor() override;
  EpollReactor(const EpollReactor&) = delete;
  EpollReactor& operator=(const EpollReactor&) = delete;

  const char* name() const override { return "epoll"; }
  Result<Address> listen(const Address& address) override;
  void send(ConnectionId connection, Slice slice) override;
  std::size_t queued_bytes(ConnectionId connection) const override;
  void pause(ConnectionId connection) override;
  void resume(ConnectionId connection) override;
  void close(ConnectionId connection) override;
  void close_when_drained(ConnectionId connection) override;
  void stop_listening() override;
  void set_timer(std::optional<MonotonicTime> when) override { timer_ = when; }
  void wake() override;
  void run(ReactorHandler& handler) override;
  void stop() override { stopping_ = true; }

 private:
  struct Connection {
    int fd = -1;
    bool paused = false, writing = false, closing = false, dirty = false;
    std::deque<Slice> output;
    std::size_t first_sent = 0;  // bytes of output.front() that are gone
    std::size_t queued = 0;
    MonotonicTime progress;  // of the last byte that left, or when output was first queued
  };
  struct Listener {
    int fd;
    std::string unix_path;
  };

  EpollReactor(ReactorLimits limits, const Clock& clock) : limits_(limits), clock_(clock) {}
  Connection* find(ConnectionId id);
  void watch(ConnectionId id, Connection& connection, int operation);
  void dispatch(std::uint64_t tag, std::uint32_t events, ReactorHandler& handler);
  void accept(std::size_t listener, ReactorHandler& handler);
  void shed();
  void receive(ConnectionId id, ReactorHandler& handler);
  void flush(ConnectionId id, ReactorHandler& handler);
  void flush_dirty(ReactorHandler& handler);
  void lost(ConnectionId id, ReactorHandler& handler);
  void drop(ConnectionId id);
  int wait_ms() const;
  void check_deadlines(ReactorHandler& handler);

  ReactorLimits limits_;
  const Clock& clock_;
  int epoll_ = -1, event_ = -1, spare_ = -1;
  std::vector<Listener> listeners_;
  std::unordered_map<ConnectionId, Connection> connections_;
  std::vector<ConnectionId> dirty_;
  std::uint64_t next_id_ = 1;
  std::optional<MonotonicTime> timer_;
  std::size_t with_output_ = 0;
  bool stopping_ = false;
  std::unique_ptr<std::uint64_t[]> buffer_;  // shared by all connections; 8-byte aligned
};

}  // namespace leat::reactor
