// The client's edge against a broker that misbehaves by script.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <mutex>
#include <thread>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "client/blocking.h"
#include "protocol/native/codec.h"

namespace leat {
namespace {

using namespace std::chrono_literals;

constexpr auto kHang = 30s;  // detects a hang, times nothing

// Answers requests by script, one connection after the other, on a thread of its own.
class ScriptedBroker {
 public:
  using Script = std::function<void(CorrelationId, const native::Request&)>;

  ScriptedBroker() {
    std::string pattern = ::testing::TempDir() + "leat-link-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_, 8), 0);
  }
  ~ScriptedBroker() {
    ::shutdown(listener_, SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    ::close(listener_);
    std::filesystem::remove_all(directory_);
  }

  // `script` sees what is neither Hello, DescribeTopic nor InitProducer; it calls answer() and
  // hang_up().
  void run(Script script) {
    script_ = std::move(script);
    thread_ = std::thread([this] {
      while ((connection_ = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0) serve();
    });
  }
  void answer(CorrelationId id, const native::Reply& reply) {
    std::vector<std::byte> frame;
    native::encode(id, reply, frame);
    const ssize_t sent = ::send(connection_, frame.data(), frame.size(), MSG_NOSIGNAL);
    if (sent < 0) return;  // who hangs up need not wait for the other side
    EXPECT_EQ(sent, static_cast<ssize_t>(frame.size()));
  }
  void hang_up() { ::shutdown(connection_, SHUT_RDWR); }

  std::string path() const { return directory_ + "/socket"; }
  std::string url() const { return "unix://" + path(); }

 private:
  void serve() {
    std::vector<std::byte> received, read(64 << 10);
    for (ssize_t n; (n = ::read(connection_, read.data(), read.size())) > 0;) {
      received.insert(received.end(), read.begin(), read.begin() + n);
      for (;;) {
        const auto frame = native::parse_frame(received, {});
        if (!frame || !*frame) break;
        CorrelationId id;
        native::AlignedEnvelope aligned;
        const auto request = native::decode_request(**frame, aligned, id);
        ASSERT_TRUE(request);
        take(id, request->message);
        received.erase(received.begin(),
                       received.begin() + static_cast<std::ptrdiff_t>((*frame)->frame_bytes));
      }
    }
    ::close(connection_);
  }
  void take(CorrelationId id, const native::Request& request) {
    native::TopicState topic;
    topic.id.bytes[0] = 1;
    topic.name = "orders";
    topic.partitions.resize(2);
    if (std::holds_alternative<native::Hello>(request))
      answer(id, native::HelloReply{1, "scripted", 256 << 10, 16 << 20, 8 << 20});
    else if (std::holds_alternative<native::DescribeTopic>(request))
      answer(id, native::TopicReply{topic});
    else if (std::holds_alternative<native::InitProducer>(request))
      answer(id, native::InitProducerReply{++producers_, 0});
    else
      script_(id, request);
  }

  std::string directory_;
  int listener_ = -1, connection_ = -1;
  Script script_;
  std::int64_t producers_ = 0;
  std::thread thread_;
};

TEST(Link, AWaitingReplyDoesNotHoldTheNextBatchBack) {
  ScriptedBroker broker;
  std::atomic<int> seen{0};
  std::vector<CorrelationId> held;  // answered once both batches are there
  broker.run([&](CorrelationId id, const native::Request& request) {
    ASSERT_TRUE(std::holds_alternative<native::Produce>(request));
    held.push_back(id);
    ++seen;
    seen.notify_all();
    if (held.size() < 2) return;
    for (std::size_t i = 0; i < held.size(); ++i)
      broker.answer(held[i], native::ProduceReply{Offset(static_cast<std::int64_t>(i))});
    held.clear();
  });
  auto client = blocking::Client::connect({.broker = broker.url(), .request_timeout = kHang});
  ASSERT_TRUE(client) << client.error().message();
  auto producer = client->producer(Topic{"orders"}, {.linger = 1ms, .delivery_timeout = kHang});
  ASSERT_TRUE(producer);
  std::mutex mutex;
  std::condition_variable changed;
  int acknowledged = 0;
  for (const int partition : {0, 1}) {
    ASSERT_TRUE((*producer)->send({.value = as_bytes("x"), .partition = PartitionIndex(partition)},
                                  [&](const Result<Ack>& ack) {
                                    const std::lock_guard lock(mutex);
                                    acknowledged += ack.has_value();
                                    changed.notify_all();
                                  }));
    seen.wait(0);  // the first batch is on its way by itself
  }
  std::unique_lock lock(mutex);
  EXPECT_TRUE(changed.wait_for(lock, kHang, [&] { return acknowledged == 2; }));
}

TEST(Link, ALostReplyIsAskedForAgainOnlyWhereThatIsHarmless) {
  ScriptedBroker broker;
  int creates = 0, pings = 0;
  broker.run([&](CorrelationId id, const native::Request& request) {
    if (std::holds_alternative<native::CreateTopic>(request)) {
      ++creates;
      return broker.hang_up();
    }
    if (++pings == 1) return broker.hang_up();
    broker.answer(id, native::Pong{});
  });
  auto client = blocking::Client::connect({.broker = broker.url()});
  ASSERT_TRUE(client) << client.error().message();
  const auto created = client->create_topic("orders", 1);
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code, ErrorCode::kDisconnected);
  EXPECT_TRUE(client->ping());
  EXPECT_EQ(creates, 1);
  EXPECT_EQ(pings, 2);
}

// What asks again for ever behind a reader must not keep who opens one.
TEST(Link, AConsumerIsNotWaitedForWithoutEnd) {
  ScriptedBroker broker;
  broker.run([&](CorrelationId, const native::Request&) { broker.hang_up(); });
  auto client = blocking::Client::connect({.broker = broker.url(), .request_timeout = 100ms});
  ASSERT_TRUE(client) << client.error().message();
  for (const bool by_hand : {true, false}) {
    const auto consumer =
        client->consumer({.topics = {"orders"}, .group = Group{"g"}, .by_hand = by_hand});
    ASSERT_FALSE(consumer);
    EXPECT_EQ(consumer.error(), ErrorCode::kTimedOut);
  }
}

TEST(Link, AHandlerThatWouldWaitForItselfIsRefused) {
  ScriptedBroker broker;
  broker.run([&](CorrelationId id, const native::Request&) {
    broker.answer(id, native::ProduceReply{Offset(0)});
  });
  auto client = blocking::Client::connect({.broker = broker.url()});
  ASSERT_TRUE(client) << client.error().message();
  auto producer = client->producer(Topic{"orders"});
  ASSERT_TRUE(producer);
  Result<> flushed, pinged;
  ASSERT_TRUE((*producer)->send({.value = as_bytes("x")}, [&](const Result<Ack>&) {
    flushed = (*producer)->flush(10s);
    if (auto ok = client->ping(); !ok) pinged = fail(ok.error());
  }));
  ASSERT_TRUE((*producer)->flush(kHang));
  ASSERT_FALSE(flushed);
  EXPECT_EQ(flushed.error().code, ErrorCode::kNotAllowed);
  ASSERT_FALSE(pinged);
  EXPECT_EQ(pinged.error().code, ErrorCode::kNotAllowed);
}

// Rule 13: a child that execs inherits none of our descriptors.
TEST(Link, OpensEverythingCloseOnExec) {
  std::vector<int> before;
  for (int fd = 0; fd < 256; ++fd)
    if (::fcntl(fd, F_GETFD) >= 0) before.push_back(fd);
  ScriptedBroker broker;
  broker.run([](CorrelationId, const native::Request&) {});
  auto client = blocking::Client::connect({.broker = broker.url()});
  ASSERT_TRUE(client) << client.error().message();
  int opened = 0;
  for (int fd = 0; fd < 256; ++fd) {
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags < 0 || std::find(before.begin(), before.end(), fd) != before.end()) continue;
    ++opened;
    EXPECT_TRUE(flags & FD_CLOEXEC)
        << std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd));
  }
  EXPECT_GE(opened, 3);
}

}  // namespace
}  // namespace leat
