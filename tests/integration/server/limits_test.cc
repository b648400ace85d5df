// The limits that a server is given reach the part that keeps them.
#include <atomic>

#include <gtest/gtest.h>

#include "client/blocking.h"
#include "protocol/record_batch.h"
#include "server/server.h"
#include "tests/raw_connection.h"
#include "tests/temporary_directory.h"

namespace leat {
namespace {

using test::RawConnection;
using namespace native;

class LimitsTest : public ::testing::Test {
 protected:
  void open(const ServerLimits& limits) {
    auto opened = Server::open({.data_dir = directory / "data",
                                .listen = {"leat://127.0.0.1:0"},
                                .memory_bytes = 16 << 20,
                                .limits = limits});
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

TEST_F(LimitsTest, ConnectionsBeyondTheLimitAreClosedAndTheOthersServed) {
  open({.reactor = {.connections = 2}});
  RawConnection one(url), two(url);
  one.hello();
  two.hello();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(RawConnection(url).closed_by_peer());
  one.send(Ping{});
  EXPECT_TRUE(one.receive());
  two.send(Ping{});
  EXPECT_TRUE(two.receive());
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
