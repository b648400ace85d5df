// The reactor over real sockets.
#include <atomic>
#include <functional>
#include <thread>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "server/reactor/epoll_reactor.h"

namespace leat::reactor {
namespace {

using namespace std::chrono_literals;

// Runs a reactor on a thread of its own with the callbacks a test sets.
class Harness : public ReactorHandler {
 public:
  explicit Harness(ReactorLimits limits = {}) {
    reactor = std::move(*EpollReactor::create(limits, clock));
    address = *reactor->listen({.host = "127.0.0.1"});
  }
  ~Harness() override { stop(); }
  void start() {
    thread = std::thread([this] { reactor->run(*this); });
  }
  void stop() {
    if (!thread.joinable()) return;
    stopping = true;
    reactor->wake();
    thread.join();
  }
  int connect() const {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(address.port);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval hang{.tv_sec = 60, .tv_usec = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &hang, sizeof hang);
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
    return fd;
  }

  void on_accept(ConnectionId id, std::size_t) override {
    ++accepted;
    if (accept) accept(id);
  }
  void on_receive(ConnectionId id, Bytes bytes) override {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(bytes.data()) % 8, 0u);
    if (receive) receive(id, bytes);
  }
  void on_drained(ConnectionId) override { ++drained; }
  void on_closed(ConnectionId) override {
    ++closed;
    closed.notify_all();
  }
  void on_wake() override {
    ++woken;
    woken.notify_all();
    if (stopping) reactor->stop();
  }
  void on_timer() override {
    ++timers;
    timers.notify_all();
  }

  SystemClock clock;
  std::unique_ptr<Reactor> reactor;
  Address address;
  std::function<void(ConnectionId)> accept;
  std::function<void(ConnectionId, Bytes)> receive;
  std::atomic<int> accepted{0}, drained{0}, closed{0}, woken{0}, timers{0};
  std::atomic<bool> stopping{false};
  std::thread thread;
};

std::size_t read_until_closed(int fd) {
  std::size_t total = 0;
  char bytes[65536];
  for (ssize_t n; (n = ::recv(fd, bytes, sizeof bytes, 0)) > 0;)
    total += static_cast<std::size_t>(n);
  return total;
}

TEST(Reactor, SendsMuchToASlowReaderAndClosesWhenDrained) {
  Harness harness;
  constexpr std::size_t kPiece = 1 << 20;
  const auto piece = std::make_shared<std::vector<std::byte>>(kPiece);
  harness.accept = [&](ConnectionId id) {
    for (int i = 0; i < 20; ++i) harness.reactor->send(id, {piece, *piece});
    EXPECT_EQ(harness.reactor->queued_bytes(id), 20 * kPiece);
    harness.reactor->close_when_drained(id);
  };
  harness.start();
  const int fd = harness.connect();
  EXPECT_EQ(read_until_closed(fd), 20 * kPiece);
  ::close(fd);
  harness.stop();
  EXPECT_EQ(piece.use_count(), 1);  // nothing keeps what was sent
  EXPECT_EQ(harness.closed, 0);     // not told after close
}

TEST(Reactor, TellsAWakeATimerAndAPeerThatLeaves) {
  Harness harness;
  harness.reactor->set_timer(harness.clock.now() + 1ms);
  harness.start();
  harness.timers.wait(0);
  harness.reactor->wake();
  harness.woken.wait(0);
  ::close(harness.connect());
  harness.closed.wait(0);
  harness.stop();
  EXPECT_EQ(harness.timers, 1);
  EXPECT_EQ(harness.closed, 1);
}

TEST(Reactor, APausedConnectionIsNotReadUntilResumed) {
  Harness harness;
  ConnectionId first{0};
  std::atomic<int> from_first{0}, from_second{0};
  harness.accept = [&](ConnectionId id) {
    if (first != ConnectionId(0)) return;
    first = id;
    harness.reactor->pause(id);
  };
  harness.receive = [&](ConnectionId id, Bytes) {
    auto& count = id == first ? from_first : from_second;
    ++count;
    count.notify_all();
    if (id != first && count == 2) harness.reactor->resume(first);
  };
  harness.start();
  const int one = harness.connect();
  const int two = harness.connect();
  ASSERT_EQ(::send(one, "x", 1, 0), 1);
  ASSERT_EQ(::send(two, "x", 1, 0), 1);  // what was there before this one would have been told
  from_second.wait(0);
  EXPECT_EQ(from_first, 0);
  ASSERT_EQ(::send(two, "x", 1, 0), 1);
  from_first.wait(0);
  ::close(one);
  ::close(two);
}

TEST(Reactor, RefusesConnectionsBeyondTheLimit) {
  Harness harness({.connections = 2});
  harness.start();
  const int one = harness.connect(), two = harness.connect(), three = harness.connect();
  EXPECT_EQ(read_until_closed(three), 0u);  // accepted by the kernel, closed by us
  EXPECT_EQ(harness.accepted, 2);
  for (const int fd : {one, two, three}) ::close(fd);
}

TEST(Reactor, GivesUpAPeerThatDoesNotRead) {
  Harness harness({.write_deadline = 20ms});
  const auto much = std::make_shared<std::vector<std::byte>>(64 << 20);
  harness.accept = [&](ConnectionId id) { harness.reactor->send(id, {much, *much}); };
  harness.start();
  const int fd = harness.connect();
  harness.closed.wait(0);
  ::close(fd);
}

TEST(Reactor, APortInUseIsSaid) {
  Harness harness;
  EXPECT_EQ(harness.reactor->listen(harness.address).error().code, ErrorCode::kAddressInUse);
  EXPECT_EQ(harness.reactor->listen({.unix_path = "/" + std::string(200, 'x')}).error().code,
            ErrorCode::kInvalidAddress);
  EXPECT_EQ(harness.reactor->listen({.host = "no.such.host.invalid"}).error().code,
            ErrorCode::kInvalidAddress);
}

}  // namespace
}  // namespace leat::reactor
