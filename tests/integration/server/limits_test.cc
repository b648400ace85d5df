// The limits that a server is given reach the part that keeps them.
#include <atomic>
#include <mutex>

#include <gtest/gtest.h>

#include "client/blocking.h"
#include "protocol/record_batch.h"
#include "server/server.h"
#include "tests/forbid_io_uring.h"
#include "tests/raw_connection.h"
#include "tests/temporary_directory.h"

namespace leat {
namespace {

using test::RawConnection;
using namespace native;

class LimitsTest : public ::testing::Test {
 protected:
  void open(const ServerLimits& limits, const std::string& reactor = "auto") {
    server.reset();
    auto opened = Server::open({.data_dir = directory / "data",
                                .listen = {"leat://127.0.0.1:0", "unix://" + (directory / "leat")},
                                .memory_bytes = 16 << 20,
                                .limits = limits,
                                .reactor = reactor});
    ASSERT_TRUE(opened) << opened.error().message();
    server = std::move(*opened);
    url = server->listeners().front();
  }
  static Error error_of(RawConnection& connection, const Request& request) {
    connection.send(request);
    const Reply* reply = connection.receive();
    const auto* error = reply ? std::get_if<ErrorReply>(reply) : nullptr;
    EXPECT_TRUE(error);
    return error ? Error(error->code, std::string(error->detail)) : Error(ErrorCode::kOk);
  }
  static TopicId create(RawConnection& connection, const std::string& name) {
    connection.send(CreateTopic{name, 1, true});
    const Reply* reply = connection.receive();
    const auto* topic = reply ? std::get_if<TopicReply>(reply) : nullptr;
    EXPECT_TRUE(topic) << name;
    return topic ? topic->topic.id : TopicId{};
  }

  test::TemporaryDirectory directory;
  std::unique_ptr<Server> server;
  std::string url;
};

TEST_F(LimitsTest, ConnectionsBeyondTheLimitAreToldSoAndTheOthersServed) {
  for (const std::string reactor : {"uring", "epoll"}) {
    if (reactor == "uring" && !test::io_uring_exists()) continue;
    open({.reactor = {.connections = 2}}, reactor);
    RawConnection one(url), two(url);
    one.hello();
    two.hello();
    for (int i = 0; i < 3; ++i) {
      RawConnection three(url);
      const Error why = error_of(three, Hello{});
      EXPECT_EQ(three.correlation(), 0u);
      EXPECT_EQ(why.code, ErrorCode::kLimitReached);
      EXPECT_NE(why.detail.find("takes 2 connections (limits.connections)"), std::string::npos)
          << why.detail;
      EXPECT_TRUE(three.closed_by_peer());
    }
    for (RawConnection* connection : {&one, &two}) {
      connection->send(Ping{});
      EXPECT_TRUE(connection->receive());
    }
  }
}

TEST_F(LimitsTest, AClientSaysWhichLimitKeptItOut) {
  for (const std::string reactor : {"uring", "epoll"}) {
    if (reactor == "uring" && !test::io_uring_exists()) continue;
    open({.reactor = {.connections = 1}}, reactor);
    RawConnection one(url);
    one.hello();
    for (const std::string& listener : server->listeners()) {
      const auto refused = blocking::Client::connect({.broker = listener});
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().code, ErrorCode::kLimitReached);
      EXPECT_NE(refused.error().message().find("limits.connections"), std::string::npos)
          << refused.error().message();
    }
    ASSERT_TRUE(server->connect_local());  // has a limit of its own
  }
}

// Kafka's protocol has no words for it, and whoever runs the broker would look in vain.
TEST_F(LimitsTest, ConnectionsThatAreRefusedAreLogged) {
  std::mutex mutex;
  std::vector<std::string> lines;
  ServerOptions options{.data_dir = directory / "data", .listen = {"kafka://127.0.0.1:0"}};
  options.limits.reactor.connections = 1;
  options.log = [&](LogLevel, std::string_view line) {
    const std::lock_guard lock(mutex);
    if (line.find("connections_refused") != std::string_view::npos) lines.emplace_back(line);
  };
  auto opened = Server::open(options);
  ASSERT_TRUE(opened) << opened.error().message();
  const std::string kafka = (*opened)->listeners().front();
  RawConnection one(kafka);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(RawConnection(kafka).closed_by_peer());
  opened->reset();
  ASSERT_FALSE(lines.empty());
  EXPECT_LT(lines.size(), 20u);  // a flood does not fill the log
  EXPECT_NE(lines[0].find("listener=" + kafka), std::string::npos) << lines[0];
  EXPECT_NE(lines[0].find("limit=1 refused=1"), std::string::npos) << lines[0];
  EXPECT_NE(lines[0].find("raise limits.connections"), std::string::npos) << lines[0];
}

TEST_F(LimitsTest, ALocalClientIsToldTheSame) {
  open({.reactor = {.connections = 1}});
  auto one = server->connect_local();
  ASSERT_TRUE(one);
  const auto two = server->connect_local();
  ASSERT_FALSE(two);
  EXPECT_EQ(two.error().code, ErrorCode::kLimitReached);
  EXPECT_NE(two.error().message().find("limits.connections"), std::string::npos);
}

TEST_F(LimitsTest, LargeBatchesAreRefusedAndTheConnectionStays) {
  open({.broker = {.batch_bytes = 1'000, .decompressed_bytes = 2'000}});
  RawConnection connection(url);
  connection.hello();
  const TopicId id = create(connection, "orders");
  RecordBatchBuilder builder;
  builder.append({{}, as_bytes(std::string(3'000, 'x')), {}}, 1);
  const Error plain = error_of(connection, Produce{id, PartitionIndex(0), builder.finish()});
  EXPECT_EQ(plain.code, ErrorCode::kBatchTooLarge);
  EXPECT_NE(plain.detail.find("at most 1000"), std::string::npos) << plain.detail;
  const Error bomb =
      error_of(connection, Produce{id, PartitionIndex(0), builder.finish(Compression::kLz4)});
  EXPECT_EQ(bomb.code, ErrorCode::kBatchTooLarge);
  EXPECT_NE(bomb.detail.find("more than 2000"), std::string::npos) << bomb.detail;
}

TEST_F(LimitsTest, AClientKeepsToWhatTheBrokerTakes) {
  open({.broker = {.batch_bytes = 4'000}});
  auto client = blocking::Client::connect({.broker = url}).value();
  ASSERT_TRUE(client.create_topic("orders", 1));
  auto producer = client.producer(Topic{"orders"}).value();  // whose batches would be larger
  std::atomic<int> acknowledged{0};
  for (int i = 0; i < 1'000; ++i)
    ASSERT_TRUE(producer->send({.value = as_bytes("forty bytes or so, to fill many batches.")},
                               [&](const Result<Ack>& ack) { acknowledged += ack ? 1 : 0; }));
  ASSERT_TRUE(producer->flush());
  EXPECT_EQ(acknowledged, 1'000);
  const std::string large(4'000, 'x');
  const auto refused = producer->send({.value = as_bytes(large)}, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kBatchTooLarge);
  EXPECT_NE(refused.error().detail.find("4000"), std::string::npos) << refused.error().detail;
}

TEST_F(LimitsTest, FramesAreBounded) {
  open({.broker = {.batch_bytes = 4'000}, .session = {.limits = {.payload_bytes = 4'096}}});
  RawConnection connection(url);
  connection.hello();
  const std::vector<std::byte> payload(5'000);
  const Error error = error_of(connection, Produce{{}, PartitionIndex(0), payload});
  EXPECT_EQ(error.code, ErrorCode::kFrameTooLarge);
  EXPECT_TRUE(connection.closed_by_peer());
}

TEST_F(LimitsTest, TopicsPartitionsAndGroupsAreCounted) {
  open({.broker = {.topics = 2, .partitions_per_topic = 3, .partitions = 4, .groups = 1}});
  RawConnection connection(url);
  connection.hello();
  EXPECT_EQ(error_of(connection, CreateTopic{"wide", 4}).code, ErrorCode::kInvalidPartitionCount);
  const TopicId id = create(connection, "one");
  RawConnection other(url);
  other.hello();
  other.send(CreateTopic{"a", 3});
  EXPECT_TRUE(std::holds_alternative<TopicReply>(*other.receive()));
  const Error third = error_of(connection, CreateTopic{"b", 1});
  EXPECT_EQ(third.code, ErrorCode::kLimitReached);
  EXPECT_NE(third.detail.find("2 topics"), std::string::npos) << third.detail;
  connection.send(CommitOffsets{"g", {{id, PartitionIndex(0), Offset(0), ""}}});
  connection.receive();
  EXPECT_EQ(error_of(connection, CommitOffsets{"h", {{id, PartitionIndex(0), Offset(0), ""}}}).code,
            ErrorCode::kLimitReached);
}

TEST_F(LimitsTest, LimitsThatDoNotGoTogetherAreRefusedAtOpening) {
  for (const ServerLimits& bad : {ServerLimits{.broker = {.batch_bytes = 32 << 20}},
                                  ServerLimits{.broker = {.decompressed_bytes = 1'000}},
                                  ServerLimits{.broker = {.auto_create_partitions = 2'000}},
                                  ServerLimits{.replay = {.unpersisted_bytes = 64 << 20}}}) {
    auto opened = Server::open({.data_dir = directory / "x", .limits = bad});
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::kUsage);
  }
}

}  // namespace
}  // namespace leat
