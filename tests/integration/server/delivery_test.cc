// Push, groups, producers and durability levels over real sockets, through restarts and a real
// kill.
#include <thread>

#include <signal.h>

#include <gtest/gtest.h>

#include "examples/demo/process.h"
#include "protocol/base/crc32c.h"
#include "protocol/record_batch.h"
#include "server/server.h"
#include "tests/raw_connection.h"
#include "tests/temporary_directory.h"

namespace leat {
namespace {

using namespace native;
using test::RawConnection;
using test::TemporaryDirectory;

std::vector<std::byte> batch(const std::string& value, int records = 1) {
  RecordBatchBuilder builder;
  for (int i = 0; i < records; ++i) builder.append({as_bytes("key"), as_bytes(value), {}}, 1);
  return builder.take();
}

std::vector<std::byte> sequenced(std::int64_t producer, std::int32_t sequence) {
  auto bytes = batch("s");
  store_be(bytes.data() + batch_layout::kProducerId, producer);
  store_be<std::int16_t>(bytes.data() + batch_layout::kProducerEpoch, 0);
  store_be(bytes.data() + batch_layout::kBaseSequence, sequence);
  store_be(bytes.data() + batch_layout::kCrc,
           crc32c(Bytes(bytes).subspan(batch_layout::kAttributes)));
  return bytes;
}

template <class Expected>
Expected ask(RawConnection& connection, const Request& request) {
  connection.send(request);
  const Reply* reply = connection.receive();
  const bool fits = reply && std::holds_alternative<Expected>(*reply);
  const auto* error = reply ? std::get_if<ErrorReply>(reply) : nullptr;
  EXPECT_TRUE(fits) << (error ? std::string(error->detail) : "closed, or another reply");
  return fits ? std::get<Expected>(*reply) : Expected{};
}

class DeliveryTest : public ::testing::Test {
 protected:
  void SetUp() override { open(); }
  void open() {
    server.reset();
    auto opened = Server::open({.data_dir = directory / "data", .listen = {"leat://127.0.0.1:0"}});
    ASSERT_TRUE(opened) << opened.error().message();
    server = std::move(*opened);
    url = server->listeners().front();
  }
  std::unique_ptr<RawConnection> connect() const {
    auto connection = std::make_unique<RawConnection>(url);
    connection->hello();
    return connection;
  }

  TemporaryDirectory directory;
  std::unique_ptr<Server> server;
  std::string url;
};

// Reads pushes until `until`, in order and without a gap.
void read_to(RawConnection& connection, Offset& next, Offset until) {
  while (next < until) {
    const Reply* reply = connection.receive();
    ASSERT_TRUE(reply);
    const auto* push = std::get_if<Push>(reply);
    ASSERT_TRUE(push);
    for (Bytes rest = push->batches; !rest.empty();) {
      const auto view = RecordBatchView::parse(rest);
      ASSERT_TRUE(view && view->validate());
      ASSERT_EQ(view->base_offset(), next);
      next = view->last_offset() + 1;
      rest = rest.subspan(view->bytes().size());
    }
  }
}

TEST_F(DeliveryTest, SubscribersGetWhatIsStoredThenWhatComesEachOnce) {
  const auto producer = connect();
  const TopicId topic = ask<TopicReply>(*producer, CreateTopic{"t", 1}).topic.id;
  const auto produce = [&](int batches) {
    for (int i = 0; i < batches; ++i)
      ask<ProduceReply>(*producer,
                        Produce{topic, PartitionIndex(0), batch(std::string(20'000, 'v'), 2)});
  };
  produce(50);
  std::vector<std::unique_ptr<RawConnection>> readers;
  std::vector<Offset> next(20);
  for (std::size_t i = 0; i < next.size(); ++i) {
    readers.push_back(connect());
    const Subscribe subscribe{7, {topic, PartitionIndex(0)}, Offset(0), -1, 1'000, 1 << 30, 65'536};
    EXPECT_EQ(ask<SubscribeReply>(*readers[i], subscribe).high_watermark, Offset(100));
  }
  for (std::size_t i = 0; i < next.size(); ++i) read_to(*readers[i], next[i], Offset(100));
  produce(10);
  for (std::size_t i = 0; i < next.size(); ++i) read_to(*readers[i], next[i], Offset(120));
  // A request among pushes is answered, and nothing follows the end.
  readers[0]->send(Unsubscribe{7}, 99);
  for (const Reply* reply = readers[0]->receive();
       !std::holds_alternative<UnsubscribeReply>(*reply); reply = readers[0]->receive())
    ASSERT_TRUE(std::holds_alternative<Push>(*reply));
  produce(1);
  ask<Pong>(*readers[0], Ping{});
  ask<DeleteTopicReply>(*producer, DeleteTopic{"t"});
  for (const Reply* reply = readers[1]->receive();; reply = readers[1]->receive()) {
    if (std::holds_alternative<Push>(*reply)) continue;
    ASSERT_TRUE(std::holds_alternative<PushEnd>(*reply));
    EXPECT_EQ(std::get<PushEnd>(*reply).code, ErrorCode::kUnknownTopic);
    break;
  }
}

TEST_F(DeliveryTest, AReaderThatDoesNotReadHoldsNobodyElseBack) {
  const auto producer = connect(), stuck = connect(), reader = connect();
  const TopicId topic = ask<TopicReply>(*producer, CreateTopic{"t", 1}).topic.id;
  const Subscribe everything{1, {topic, PartitionIndex(0)}, Offset(0), -1, UINT64_MAX, UINT64_MAX};
  ask<SubscribeReply>(*stuck, everything);
  ask<SubscribeReply>(*reader, everything);
  Offset next(0);
  for (int i = 0; i < 300; ++i) {
    ask<ProduceReply>(*producer,
                      Produce{topic, PartitionIndex(0), batch(std::string(100'000, 'v'))});
    read_to(*reader, next, Offset(i + 1));
  }
  Offset late(0);
  read_to(*stuck, late, Offset(300));  // and it has missed nothing
}

TEST_F(DeliveryTest, AGroupGoesOnAfterARestart) {
  auto first = connect();
  const TopicId topic = ask<TopicReply>(*first, CreateTopic{"t", 4}).topic.id;
  const auto assigned =
      ask<GroupAssignment>(*first, JoinGroup{"g", "m1", GroupKind::kPartitioned, {"t"}});
  ASSERT_EQ(assigned.topics.size(), 1u);
  EXPECT_EQ(assigned.topics[0].partitions, (std::vector<std::int32_t>{0, 1, 2, 3}));
  const std::int32_t epoch = assigned.epoch;
  std::vector<PartitionRef> all;
  for (int i = 0; i < 4; ++i) all.push_back({topic, PartitionIndex(i)});
  const CommitOffsets commit{"g", {{topic, PartitionIndex(2), Offset(0), "m"}}, "m1", epoch};
  ask<CommitOffsetsReply>(*first, commit);
  open();
  first = connect();
  // Still a member, still holding all of it: the heartbeat waits, then says so.
  const auto same = ask<GroupAssignment>(*first, SyncGroup{"g", "m1", epoch, all, 50});
  EXPECT_EQ(same.epoch, epoch);
  EXPECT_EQ(same.topics.at(0).partitions.size(), 4u);
  first->send(SyncGroup{"g", "m1", epoch, all, 60'000}, 5);
  const auto second = connect();
  const auto nothing =
      ask<GroupAssignment>(*second, JoinGroup{"g", "m2", GroupKind::kPartitioned, {"t"}});
  EXPECT_TRUE(nothing.topics.empty());
  const Reply* told = first->receive();  // at once, not after a minute
  ASSERT_TRUE(told && std::holds_alternative<GroupAssignment>(*told));
  const auto kept = std::get<GroupAssignment>(*told).topics.at(0).partitions;
  EXPECT_EQ(kept.size(), 2u);
  second->send(SyncGroup{"g", "m2", nothing.epoch, {}, 60'000}, 6);
  std::vector<PartitionRef> mine;
  for (const std::int32_t partition : kept) mine.push_back({topic, PartitionIndex(partition)});
  first->send(SyncGroup{"g", "m1", std::get<GroupAssignment>(*told).epoch, mine, 60'000}, 7);
  const Reply* given = second->receive();
  ASSERT_TRUE(given && std::holds_alternative<GroupAssignment>(*given));
  EXPECT_EQ(std::get<GroupAssignment>(*given).topics.at(0).partitions.size(), 2u);
  const auto looker = connect();
  const auto described = ask<DescribeGroupReply>(*looker, DescribeGroup{"g"});
  EXPECT_TRUE(described.group.settled);
  EXPECT_EQ(described.members.size(), 2u);
  EXPECT_EQ(described.partitions.size(), 4u);
}

TEST_F(DeliveryTest, ARetryAfterARestartIsStoredOnce) {
  auto connection = connect();
  const TopicId topic = ask<TopicReply>(*connection, CreateTopic{"t", 1}).topic.id;
  const std::int64_t id = ask<InitProducerReply>(*connection, InitProducer{}).producer_id;
  for (std::int32_t i = 0; i < 7; ++i)
    EXPECT_FALSE(ask<ProduceReply>(*connection, Produce{topic, PartitionIndex(0), sequenced(id, i)})
                     .duplicate);
  open();
  connection = connect();
  const auto again =
      ask<ProduceReply>(*connection, Produce{topic, PartitionIndex(0), sequenced(id, 5)});
  EXPECT_TRUE(again.duplicate);
  EXPECT_EQ(again.base_offset, Offset(5));
  EXPECT_EQ(ask<ErrorReply>(*connection, Produce{topic, PartitionIndex(0), sequenced(id, 9)}).code,
            ErrorCode::kOutOfSequence);
  EXPECT_EQ(ask<ProduceReply>(*connection, Produce{topic, PartitionIndex(0), sequenced(id, 7)})
                .base_offset,
            Offset(7));
  EXPECT_NE(ask<InitProducerReply>(*connection, InitProducer{}).producer_id, id);
}

// Rule 3: what `memory` may lose, and that a reader is told.
TEST_F(DeliveryTest, AfterAKillAMemoryTopicSaysWhereItWasCutAndASyncTopicIsWhole) {
  server.reset();
  const std::string at = directory / "killed", socket = "unix://" + (directory / "socket");
  auto broker = std::make_unique<demo::Process>(
      std::vector<std::string>{LEATD, "--data-dir", at, "--listen", socket}, directory / "log");
  std::string line;
  ASSERT_TRUE(broker->read_line(line));
  url = socket;
  auto connection = connect();
  const TopicId memory =
      ask<TopicReply>(*connection, CreateTopic{"memory", 1, false, {Durability::kMemory, {}}})
          .topic.id;
  const TopicId sync = ask<TopicReply>(*connection, CreateTopic{"sync", 1}).topic.id;
  const auto produce = [&](const TopicId& topic) {
    return ask<ProduceReply>(*connection, Produce{topic, PartitionIndex(0), batch("v")});
  };
  EXPECT_EQ(produce(memory).durability, Durability::kMemory);
  EXPECT_EQ(produce(sync).durability, Durability::kSync);  // takes the one before along
  for (int i = 0; i < 5; ++i) produce(memory);
  const auto read = [&](const TopicId& topic) {
    return ask<FetchReply>(*connection, Fetch{topic, PartitionIndex(0), Offset(0)});
  };
  const auto seen = read(memory);
  EXPECT_EQ(seen.high_watermark, Offset(6));
  const std::int32_t epoch = RecordBatchView::parse(seen.batches)->leader_epoch().value;
  broker->stop(SIGKILL);
  broker = std::make_unique<demo::Process>(
      std::vector<std::string>{LEATD, "--data-dir", at, "--listen", socket}, directory / "log");
  ASSERT_TRUE(broker->read_line(line));
  connection = connect();
  EXPECT_EQ(read(sync).high_watermark, Offset(1));
  const Offset end = read(memory).high_watermark;
  ASSERT_EQ(end, Offset(1));
  for (int i = 0; i < 8; ++i) produce(memory);
  const Fetch stale{memory, PartitionIndex(0), Offset(6), 1 << 20, 0, epoch};
  EXPECT_EQ(ask<ErrorReply>(*connection, stale).code, ErrorCode::kLogTruncated);
  broker->stop(SIGTERM);
}

}  // namespace
}  // namespace leat
