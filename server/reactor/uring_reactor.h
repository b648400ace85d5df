// The reactor on io_uring: multishot accept and receive into buffers the kernel picks from a ring,
// and one call per batch of events that hands over all output and waits. Create it on any thread;
// run() belongs to one thread for good. Settings and why: docs/architecture.md.
#pragma once

#include <liburing.h>

#include "server/reactor/receive_buffers.h"
#include "server/reactor/socket_reactor.h"

namespace leat::reactor {

class UringReactor final : public SocketReactor {
 public:
  // Error: kUnsupportedRequest, saying what this kernel or its settings refuse.
  static Result<std::unique_ptr<UringReactor>> create(ReactorLimits limits, const Clock& clock);
  ~UringReactor() override;

  const char* name() const override { return "uring"; }
  void stop_listening() override;
  void run(ReactorHandler& handler) override;

 private:
  // What an operation is for; completions carry it beside the connection or listener.
  enum class Operation : std::uint8_t { kIgnored, kAccept, kPoll, kWake, kReceive, kSend };
  struct UringConnection final : Connection {
    bool waits() const { return landed > 0 || !held.empty(); }

    bool armed = false;             // a receive is with the kernel
    bool cancelling = false;        // and was asked to end
    bool ended = false;             // by the peer or an error; told once nothing waits
    bool in_turns = false;          // the next receive is for what begins behind a landing
    std::shared_ptr<void> landing;  // where the kernel writes, instead of its own choice
    std::size_t landed = 0;         // came there while paused
    std::vector<std::byte> held;    // arrived while paused, behind that
  };
  struct GatheredSends;

  UringReactor(ReactorLimits limits, const Clock& clock);
  Result<> set_up();
  void watch_listener(std::size_t listener) override;
  std::unique_ptr<Connection> make_connection() override {
    return std::make_unique<UringConnection>();
  }
  void update_reading(ConnectionId id, Connection& connection) override;
  void flush(ConnectionId id, Connection& connection) override;
  void drop(ConnectionId id, Connection& connection) override;

  io_uring_sqe* entry(Operation operation, std::uint64_t of);
  void cancel(Operation operation, std::uint64_t of);
  void submit();
  void begin();
  void wait();
  std::size_t handle_completions();
  void handle(std::uint64_t tag, int result, std::uint32_t flags);
  void finish();

  void arm_accept(std::size_t listener);
  void arm_wake();
  void on_accepted(std::size_t listener, int result, std::uint32_t flags);
  void on_woken();
  void on_received(ConnectionId id, int result, std::uint32_t flags);
  void on_sent(ConnectionId id, int result);
  void arm_receive(ConnectionId id, UringConnection& connection);
  bool arm_landing(ConnectionId id, UringConnection& connection);
  Landing landing(ConnectionId id, const UringConnection& connection) const;
  void deliver(ConnectionId id, UringConnection& connection, Bytes bytes);
  void deliver_landed(ConnectionId id, UringConnection& connection, int result);
  void deliver_held();

  io_uring ring_{};
  bool enabled_ = false, finishing_ = false;
  std::size_t in_flight_ = 0;  // operations that will complete
  ReceiveBuffers buffers_;
  std::unique_ptr<GatheredSends> gathered_;
  std::vector<ConnectionId> resumed_;  // may have something held to deliver
  // Output of connections that are gone, until the kernel lets go of it.
  std::unordered_map<ConnectionId, OutputQueue> leaving_;
  std::unordered_map<ConnectionId, std::shared_ptr<void>> leaving_landings_;
  std::uint64_t wakes_ = 0;  // where the kernel writes the eventfd's count
};

}  // namespace leat::reactor
