// The reactor on epoll: level-triggered, one thread, no tick while nothing happens.
#pragma once

#include "server/reactor/socket_reactor.h"

namespace leat::reactor {

class EpollReactor final : public SocketReactor {
 public:
  // Error: kIoError.
  static Result<std::unique_ptr<EpollReactor>> create(ReactorLimits limits, const Clock& clock);
  ~EpollReactor() override;

  const char* name() const override { return "epoll"; }
  void stop_listening() override { listeners_.close(); }
  void run(ReactorHandler& handler) override;

 private:
  EpollReactor(ReactorLimits limits, const Clock& clock);
  void watch_listener(std::size_t listener) override;
  std::unique_ptr<Connection> make_connection() override { return std::make_unique<Connection>(); }
  void update_reading(ConnectionId id, Connection& connection) override;
  void flush(ConnectionId id, Connection& connection) override;
  void drop(ConnectionId id, Connection& connection) override;

  void watch(ConnectionId id, const Connection& connection, int operation);
  int wait_ms() const;
  void dispatch(std::uint64_t tag, std::uint32_t events);
  void accept(std::size_t listener);
  void receive(ConnectionId id, const Connection& connection);

  int epoll_ = -1;
  const std::size_t receive_bytes_;
  std::unique_ptr<std::uint64_t[]> buffer_;  // shared by all connections; 8-byte aligned
};

}  // namespace leat::reactor
