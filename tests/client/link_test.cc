// The client's edge against a broker that misbehaves by script.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <mutex>

#include <fcntl.h>

#include <gtest/gtest.h>

#include "client/blocking.h"
#include "tests/client/scripted_broker.h"

namespace leat {
namespace {

using namespace std::chrono_literals;
using test::ScriptedBroker;

constexpr auto kHang = 30s;  // detects a hang, times nothing

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
