// The reactors over real sockets: every promise of the seam, behind each of them.
#include <atomic>
#include <cstring>
#include <functional>
#include <iostream>
#include <thread>

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "protocol/base/random.h"
#include "server/reactor/open_reactor.h"
#include "server/reactor/refused_connections.h"
#include "tests/forbid_io_uring.h"

namespace leat::reactor {
namespace {

using namespace std::chrono_literals;

// Runs a reactor on a thread of its own with the callbacks a test sets.
class Harness : public ReactorHandler {
 public:
  explicit Harness(ReactorKind kind, ReactorLimits limits = {}, std::string_view refusal = {}) {
    auto opened = open_reactor(kind, limits, clock);
    EXPECT_TRUE(opened) << opened.error().message();
    reactor = std::move(opened->reactor);
    fallback = opened->fallback;
    address = *reactor->listen({.host = "127.0.0.1"},
                               {as_bytes(refusal).begin(), as_bytes(refusal).end()});
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
  int connect() const { return connect(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); }
  int connect(int fd) const {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(address.port);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval hang{.tv_sec = 60, .tv_usec = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &hang, sizeof hang);
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
    return fd;
  }

  void on_accept(ConnectionId id, std::size_t) override {
    ++accepted;
    if (accept) accept(id);
    accepted.notify_all();
  }
  void on_refused(std::size_t) override { ++refused; }
  void on_receive(ConnectionId id, Bytes bytes) override {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(bytes.data()) % 8, 0u);
    if (receive) receive(id, bytes);
  }
  Landing landing(ConnectionId id) override { return wants ? wants(id) : Landing{}; }
  void on_landed(ConnectionId id, std::size_t bytes) override { landed(id, bytes); }
  void on_drained(ConnectionId) override { ++drained; }
  void on_closed(ConnectionId) override {
    ++closed;
    closed.notify_all();
  }
  void on_wake() override {
    ++woken;
    woken.notify_all();
    if (wake) wake();
    if (stopping) reactor->stop();
  }
  void on_timer() override {
    ++timers;
    timers.notify_all();
    if (timer) timer();
  }

  SystemClock clock;
  std::unique_ptr<Reactor> reactor;
  std::string fallback;
  Address address;
  std::function<void()> wake, timer;
  std::function<void(ConnectionId)> accept;
  std::function<void(ConnectionId, Bytes)> receive;
  std::function<Landing(ConnectionId)> wants;
  std::function<void(ConnectionId, std::size_t)> landed;
  std::atomic<int> refused{0}, accepted{0}, drained{0}, closed{0}, woken{0}, timers{0};
  std::atomic<bool> stopping{false};
  std::thread thread;
};

class ReactorTest : public ::testing::TestWithParam<ReactorKind> {
 protected:
  void SetUp() override {
    if (GetParam() == ReactorKind::kUring && !test::io_uring_exists())
      GTEST_SKIP() << "this kernel has no io_uring, or forbids it";
  }
};

std::string kind_name(const ::testing::TestParamInfo<ReactorKind>& kind) {
  return kind.param == ReactorKind::kUring ? "uring" : "epoll";
}
INSTANTIATE_TEST_SUITE_P(Kinds, ReactorTest,
                         ::testing::Values(ReactorKind::kUring, ReactorKind::kEpoll), kind_name);

std::size_t read_until_closed(int fd) {
  std::size_t total = 0;
  char bytes[65536];
  ssize_t n;
  while ((n = ::recv(fd, bytes, sizeof bytes, 0)) > 0) total += static_cast<std::size_t>(n);
  EXPECT_EQ(n, 0) << std::strerror(errno);
  return total;
}

// The peer's close, with a reset where it had not read all.
void read_until_reset(int fd) {
  char bytes[4096];
  while (::recv(fd, bytes, sizeof bytes, 0) > 0) continue;
  ::close(fd);
}

TEST_P(ReactorTest, SendsMuchToASlowReaderAndClosesWhenDrained) {
  Harness harness(GetParam());
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

TEST_P(ReactorTest, TellsAWakeATimerAndAPeerThatLeaves) {
  Harness harness(GetParam());
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

TEST_P(ReactorTest, APausedConnectionIsNotReadUntilResumed) {
  Harness harness(GetParam());
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

TEST_P(ReactorTest, RefusesConnectionsBeyondTheLimit) {
  Harness harness(GetParam(), {.connections = 2});
  harness.start();
  const int one = harness.connect(), two = harness.connect(), three = harness.connect();
  EXPECT_EQ(read_until_closed(three), 0u);  // accepted by the kernel, closed by us
  EXPECT_EQ(harness.accepted, 2);
  for (const int fd : {one, two, three}) ::close(fd);
  harness.stop();
  EXPECT_EQ(harness.refused, 1);
}

TEST_P(ReactorTest, SaysWhoThePeerIs) {
  Harness harness(GetParam());
  std::string peer;
  harness.accept = [&](ConnectionId id) { peer = harness.reactor->peer(id); };
  harness.start();
  const int fd = harness.connect();
  harness.accepted.wait(0);
  harness.stop();
  EXPECT_EQ(peer, "127.0.0.1");
  EXPECT_EQ(harness.reactor->peer(ConnectionId(99)), "");
  ::close(fd);
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for (int fd = 0; fd < 1'000; ++fd) count += ::fcntl(fd, F_GETFD) >= 0;
  return count;
}

// Also those that speak first: their unread words must not turn the close into a reset.
TEST_P(ReactorTest, TellsThoseItRefusesWhyHoweverManyTheyAre) {
  const std::string why = "full";
  Harness harness(GetParam(), {.connections = 1}, why);
  harness.start();
  const int first = harness.connect();
  harness.accepted.wait(0);
  const std::size_t before = open_descriptors();
  std::vector<int> refused;
  for (std::size_t i = 0; i < 2 * RefusedConnections::kMost; ++i) {
    refused.push_back(harness.connect());
    ::send(refused.back(), "hello", 5, MSG_NOSIGNAL);
    EXPECT_EQ(read_until_closed(refused.back()), why.size());
  }
  EXPECT_LE(open_descriptors(), before + refused.size() + RefusedConnections::kMost);
  for (const int fd : refused) ::close(fd);
  while (open_descriptors() > before) std::this_thread::yield();  // they do not stay for long
  EXPECT_EQ(harness.accepted, 1);
  ::close(first);
}

TEST_P(ReactorTest, GivesUpAPeerThatDoesNotRead) {
  Harness harness(GetParam(), {.write_deadline = 20ms});
  const auto much = std::make_shared<std::vector<std::byte>>(64 << 20);
  harness.accept = [&](ConnectionId id) { harness.reactor->send(id, {much, *much}); };
  harness.start();
  const int fd = harness.connect();
  harness.closed.wait(0);
  ::close(fd);
  harness.stop();
  EXPECT_EQ(much.use_count(), 1);
}

// More slices than one call to the kernel takes, more bytes than the socket holds.
TEST_P(ReactorTest, ManySlicesLeaveInOrder) {
  Harness harness(GetParam());
  const auto numbers = std::make_shared<std::vector<std::uint32_t>>(1'000'000);
  for (std::uint32_t i = 0; i < numbers->size(); ++i) (*numbers)[i] = i;
  harness.accept = [&](ConnectionId id) {
    Random random(7);
    const Bytes all = std::as_bytes(std::span(*numbers));
    for (std::size_t at = 0; at < all.size();) {
      const std::size_t size = std::min<std::size_t>(random.below(3'000) + 1, all.size() - at);
      harness.reactor->send(id, {numbers, all.subspan(at, size)});
      at += size;
    }
    harness.reactor->close_when_drained(id);
  };
  harness.start();
  const int fd = harness.connect();
  std::vector<std::uint32_t> read(numbers->size());
  ASSERT_EQ(::recv(fd, read.data(), read.size() * 4, MSG_WAITALL),
            static_cast<ssize_t>(read.size() * 4));
  EXPECT_EQ(read, *numbers);
  EXPECT_EQ(read_until_closed(fd), 0u);
  ::close(fd);
}

TEST_P(ReactorTest, PausingNeitherLosesNorReordersBytes) {
  Harness harness(GetParam());
  std::vector<std::byte> received;
  bool paused = false;
  harness.receive = [&](ConnectionId id, Bytes bytes) {
    EXPECT_FALSE(paused);
    received.insert(received.end(), bytes.begin(), bytes.end());
    paused = true;
    harness.reactor->pause(id);
    // Twice in a row, and once left to the timer.
    harness.reactor->resume(id);
    harness.reactor->pause(id);
    harness.reactor->set_timer(harness.clock.now());
  };
  harness.timer = [&] {
    paused = false;
    harness.reactor->resume(ConnectionId(1));
  };
  harness.start();
  std::vector<std::byte> sent(3'000'000);
  Random random(11);
  for (std::byte& b : sent) b = static_cast<std::byte>(random.next());
  const int fd = harness.connect();
  for (std::size_t at = 0; at < sent.size();) {
    const std::size_t size = std::min<std::size_t>(random.below(100'000) + 1, sent.size() - at);
    ASSERT_EQ(::send(fd, &sent[at], size, 0), static_cast<ssize_t>(size));
    at += size;
  }
  ::close(fd);
  harness.closed.wait(0);  // only behind the last byte, although it came while paused
  EXPECT_TRUE(received == sent);
}

// What a handler that wants its bytes in places of its own has so far.
struct Wanting {
  Landing landing() const {
    return {place, place ? MutableBytes(place->data(), place->size()) : MutableBytes()};
  }
  void want(std::size_t bytes) {
    place = bytes > 0 ? std::make_shared<std::vector<std::byte>>(bytes) : nullptr;
  }
  void take(std::size_t bytes) {
    ASSERT_TRUE(place);
    ASSERT_LE(bytes, place->size());
    all.insert(all.end(), place->begin(), place->begin() + static_cast<std::ptrdiff_t>(bytes));
  }

  std::shared_ptr<std::vector<std::byte>> place;
  std::vector<std::byte> all;
};

TEST_P(ReactorTest, BytesGoWhereTheyAreWantedAndStayInOrder) {
  Harness harness(GetParam());
  Random random(12), size(13);
  Wanting wanting;
  std::size_t landed = 0;
  std::atomic<std::size_t> needed{1};  // in all, until something is told
  bool paused = false;
  const auto next = [&](ConnectionId id) {
    wanting.want(random.below(2) == 0 ? 0 : random.below(200'000) + 1);
    needed = wanting.all.size() + (wanting.place ? wanting.place->size() : 1);
    needed.notify_all();
    if (random.below(4) > 0) return;
    paused = true;
    harness.reactor->pause(id);
    if (random.below(2) == 0) harness.reactor->resume(id);  // and pause again
    harness.reactor->pause(id);
    harness.reactor->set_timer(harness.clock.now());
  };
  harness.wants = [&](ConnectionId) { return wanting.landing(); };
  harness.receive = [&](ConnectionId id, Bytes bytes) {
    EXPECT_FALSE(paused);
    wanting.all.insert(wanting.all.end(), bytes.begin(), bytes.end());
    next(id);
  };
  harness.landed = [&](ConnectionId id, std::size_t bytes) {
    EXPECT_FALSE(paused);
    wanting.take(bytes);
    landed += bytes;
    next(id);
  };
  harness.timer = [&] {
    paused = false;
    harness.reactor->resume(ConnectionId(1));
  };
  harness.start();
  std::vector<std::byte> sent(6'000'000);
  for (std::byte& b : sent) b = static_cast<std::byte>(size.next());
  const int fd = harness.connect();
  for (std::size_t at = 0; at < sent.size();) {
    const std::size_t bytes = std::min<std::size_t>(size.below(150'000) + 1, sent.size() - at);
    ASSERT_EQ(::send(fd, &sent[at], bytes, 0), static_cast<ssize_t>(bytes));
    at += bytes;
    if (size.below(3) > 0) continue;  // else what is wanted next is known before it is sent
    for (std::size_t now; (now = needed) <= at;) needed.wait(now);
  }
  ::close(fd);
  harness.closed.wait(0);
  EXPECT_TRUE(wanting.all == sent);
  EXPECT_GT(landed, 0u);
}

TEST_P(ReactorTest, WhatAPeerThatLeavesDidNotFillIsTold) {
  Harness harness(GetParam());
  Wanting wanting;
  wanting.want(1'000);
  harness.wants = [&](ConnectionId) { return wanting.landing(); };
  harness.landed = [&](ConnectionId, std::size_t bytes) {
    EXPECT_EQ(harness.closed, 0);
    wanting.take(bytes);
    wanting.want(1'000 - wanting.all.size());
  };
  harness.start();
  const int fd = harness.connect();
  ASSERT_EQ(::send(fd, "last words", 10, 0), 10);
  ::close(fd);
  harness.closed.wait(0);
  EXPECT_EQ(as_text(wanting.all), "last words");
}

// The kernel may write there until it let go, whoever else has forgotten of it.
TEST_P(ReactorTest, AClosedConnectionsPlaceStaysUntilNobodyWritesThere) {
  Harness harness(GetParam());
  Wanting wanting;
  wanting.want(100'000);
  std::weak_ptr<void> place = wanting.place;
  harness.wants = [&](ConnectionId) { return wanting.landing(); };
  harness.landed = [](ConnectionId, std::size_t) {};
  harness.wake = [&] {
    wanting.place.reset();
    harness.reactor->close(ConnectionId(1));
  };
  harness.start();
  const int fd = harness.connect();
  ASSERT_EQ(::send(fd, "begun", 5, 0), 5);
  harness.accepted.wait(0);
  harness.reactor->wake();
  ::shutdown(fd, SHUT_WR);
  read_until_reset(fd);
  harness.stop();
  EXPECT_TRUE(place.expired());
}

TEST_P(ReactorTest, APeerThatLeavesWhilePausedIsToldAfterItsBytes) {
  Harness harness(GetParam());
  std::string received;
  harness.accept = [&](ConnectionId id) { harness.reactor->pause(id); };
  harness.receive = [&](ConnectionId, Bytes bytes) {
    EXPECT_EQ(harness.closed, 0);
    received += as_text(bytes);
  };
  harness.wake = [&] { harness.reactor->resume(ConnectionId(1)); };
  harness.start();
  const int fd = harness.connect();
  ASSERT_EQ(::send(fd, "last words", 10, 0), 10);
  ::close(fd);
  harness.accepted.wait(0);
  harness.reactor->wake();
  harness.closed.wait(0);
  EXPECT_EQ(received, "last words");
}

TEST_P(ReactorTest, ACloseInsideAHandlerIsFinal) {
  Harness harness(GetParam());
  const auto much = std::make_shared<std::vector<std::byte>>(64 << 20);
  std::atomic<int> received{0};
  harness.receive = [&](ConnectionId id, Bytes) {
    ++received;
    harness.reactor->send(id, {much, *much});
    if (received % 2 == 0) harness.reactor->set_timer(harness.clock.now());  // output in flight
    if (received % 2 == 1) harness.reactor->close(id);
  };
  harness.timer = [&] { harness.reactor->close(ConnectionId(2)); };
  harness.start();
  for (int i = 0; i < 2; ++i) {
    const int fd = harness.connect();
    ASSERT_EQ(::send(fd, "x", 1, 0), 1);
    read_until_closed(fd);
    ::close(fd);
  }
  harness.stop();
  EXPECT_EQ(received, 2);
  EXPECT_EQ(harness.closed, 0);
  EXPECT_EQ(much.use_count(), 1);
}

// What a handler queues before it stops the reactor leaves as far as it can without waiting.
TEST_P(ReactorTest, TheLastWordsOfARunLeave) {
  Harness harness(GetParam());
  const auto piece = std::make_shared<std::string>("goodbye");
  harness.receive = [&](ConnectionId id, Bytes) {
    harness.reactor->send(id, {piece, as_bytes(*piece)});
    harness.reactor->close_when_drained(id);
    harness.reactor->stop();
  };
  harness.start();
  const int fd = harness.connect();
  ASSERT_EQ(::send(fd, "x", 1, 0), 1);
  EXPECT_EQ(read_until_closed(fd), 7u);
  ::close(fd);
  harness.thread.join();
}

TEST_P(ReactorTest, StopsListeningAndKeepsWhatIsOpen) {
  Harness harness(GetParam());
  harness.wake = [&] { harness.reactor->stop_listening(); };
  harness.receive = [&](ConnectionId id, Bytes) { harness.reactor->close(id); };
  harness.start();
  const int fd = harness.connect();
  harness.accepted.wait(0);
  harness.reactor->wake();
  harness.woken.wait(0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(harness.address.port);
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int late = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::send(fd, "x", 1, 0), 1);
  EXPECT_EQ(read_until_closed(fd), 0u);  // the loop went round: nothing accepts any more
  EXPECT_NE(::connect(late, reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  ::close(fd);
  ::close(late);
}

int highest_descriptor() {
  int highest = 0;
  DIR* open = ::opendir("/proc/self/fd");
  while (const dirent* entry = ::readdir(open)) highest = std::max(highest, ::atoi(entry->d_name));
  ::closedir(open);
  return highest;
}

TEST_P(ReactorTest, WithoutDescriptorsThoseThatWaitAreClosedAndItRecovers) {
  Harness harness(GetParam());
  int clients[3];
  for (int& fd : clients) fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  std::vector<int> taken;  // every number below the limit
  const int highest = highest_descriptor();
  while (taken.empty() || taken.back() < highest) taken.push_back(::dup(clients[0]));
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(taken.back() + 1);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  harness.start();
  for (int i = 1; i < 3; ++i) EXPECT_EQ(read_until_closed(harness.connect(clients[i])), 0u);
  for (const int fd : taken) ::close(fd);
  harness.connect(clients[0]);
  harness.accepted.wait(0);
  EXPECT_EQ(harness.accepted, 1);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  for (const int fd : clients) ::close(fd);
}

Reactor* signalled = nullptr;

TEST_P(ReactorTest, ASignalHandlerMayWakeIt) {
  Harness harness(GetParam());
  signalled = harness.reactor.get();
  struct sigaction action {
  }, before{};
  action.sa_handler = [](int) { signalled->wake(); };
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  harness.start();
  harness.reactor->wake();  // a thread that only begins may lose the signal under a sanitizer
  harness.woken.wait(0);
  ASSERT_EQ(::pthread_kill(harness.thread.native_handle(), SIGUSR1), 0);  // interrupts it, too
  harness.woken.wait(1);
  harness.stop();
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST(OpenReactor, TakesIoUringWhereItExists) {
  if (!test::io_uring_exists()) GTEST_SKIP() << "this kernel has no io_uring, or forbids it";
  Harness harness(ReactorKind::kAuto);
  EXPECT_STREQ(harness.reactor->name(), "uring");
  EXPECT_EQ(harness.fallback, "");
}

[[noreturn]] void run_without_io_uring() {
  if (!test::forbid_io_uring()) ::_exit(1);
  SystemClock clock;
  auto named = open_reactor(ReactorKind::kUring, {}, clock);
  if (named || named.error().code != ErrorCode::kUnsupportedRequest) ::_exit(2);
  std::cerr << named.error().detail;
  Harness harness(ReactorKind::kAuto);
  if (harness.reactor->name() != std::string("epoll") || harness.fallback.empty()) ::_exit(3);
  harness.accept = [&](ConnectionId id) { harness.reactor->close(id); };
  harness.start();
  const int fd = harness.connect();
  ::_exit(read_until_closed(fd) == 0 && harness.accepted == 1 ? 0 : 4);
}

TEST(OpenReactor, WhereIoUringIsForbiddenItFallsBackOrSaysSo) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(run_without_io_uring(), ::testing::ExitedWithCode(0),
              "io_uring_setup: Operation not permitted.*--reactor epoll");
}

TEST(OpenReactor, KnowsItsNames) {
  EXPECT_EQ(*parse_reactor_kind("auto"), ReactorKind::kAuto);
  EXPECT_EQ(*parse_reactor_kind("uring"), ReactorKind::kUring);
  EXPECT_EQ(*parse_reactor_kind("epoll"), ReactorKind::kEpoll);
  EXPECT_EQ(parse_reactor_kind("select").error(), ErrorCode::kUsage);
}

TEST_P(ReactorTest, APortInUseIsSaid) {
  Harness harness(GetParam());
  EXPECT_EQ(harness.reactor->listen(harness.address).error().code, ErrorCode::kAddressInUse);
  EXPECT_EQ(harness.reactor->listen({.unix_path = "/" + std::string(200, 'x')}).error().code,
            ErrorCode::kInvalidAddress);
  EXPECT_EQ(harness.reactor->listen({.host = "no.such.host.invalid"}).error().code,
            ErrorCode::kInvalidAddress);
}

}  // namespace
}  // namespace leat::reactor
