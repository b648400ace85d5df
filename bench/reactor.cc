// The reactors side by side in one run: processor time of the reactor's thread for what brokers do
// most. Ratios count; the peers share the machine.
#include <atomic>
#include <cstdio>
#include <iostream>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "bench/bare_sends.h"
#include "server/reactor/open_reactor.h"

namespace leat::bench {
namespace {

using reactor::Reactor;
using reactor::ReactorKind;

double thread_seconds() {
  timespec time;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// One reactor on a thread, loopback peers on another, and the processor time between begin() and
// finish(), which the scenario calls on the reactor's thread.
class Scenario : public reactor::ReactorHandler {
 public:
  explicit Scenario(std::size_t connections, bool unix_socket = false)
      : connections_(connections), unix_socket_(unix_socket) {}

  // Nanoseconds of the reactor's thread per `unit`.
  double run(ReactorKind kind) {
    auto opened = reactor::open_reactor(kind, {}, clock_);
    if (!opened) throw std::runtime_error(opened.error().message());
    reactor_ = std::move(opened->reactor);
    const std::string path = "reactors." + std::to_string(::getpid());
    const auto address = reactor_->listen(unix_socket_ ? reactor::Address{.unix_path = path}
                                                       : reactor::Address{.host = "127.0.0.1"});
    if (!address) throw std::runtime_error(address.error().message());
    std::thread thread([this] { reactor_->run(*this); });
    std::vector<int> peers;
    for (std::size_t i = 0; i < connections_; ++i) peers.push_back(connect(*address));
    serve_peers(peers);
    thread.join();
    for (const int fd : peers) ::close(fd);
    if (unix_socket_) ::unlink(path.c_str());
    return 1e9 * (end_ - begin_) / static_cast<double>(units_);
  }

  void on_accept(ConnectionId id, std::size_t) override {
    ids_.push_back(id);
    if (ids_.size() == connections_) all_connected();
  }
  void on_receive(ConnectionId, Bytes) override {}
  void on_drained(ConnectionId) override {}
  void on_closed(ConnectionId) override {}
  void on_wake() override {}
  void on_timer() override {}

 protected:
  virtual void all_connected() = 0;
  // Until done_.
  virtual void serve_peers(const std::vector<int>& peers) = 0;

  void begin() { begin_ = thread_seconds(); }
  void finish(std::uint64_t units) {
    end_ = thread_seconds();
    units_ = units;
    done_ = true;
    reactor_->stop();
  }

  SystemClock clock_;
  std::unique_ptr<Reactor> reactor_;
  std::vector<ConnectionId> ids_;
  std::atomic<bool> done_{false};

 private:
  static int connect(const reactor::Address& address) {
    if (!address.unix_path.empty()) {
      sockaddr_un name{};
      name.sun_family = AF_UNIX;
      address.unix_path.copy(name.sun_path, sizeof name.sun_path - 1);
      return connect(AF_UNIX, name);
    }
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(address.port);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect(AF_INET, name);
  }
  template <class Name>
  static int connect(int family, const Name& name) {
    const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0)
      throw std::runtime_error("connecting within the machine");
    return fd;
  }

  std::size_t connections_;
  bool unix_socket_;
  double begin_ = 0, end_ = 0;
  std::uint64_t units_ = 1;
};

// Reads whatever comes to any of `peers`, and lets `answer` send something back.
template <class Done, class Answer>
void read_all(const std::vector<int>& peers, const Done& done, const Answer& answer) {
  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  for (const int fd : peers) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    ::epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
  }
  std::vector<char> bytes(64 << 10);
  while (!done) {
    epoll_event events[256];
    const int n = ::epoll_wait(poll, events, 256, 10);
    for (int i = 0; i < n; ++i)
      if (::recv(events[i].data.fd, bytes.data(), bytes.size(), MSG_DONTWAIT) > 0)
        answer(events[i].data.fd);
  }
  ::close(poll);
}

// The same small slice to every connection, again and again: what subscribers of one topic get.
class FanOut final : public Scenario {
 public:
  explicit FanOut(bool unix_socket) : Scenario(kConnections, unix_socket) {}

 private:
  static constexpr std::size_t kConnections = 256, kRounds = 1'000;

  void all_connected() override {
    begin();
    on_timer();
  }
  void on_timer() override {
    if (round_++ == kRounds) return finish(kRounds * kConnections);
    drained_ = 0;
    for (const ConnectionId id : ids_) reactor_->send(id, {slice_, as_bytes(*slice_)});
  }
  void on_drained(ConnectionId) override {
    if (++drained_ == kConnections) reactor_->set_timer(clock_.now());
  }
  void serve_peers(const std::vector<int>& peers) override {
    read_all(peers, done_, [](int) {});
  }

  std::shared_ptr<const std::string> slice_ = std::make_shared<std::string>(128, 's');
  std::size_t round_ = 0, drained_ = 0;
};

// Every peer sends one request and waits for the reply.
class Echo final : public Scenario {
 public:
  explicit Echo(std::size_t connections) : Scenario(connections) {}

 private:
  static constexpr std::uint64_t kRequests = 100'000;

  void all_connected() override { begin(); }
  void on_receive(ConnectionId id, Bytes) override {
    if (++answered_ == kRequests) return finish(kRequests);
    reactor_->send(id, {reply_, as_bytes(*reply_)});
  }
  void serve_peers(const std::vector<int>& peers) override {
    const std::string request(1024, 'q');
    const auto ask = [&](int fd) {
      [[maybe_unused]] auto n = ::send(fd, request.data(), request.size(), MSG_NOSIGNAL);
    };
    for (const int fd : peers) ask(fd);
    read_all(peers, done_, ask);
  }

  std::shared_ptr<const std::string> reply_ = std::make_shared<std::string>(64, 'r');
  std::uint64_t answered_ = 0;
};

// One peer that sends as fast as it can; a unit is a KiB.
class Stream final : public Scenario {
 public:
  Stream() : Scenario(1) {}

 private:
  static constexpr std::uint64_t kBytes = std::uint64_t{1} << 30;

  void all_connected() override { begin(); }
  void on_receive(ConnectionId id, Bytes bytes) override {
    received_ += bytes.size();
    // As a session does: every cache line is looked at.
    for (std::size_t i = 0; i < bytes.size(); i += 64) sum_ += std::to_integer<unsigned>(bytes[i]);
    if (received_ < kBytes || done_) return;
    finish(received_ >> 10);
    reactor_->close(id);  // the peer may be blocked in a send
  }
  void serve_peers(const std::vector<int>& peers) override {
    const std::string piece(256 << 10, 'p');
    while (!done_)
      if (::send(peers[0], piece.data(), piece.size(), MSG_NOSIGNAL) < 0) return;
  }

  std::uint64_t received_ = 0, sum_ = 0;
};

template <class Make>
void compare(const char* what, const char* unit, Make make) {
  double best[2] = {1e18, 1e18};
  for (int i = 0; i < 3; ++i) {  // in turn, so that both see the same noise
    best[0] = std::min(best[0], make()->run(ReactorKind::kEpoll));
    best[1] = std::min(best[1], make()->run(ReactorKind::kUring));
  }
  std::printf("%-46s %10.0f %10.0f %12s %8.2f\n", what, best[0], best[1], unit, best[1] / best[0]);
  std::fflush(stdout);
}

}  // namespace
}  // namespace leat::bench

int main() {
  using namespace leat::bench;
  try {
    std::printf("%-46s %10s %10s %12s %8s\n", "thread CPU ns, best of 3", "epoll", "uring", "per",
                "ratio");
    compare("fan-out, 128 B to 256 connections", "delivery",
            [] { return std::make_unique<FanOut>(false); });
    compare("fan-out, 128 B to 256 Unix connections", "delivery",
            [] { return std::make_unique<FanOut>(true); });
    compare("the same over TCP, bare: send() and a ring", "delivery",
            [] { return std::make_unique<BareSends>(); });
    compare("request and reply, 1 KiB, 1 connection", "request",
            [] { return std::make_unique<Echo>(1); });
    compare("request and reply, 1 KiB, 64 connections", "request",
            [] { return std::make_unique<Echo>(64); });
    compare("stream, 1 connection", "KiB", [] { return std::make_unique<Stream>(); });
  } catch (const std::exception& error) {
    std::cerr << "bench: " << error.what() << "\n";
    return 1;
  }
}
