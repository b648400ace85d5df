// Compressed batches from a producer through a broker to a consumer, and after a restart.
#include <set>

#include <gtest/gtest.h>

#include "client/blocking.h"
#include "protocol/native/codec.h"
#include "protocol/record_batch.h"
#include "server/server.h"
#include "tests/forbid_io_uring.h"
#include "tests/raw_connection.h"
#include "tests/temporary_directory.h"

namespace leat {
namespace {

using namespace std::chrono_literals;

class CompressionTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string_view(GetParam()) == "uring" && !test::io_uring_exists())
      GTEST_SKIP() << "this kernel has no io_uring, or forbids it";
  }
  void open(const ServerLimits& limits = {}) {
    server.reset();
    auto opened = Server::open({.data_dir = directory / "data",
                                .listen = {"leat://127.0.0.1:0"},
                                .limits = limits,
                                .reactor = GetParam()});
    ASSERT_TRUE(opened) << opened.error().message();
    server = std::move(*opened);
    url = server->listeners().front();
  }
  blocking::Client connect() const { return blocking::Client::connect({.broker = url}).value(); }
  static std::string value(int i) { return "value " + std::to_string(i) + std::string(500, '.'); }

  test::TemporaryDirectory directory;
  std::unique_ptr<Server> server;
  std::string url;
};

// Every record, in order, as it was sent.
void expect_records(blocking::Client& client, const std::string& topic, int count) {
  auto consumer = client.consumer({.topics = {topic}}).value();
  for (int next = 0; next < count;) {
    const auto records = consumer->poll(30s);
    ASSERT_TRUE(records) << records.error().message();
    ASSERT_FALSE(records->empty()) << topic << " after " << next;
    for (const ConsumedRecord& record : *records) {
      EXPECT_EQ(record.offset, Offset(next));
      ASSERT_EQ(as_text(*record.value), "value " + std::to_string(next) + std::string(500, '.'));
      ++next;
    }
  }
}

// The types of the batches that the broker holds: stored as they came.
std::set<Compression> stored_types(const std::string& url, const TopicId& topic) {
  test::RawConnection connection(url);
  connection.hello();
  connection.send(native::Fetch{topic, PartitionIndex(0), Offset(0), 1 << 20, 0});
  const native::Reply* reply = connection.receive();
  std::set<Compression> types;
  for (Bytes rest = std::get<native::FetchReply>(*reply).batches; !rest.empty();) {
    const auto batch = RecordBatchView::parse(rest).value();
    types.insert(batch.compression());
    rest = rest.subspan(batch.bytes().size());
  }
  return types;
}

TEST_P(CompressionTest, EveryCodecGoesThroughAndSurvivesARestart) {
  open();
  constexpr int kRecords = 2'000;
  constexpr Compression kTypes[] = {Compression::kNone, Compression::kGzip, Compression::kSnappy,
                                    Compression::kLz4, Compression::kZstd};
  {
    blocking::Client client = connect();
    for (const Compression type : kTypes) {
      const std::string topic(name_of(type));
      ASSERT_TRUE(client.create_topic(topic, 1));
      auto producer = client.producer(Topic{topic}, {.compression = type}).value();
      for (int i = 0; i < kRecords; ++i) {
        const std::string text = value(i);
        ASSERT_TRUE(producer->send({.value = as_bytes(text)},
                                   [](const Result<Ack>& ack) { EXPECT_TRUE(ack); }));
      }
      ASSERT_TRUE(producer->flush());
    }
  }
  for (const bool restarted : {false, true}) {
    if (restarted) open();
    blocking::Client client = connect();
    for (const Compression type : kTypes) {
      const std::string topic(name_of(type));
      expect_records(client, topic, kRecords);
      const auto id = client.describe_topic(topic)->id;
      EXPECT_EQ(stored_types(url, id), std::set{type}) << topic;
    }
  }
}

TEST_P(CompressionTest, ABombIsRefusedAndNothingIsStored) {
  open();
  blocking::Client client = connect();
  ASSERT_TRUE(client.create_topic("orders", 1));
  RecordBatchBuilder builder;
  const std::string zeros(70 << 20, '0');
  builder.append({{}, as_bytes(zeros), {}}, 1);
  const auto bomb = builder.take(Compression::kZstd);
  ASSERT_LT(bomb.size(), 100'000u);
  test::RawConnection connection(url);
  connection.hello();
  const TopicId id = client.describe_topic("orders")->id;
  connection.send(native::Produce{id, PartitionIndex(0), bomb});
  EXPECT_EQ(std::get<native::ErrorReply>(*connection.receive()).code, ErrorCode::kBatchTooLarge);
  EXPECT_EQ(client.describe_topic("orders")->partitions[0].high_watermark, Offset(0));
}

// A batch of one record of `bytes`, which is long work to check and little to send.
std::vector<std::byte> bomb_of(std::size_t bytes, Compression type = Compression::kGzip) {
  RecordBatchBuilder builder;
  const std::string zeros(bytes, '0');
  builder.append({.value = as_bytes(zeros)}, 1);
  return builder.take(type);
}

std::vector<std::byte> plain_batch() {
  RecordBatchBuilder builder;
  builder.append({.value = as_bytes("plain")}, 1);
  return builder.take();
}

const native::ProduceReply* produced(test::RawConnection& connection) {
  const native::Reply* reply = connection.receive();
  return reply ? std::get_if<native::ProduceReply>(reply) : nullptr;
}

TEST_P(CompressionTest, BatchesKeepTheirOrderThroughAQueueThatIsTooSmallForThem) {
  open({.broker = {.checking_bytes = 40'000}});
  const TopicId id = connect().create_topic("orders", 2)->id;
  const auto large = bomb_of(1 << 20), small = plain_batch();
  constexpr std::uint64_t kEach = 40;
  test::RawConnection one(url), two(url);
  for (test::RawConnection* connection : {&one, &two}) {
    connection->hello();
    for (std::uint64_t i = 0; i < kEach; ++i)
      connection->send(native::Produce{id, PartitionIndex(0), i % 3 == 0 ? small : large}, 10 + i);
  }
  std::set<Offset> bases;
  for (test::RawConnection* connection : {&one, &two}) {
    Offset before(-1);
    for (std::uint64_t i = 0; i < kEach; ++i) {
      const auto* reply = produced(*connection);
      ASSERT_TRUE(reply) << i;
      EXPECT_EQ(connection->correlation(), 10 + i);
      EXPECT_GT(reply->base_offset, before);
      before = reply->base_offset;
      bases.insert(before);
    }
  }
  EXPECT_EQ(bases.size(), 2 * kEach);
}

TEST_P(CompressionTest, ConnectionsMayCloseAndTheServerToo) {
  open();
  const TopicId id = connect().create_topic("orders", 1)->id;
  const auto large = bomb_of(16 << 20);
  test::RawConnection stays(url);
  stays.hello();
  {
    test::RawConnection goes(url);
    goes.hello();
    for (int i = 0; i < 8; ++i) goes.send(native::Produce{id, PartitionIndex(0), large});
  }
  stays.send(native::Produce{id, PartitionIndex(0), plain_batch()});
  EXPECT_TRUE(produced(stays));
  for (int i = 0; i < 8; ++i) stays.send(native::Produce{id, PartitionIndex(0), large});
  server->close();
}

TEST_P(CompressionTest, ALocalClientsBatchesGoTheSameWay) {
  open();
  auto client = server->connect_local().value();
  ASSERT_TRUE(client.create_topic("orders", 1));
  auto producer = client.producer(Topic{"orders"}, {.compression = Compression::kZstd}).value();
  const std::string zeros(300'000, '0');
  std::vector<Offset> offsets;
  for (int i = 0; i < 20; ++i)
    ASSERT_TRUE(producer->send({.value = as_bytes(zeros)}, [&](const Result<Ack>& ack) {
      if (ack) offsets.push_back(ack->offset);
    }));
  ASSERT_TRUE(producer->flush());
  ASSERT_EQ(offsets.size(), 20u);
  for (std::size_t i = 0; i < offsets.size(); ++i)
    EXPECT_EQ(offsets[i], Offset(static_cast<std::int64_t>(i)));
}

INSTANTIATE_TEST_SUITE_P(Reactors, CompressionTest, ::testing::Values("uring", "epoll"),
                         [](const auto& which) { return std::string(which.param); });

}  // namespace
}  // namespace leat
