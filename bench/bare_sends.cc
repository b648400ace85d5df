#include "bench/bare_sends.h"

#include <array>
#include <atomic>
#include <ctime>
#include <stdexcept>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace leat::bench {
namespace {

constexpr std::size_t kConnections = 256, kRounds = 1'000;

double thread_seconds() {
  timespec time;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// Both ends of loopback connections; a thread reads what comes to the peers.
class Connections {
 public:
  Connections() {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof name;
    auto* address = reinterpret_cast<sockaddr*>(&name);
    if (::bind(listener, address, size) != 0 || ::listen(listener, kConnections) != 0 ||
        ::getsockname(listener, address, &size) != 0)
      throw std::runtime_error("listening on loopback");
    const int one = 1;
    for (std::size_t i = 0; i < kConnections; ++i) {
      peers_.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      if (::connect(peers_.back(), address, size) != 0)
        throw std::runtime_error("connecting over loopback");
      own.push_back(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
      ::setsockopt(own.back(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    ::close(listener);
    reader_ = std::thread([this] { read(); });
  }
  ~Connections() {
    done_ = true;
    reader_.join();
    for (const int fd : own) ::close(fd);
    for (const int fd : peers_) ::close(fd);
  }
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  std::vector<int> own;

 private:
  void read() {
    const int poll = ::epoll_create1(EPOLL_CLOEXEC);
    for (const int fd : peers_) {
      epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
      ::epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
    }
    std::vector<char> bytes(64 << 10);
    std::array<epoll_event, kConnections> events;
    while (!done_) {
      const int n = ::epoll_wait(poll, events.data(), kConnections, 10);
      for (int i = 0; i < n; ++i)
        [[maybe_unused]] const auto read = ::recv(events[static_cast<std::size_t>(i)].data.fd,
                                                  bytes.data(), bytes.size(), MSG_DONTWAIT);
    }
    ::close(poll);
  }

  std::vector<int> peers_;
  std::atomic<bool> done_{false};
  std::thread reader_;
};

void send_each(const std::vector<int>& to, const std::array<char, 128>& bytes) {
  for (const int fd : to)
    if (::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0)
      throw std::runtime_error("sending over loopback");
}

void send_together(io_uring& ring, const std::vector<int>& to, const std::array<char, 128>& bytes) {
  for (const int fd : to)
    io_uring_prep_send(io_uring_get_sqe(&ring), fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  io_uring_submit_and_wait(&ring, static_cast<unsigned>(to.size()));
  io_uring_cq_advance(&ring, io_uring_cq_ready(&ring));
}

}  // namespace

double BareSends::run(reactor::ReactorKind kind) {
  const Connections connections;
  const std::array<char, 128> bytes{};
  io_uring ring;
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  if (io_uring_queue_init_params(kConnections, &ring, &params) != 0)
    throw std::runtime_error("io_uring cannot be used");
  const double begin = thread_seconds();
  for (std::size_t round = 0; round < kRounds; ++round) {
    if (kind == reactor::ReactorKind::kEpoll)
      send_each(connections.own, bytes);
    else
      send_together(ring, connections.own, bytes);
  }
  const double seconds = thread_seconds() - begin;
  io_uring_queue_exit(&ring);
  return 1e9 * seconds / (kRounds * kConnections);
}

}  // namespace leat::bench
