// Message ids from a producer through a broker and its disk: sockets, restarts, all faces.
#include <algorithm>

#include <gtest/gtest.h>

#include "client/blocking.h"
#include "protocol/reserved_headers.h"
#include "server/server.h"
#include "tests/temporary_directory.h"

namespace leat {
namespace {

using namespace std::chrono_literals;

class IdsTest : public ::testing::Test {
 protected:
  IdsTest() { open(); }
  void open() {
    producer.reset();
    client.reset();
    server.reset();
    server =
        Server::open({.data_dir = directory / "data", .listen = {"leat://127.0.0.1:0"}}).value();
    client.emplace(blocking::Client::connect({.broker = server->listeners().front()}).value());
    static_cast<void>(client->create_topic("orders", 4));
    producer = client->producer(Topic{"orders"}).value();
  }
  Ack send(const std::string& id, const OutgoingRecord& more = {}) {
    OutgoingRecord record = more;
    record.value = bytes(id);
    record.id = bytes(id);
    return producer->send_and_wait(record).value();
  }
  std::uint64_t records() {
    const auto topic = client->describe_topic("orders").value();
    std::uint64_t all = 0;
    for (const auto& partition : topic.partitions)
      all += static_cast<std::uint64_t>(partition.high_watermark - partition.log_start);
    return all;
  }

  test::TemporaryDirectory directory;
  std::unique_ptr<Server> server;
  std::optional<blocking::Client> client;
  std::unique_ptr<blocking::Producer> producer;
};

TEST_F(IdsTest, WhatTheApplicationSendsAgainIsThereAlsoAfterRestarts) {
  std::vector<Ack> first;
  for (int i = 0; i < 50; ++i) first.push_back(send(std::to_string(i)));
  for (int life = 0; life < 3; ++life) {
    for (int i = 0; i < 50; ++i) {
      const Ack again = send(std::to_string(i));
      EXPECT_TRUE(again.duplicate);
      EXPECT_EQ(again.partition, first[static_cast<std::size_t>(i)].partition);
      EXPECT_EQ(again.offset, first[static_cast<std::size_t>(i)].offset);
    }
    EXPECT_FALSE(send("of life " + std::to_string(life)).duplicate);
    open();
  }
}

TEST_F(IdsTest, ABatchThatIsPartlyKnownIsStoredSparselyAndReadSo) {
  const OutgoingRecord here{.partition = PartitionIndex(0)};
  EXPECT_EQ(send("a", here).offset, Offset(0));
  for (const Compression compression : {Compression::kNone, Compression::kZstd}) {
    auto batching =
        client->producer(Topic{"orders"}, {.linger = 1h, .compression = compression}).value();
    std::vector<std::pair<std::string, Ack>> told;
    const std::string own = compression == Compression::kNone ? "b" : "c";
    for (const std::string& id : {own, std::string("a"), own + own})
      ASSERT_TRUE(batching->send(
          {.value = bytes(id), .partition = PartitionIndex(0), .id = bytes(id)},
          [&told, id](const Result<Ack>& ack) { told.emplace_back(id, ack.value()); }));
    ASSERT_TRUE(batching->flush(60s));
    ASSERT_EQ(told.size(), 3u);
    EXPECT_FALSE(told[0].second.duplicate);
    EXPECT_TRUE(told[1].second.duplicate);
    EXPECT_EQ(told[1].second.offset, Offset(0));
    EXPECT_EQ(told[2].second.offset, told[0].second.offset + 2);
  }
  open();
  auto consumer =
      client->consumer({.topics = {"orders"}, .partitions = {PartitionIndex(0)}}).value();
  std::string read;
  while (std::ranges::count(read, ' ') < 5) {
    const auto records = consumer->poll(30s);
    ASSERT_TRUE(records && !records->empty());
    for (const ConsumedRecord& record : *records)
      read += std::to_string(record.offset.value) + std::string(as_text(*record.value)) + " ";
  }
  EXPECT_EQ(read, "0a 1b 3bb 4c 6cc ");
}

TEST_F(IdsTest, WhereDedupIsOffEverythingIsStored) {
  ASSERT_TRUE(client->configure_topic("orders", {.dedup = {0ms, 1}}));
  EXPECT_FALSE(send("a").duplicate);
  EXPECT_FALSE(send("a").duplicate);
  EXPECT_EQ(records(), 2u);
}

}  // namespace
}  // namespace leat
