// The broker over real sockets and by way of memory: the native protocol, bad input included.
#include "server/server.h"

#include <filesystem>
#include <iostream>
#include <thread>

#include <gtest/gtest.h>

#include "protocol/record_batch.h"
#include "server/shard.h"
#include "tests/forbid_io_uring.h"
#include "tests/local_relay.h"
#include "tests/raw_connection.h"
#include "tests/temporary_directory.h"

namespace leat {
namespace {

using test::RawConnection;
using test::TemporaryDirectory;
using namespace native;

// Over TCP, Unix sockets and memory; with io_uring under sockets and journal, and without.
class ServerTest : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  void SetUp() override {
    if (std::get<1>(GetParam()) == "uring" && !test::io_uring_exists())
      GTEST_SKIP() << "this kernel has no io_uring, or forbids it";
    open();
  }
  void open() {
    server.reset();
    if (std::get<0>(GetParam()) == "local") return open_local();
    auto opened = Server::open(options());
    ASSERT_TRUE(opened) << opened.error().message();
    server = std::move(*opened);
    EXPECT_EQ(server->reactor(), std::get<1>(GetParam()));
    url = server->listeners().front();
  }
  // The shard itself: the face gives out clients, and these tests are none.
  void open_local() {
    TearDown();
    ServerOptions local = options();
    local.listen.clear();
    shard = std::make_unique<Shard>(std::move(local));
    const auto started = shard->start();
    ASSERT_TRUE(started) << started.error().message();
    std::filesystem::remove(directory / "relay");
    relay = std::make_unique<test::LocalRelay>(directory / "relay",
                                               [this] { return shard->connector(); });
    url = "unix://" + (directory / "relay");
  }
  void TearDown() override {
    if (shard) shard->close();  // ends the relay's connections
    relay.reset();
  }
  ServerOptions options() {
    const auto& [socket, reactor] = GetParam();
    const std::string listen =
        socket == "unix" ? "unix://" + (directory / "socket") : "leat://127.0.0.1:0";
    return {.data_dir = directory / "data",
            .listen = {listen},
            .reactor = reactor,
            .journal = reactor == "uring" ? "uring" : "thread"};
  }
  // What a fresh, well-behaved connection gets for a request.
  template <class Expected>
  Expected ask(RawConnection& connection, const Request& request) {
    connection.send(request);
    const Reply* reply = connection.receive();
    EXPECT_TRUE(reply && std::holds_alternative<Expected>(*reply))
        << (reply && std::holds_alternative<ErrorReply>(*reply)
                ? std::string(std::get<ErrorReply>(*reply).detail)
                : "closed or another reply");
    return reply && std::holds_alternative<Expected>(*reply) ? std::get<Expected>(*reply)
                                                             : Expected{};
  }
  ErrorCode error_of(RawConnection& connection, const Request& request) {
    return ask<ErrorReply>(connection, request).code;
  }
  TopicId create(RawConnection& connection, std::int32_t partitions = 1) {
    return ask<TopicReply>(connection, CreateTopic{"orders", partitions, true}).topic.id;
  }
  static std::vector<std::byte> batch(const std::string& value, int records = 1) {
    RecordBatchBuilder builder;
    for (int i = 0; i < records; ++i) builder.append({as_bytes("key"), as_bytes(value), {}}, 1);
    return builder.take();
  }
  void expect_still_working() {
    RawConnection other(url);
    other.hello();
    ask<Pong>(other, Ping{});
  }

  TemporaryDirectory directory;
  std::unique_ptr<Server> server;
  std::unique_ptr<Shard> shard;
  std::unique_ptr<test::LocalRelay> relay;
  std::string url;
};

INSTANTIATE_TEST_SUITE_P(Sockets, ServerTest,
                         ::testing::Combine(::testing::Values("tcp", "unix", "local"),
                                            ::testing::Values("uring", "epoll")),
                         [](const auto& test) {
                           return std::get<0>(test.param) + "_" + std::get<1>(test.param);
                         });

TEST_P(ServerTest, ProducesAndFetches) {
  RawConnection connection(url);
  connection.hello();
  const TopicId id = create(connection);
  const auto sent = batch("hello", 3);
  EXPECT_EQ(ask<ProduceReply>(connection, Produce{id, PartitionIndex(0), sent}).base_offset,
            Offset(0));
  EXPECT_EQ(ask<ProduceReply>(connection, Produce{id, PartitionIndex(0), sent}).base_offset,
            Offset(3));
  const auto fetched = ask<FetchReply>(connection, Fetch{id, PartitionIndex(0), Offset(4)});
  EXPECT_EQ(fetched.high_watermark, Offset(6));
  const auto view = RecordBatchView::parse(fetched.batches);
  ASSERT_TRUE(view && view->validate());
  EXPECT_EQ(view->base_offset(), Offset(3));  // the batch that holds offset 4, whole
}

TEST_P(ServerTest, AFetchAtTheEndWaitsForData) {
  RawConnection reader(url), writer(url);
  reader.hello();
  writer.hello();
  const TopicId id = create(writer);
  reader.send(Fetch{id, PartitionIndex(0), Offset(0), 1 << 20, 60'000}, 7);
  reader.send(Ping{}, 8);
  ASSERT_TRUE(std::holds_alternative<Pong>(*reader.receive()));  // the fetch waits, others do not
  ask<ProduceReply>(writer, Produce{id, PartitionIndex(0), batch("late")});
  const Reply* reply = reader.receive();
  ASSERT_TRUE(reply && std::holds_alternative<FetchReply>(*reply));
  EXPECT_EQ(reader.correlation(), 7u);
  EXPECT_FALSE(std::get<FetchReply>(*reply).batches.empty());
  // And comes back empty when its time is over.
  EXPECT_TRUE(ask<FetchReply>(reader, Fetch{id, PartitionIndex(0), Offset(1), 1 << 20, 10})
                  .batches.empty());
}

TEST_P(ServerTest, ADeletedTopicWakesItsWaitingFetches) {
  RawConnection reader(url), writer(url);
  reader.hello();
  writer.hello();
  const TopicId id = create(writer);
  reader.send(Fetch{id, PartitionIndex(0), Offset(0), 1 << 20, 60'000});
  reader.send(Ping{});
  reader.receive();
  ask<DeleteTopicReply>(writer, DeleteTopic{"orders"});
  EXPECT_EQ(std::get<ErrorReply>(*reader.receive()).code, ErrorCode::kUnknownTopic);
  EXPECT_EQ(error_of(writer, Fetch{id, PartitionIndex(0), Offset(0)}), ErrorCode::kUnknownTopic);
  EXPECT_NE(create(writer), id);  // rule 7
}

TEST_P(ServerTest, RecordsAndCommitsSurviveARestart) {
  TopicId id;
  {
    RawConnection connection(url);
    connection.hello();
    id = create(connection, 2);
    ask<ProduceReply>(connection, Produce{id, PartitionIndex(1), batch("kept", 5)});
    ask<CommitOffsetsReply>(connection,
                            CommitOffsets{"billing", {{id, PartitionIndex(1), Offset(4), "m"}}});
  }
  open();
  RawConnection connection(url);
  connection.hello();
  EXPECT_EQ(ask<TopicReply>(connection, DescribeTopic{"orders"}).topic.partitions[1].high_watermark,
            Offset(5));
  EXPECT_FALSE(
      ask<FetchReply>(connection, Fetch{id, PartitionIndex(1), Offset(0)}).batches.empty());
  const auto committed = ask<FetchOffsetsReply>(
      connection, FetchOffsets{"billing", {{id, PartitionIndex(0)}, {id, PartitionIndex(1)}}});
  ASSERT_EQ(committed.offsets.size(), 1u);
  EXPECT_EQ(committed.offsets[0].offset, Offset(4));
  EXPECT_EQ(committed.offsets[0].metadata, "m");
}

TEST_P(ServerTest, PipelinedRequestsAreAllAnsweredInOrder) {
  RawConnection connection(url);
  connection.hello();
  const TopicId id = create(connection);
  const auto sent = batch("x");
  std::vector<std::byte> frames;
  for (std::uint64_t i = 1; i <= 10'000; ++i)
    encode(CorrelationId(i), Request(Produce{id, PartitionIndex(0), sent}), frames);
  std::thread sender([&] { connection.send(frames); });
  for (std::uint64_t i = 1; i <= 10'000; ++i) {
    const Reply* reply = connection.receive();
    ASSERT_TRUE(reply && std::holds_alternative<ProduceReply>(*reply));
    ASSERT_EQ(connection.correlation(), i);
    ASSERT_EQ(std::get<ProduceReply>(*reply).base_offset, Offset(static_cast<std::int64_t>(i - 1)));
  }
  sender.join();
}

TEST_P(ServerTest, AReaderThatDoesNotReadIsHeldBackAndLosesNothing) {
  RawConnection connection(url);
  connection.hello();
  const TopicId id = create(connection);
  ask<ProduceReply>(connection, Produce{id, PartitionIndex(0), batch(std::string(1 << 20, 'b'))});
  for (std::uint64_t i = 1; i <= 100; ++i)
    connection.send(Fetch{id, PartitionIndex(0), Offset(0), 1 << 20, 0}, i);
  expect_still_working();
  for (std::uint64_t i = 1; i <= 100; ++i) {
    const Reply* reply = connection.receive();
    ASSERT_TRUE(reply && std::holds_alternative<FetchReply>(*reply)) << i;
    ASSERT_GT(std::get<FetchReply>(*reply).batches.size(), 1u << 20);
  }
}

TEST_P(ServerTest, BadRequestsGetTheirErrorAndTheConnectionStays) {
  RawConnection connection(url);
  connection.hello();
  const TopicId id = create(connection, 2);
  TopicId nobody;
  nobody.bytes[0] = 1;
  const auto good = batch("good");
  EXPECT_EQ(error_of(connection, DescribeTopic{"nope"}), ErrorCode::kUnknownTopic);
  EXPECT_EQ(error_of(connection, DescribeTopic{"a b"}), ErrorCode::kInvalidTopicName);
  EXPECT_EQ(error_of(connection, CreateTopic{"..", 1}), ErrorCode::kInvalidTopicName);
  EXPECT_EQ(error_of(connection, CreateTopic{"new", 0}), ErrorCode::kInvalidPartitionCount);
  EXPECT_EQ(error_of(connection, CreateTopic{"new", 1'000'000}), ErrorCode::kInvalidPartitionCount);
  EXPECT_EQ(error_of(connection, CreateTopic{"orders", 2}), ErrorCode::kTopicExists);
  EXPECT_EQ(error_of(connection, DeleteTopic{"nope"}), ErrorCode::kUnknownTopic);
  EXPECT_EQ(error_of(connection, Produce{nobody, PartitionIndex(0), good}),
            ErrorCode::kUnknownTopic);
  EXPECT_EQ(error_of(connection, Produce{id, PartitionIndex(2), good}),
            ErrorCode::kUnknownPartition);
  EXPECT_EQ(error_of(connection, Produce{id, PartitionIndex(-1), good}),
            ErrorCode::kUnknownPartition);
  EXPECT_EQ(error_of(connection, Produce{id, PartitionIndex(0), {}}), ErrorCode::kInvalidBatch);
  EXPECT_EQ(error_of(connection, Fetch{id, PartitionIndex(0), Offset(1)}),
            ErrorCode::kOffsetOutOfRange);
  EXPECT_EQ(error_of(connection, Fetch{id, PartitionIndex(0), Offset(-1)}),
            ErrorCode::kOffsetOutOfRange);
  EXPECT_EQ(error_of(connection, CommitOffsets{"", {{id, PartitionIndex(0), Offset(0), ""}}}),
            ErrorCode::kInvalidGroupName);
  EXPECT_EQ(error_of(connection, CommitOffsets{"g", {}}), ErrorCode::kInvalidRequest);
  EXPECT_EQ(error_of(connection, CommitOffsets{"g", {{id, PartitionIndex(9), Offset(0), ""}}}),
            ErrorCode::kUnknownPartition);
  const std::string large(5'000, 'm');
  EXPECT_EQ(error_of(connection, CommitOffsets{"g", {{id, PartitionIndex(0), Offset(0), large}}}),
            ErrorCode::kMetadataTooLarge);
  auto corrupt = good;
  corrupt.back() ^= std::byte{1};
  EXPECT_EQ(error_of(connection, Produce{id, PartitionIndex(0), corrupt}),
            ErrorCode::kCorruptBatch);
  auto lying = good;
  store_be<std::int32_t>(&lying[batch_layout::kBatchLength], 0x7fffffff);
  EXPECT_EQ(error_of(connection, Produce{id, PartitionIndex(0), lying}), ErrorCode::kInvalidBatch);
  auto two = good;
  two.insert(two.end(), good.begin(), good.end());
  EXPECT_EQ(error_of(connection, Produce{id, PartitionIndex(0), two}), ErrorCode::kInvalidBatch);
  EXPECT_EQ(error_of(connection, Produce{id, PartitionIndex(0), batch(std::string(9 << 20, 'x'))}),
            ErrorCode::kBatchTooLarge);
  // Nothing of all that was appended.
  EXPECT_EQ(ask<ProduceReply>(connection, Produce{id, PartitionIndex(0), good}).base_offset,
            Offset(0));
}

TEST_P(ServerTest, BadFramesCloseTheirConnectionOnly) {
  std::vector<std::byte> oversized;
  encode(CorrelationId(1), Request(Ping{}), oversized);
  store_le<std::uint32_t>(&oversized[4], 0x7fffffff);
  const std::string cases[] = {"GET / HTTP/1.1\r\n\r\n", std::string(100, '\xff'), "LEAX",
                               std::string(as_text(oversized))};
  for (const std::string& bytes : cases) {
    for (const bool greeted : {false, true}) {
      RawConnection connection(url);
      if (greeted) connection.hello();
      connection.send(as_bytes(bytes));
      const Reply* reply = connection.receive();
      ASSERT_TRUE(reply && std::holds_alternative<ErrorReply>(*reply));
      EXPECT_EQ(connection.correlation(), 0u);
      EXPECT_TRUE(connection.closed_by_peer());
      expect_still_working();
    }
  }
}

TEST_P(ServerTest, TheFirstMessageMustBeAHelloOfAKnownVersion) {
  RawConnection impatient(url);
  impatient.send(Ping{});
  ASSERT_TRUE(std::holds_alternative<ErrorReply>(*impatient.receive()));
  EXPECT_TRUE(impatient.closed_by_peer());
  RawConnection futuristic(url);
  futuristic.send(Hello{2, 9, "tomorrow"});
  EXPECT_EQ(std::get<ErrorReply>(*futuristic.receive()).code, ErrorCode::kUnsupportedVersion);
  EXPECT_TRUE(futuristic.closed_by_peer());
  expect_still_working();
}

TEST_P(ServerTest, AConnectionCutAtAnyByteLeavesTheRestWorking) {
  RawConnection connection(url);
  connection.hello();
  const TopicId id = create(connection);
  std::vector<std::byte> frame;
  encode(CorrelationId(1), Request(Produce{id, PartitionIndex(0), batch("cut")}), frame);
  for (std::size_t size = 0; size < frame.size(); size += 7) {
    RawConnection cut(url);
    cut.hello();
    cut.send(Bytes(frame).first(size));
  }
  EXPECT_EQ(
      ask<ProduceReply>(connection, Produce{id, PartitionIndex(0), batch("whole")}).base_offset,
      Offset(0));
}

TEST_P(ServerTest, FramesMayArriveByteByByte) {
  RawConnection connection(url);
  std::vector<std::byte> frames;
  encode(CorrelationId(1), Request(Hello{}), frames);
  encode(CorrelationId(2), Request(CreateTopic{"orders", 1}), frames);
  for (const std::byte& b : frames) connection.send(Bytes(&b, 1));
  EXPECT_TRUE(std::holds_alternative<HelloReply>(*connection.receive()));
  EXPECT_TRUE(std::holds_alternative<TopicReply>(*connection.receive()));
}

ErrorCode open_error(ServerOptions options) {
  auto opened = Server::open(std::move(options));
  return opened ? ErrorCode::kOk : opened.error().code;
}

TEST(ServerOpen, SaysWhatIsWrong) {
  TemporaryDirectory directory;
  auto first = Server::open({.data_dir = directory / "a", .listen = {"leat://127.0.0.1:0"}});
  ASSERT_TRUE(first);
  const std::string taken = (*first)->listeners().front();
  EXPECT_EQ(open_error({.data_dir = directory / "b", .listen = {taken}}), ErrorCode::kAddressInUse);
  EXPECT_EQ(open_error({.data_dir = directory / "a", .listen = {"leat://127.0.0.1:0"}}),
            ErrorCode::kDataDirLocked);
  EXPECT_EQ(open_error({.data_dir = directory / "x/y/z"}), ErrorCode::kDataDirMissing);
  EXPECT_EQ(open_error({.data_dir = directory / "c", .reactor = "select"}), ErrorCode::kUsage);
  EXPECT_EQ(open_error({.data_dir = directory / "c", .journal = "paper"}), ErrorCode::kUsage);
  EXPECT_EQ(open_error({.data_dir = directory / "c", .listen = {"leat://0.0.0.0:0"}}),
            ErrorCode::kNotAllowed);
  for (const char* bad :
       {"tcp://x", "leat://", "leat://127.0.0.1:port", "leat://127.0.0.1:70000", "unix://relative"})
    EXPECT_EQ(open_error({.data_dir = directory / "d", .listen = {bad}}),
              ErrorCode::kInvalidAddress)
        << bad;
}

[[noreturn]] void serve_without_io_uring() {
  if (!test::forbid_io_uring()) ::_exit(1);
  TemporaryDirectory directory;
  std::string said;
  auto server = Server::open({.data_dir = directory / "data",
                              .listen = {"leat://127.0.0.1:0"},
                              .log = [&](LogLevel, std::string_view line) { said += line; }});
  if (!server || (*server)->reactor() != "epoll" || (*server)->journal() != "thread") ::_exit(2);
  std::cerr << said;
  RawConnection connection((*server)->listeners().front());
  connection.hello();
  (*server)->close();
  ::_exit(::testing::Test::HasFailure() ? 3 : 0);
}

TEST(ServerOpen, WhereIoUringIsForbiddenItServesAndSaysWhy) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(serve_without_io_uring(), ::testing::ExitedWithCode(0),
              "event=reactor name=epoll reason='io_uring cannot be used.*not permitted.*"
              "event=journal writes=thread reason='io_uring cannot be used.*not permitted");
}

TEST(ServerOpen, SeveralServersRunInOneProcess) {
  TemporaryDirectory directory;
  auto one = Server::open({.data_dir = directory / "1", .listen = {"leat://127.0.0.1:0"}});
  auto two = Server::open({.data_dir = directory / "2", .listen = {"leat://127.0.0.1:0"}});
  ASSERT_TRUE(one && two);
  for (const auto* server : {&*one, &*two}) {
    RawConnection connection((*server)->listeners().front());
    connection.hello();
  }
  (*one)->close();
  RawConnection connection((*two)->listeners().front());
  connection.hello();
}

}  // namespace
}  // namespace leat
