// Records that go before their topic does, from the client down to the disk and back up.
#include <thread>

#include <gtest/gtest.h>

#include "client/blocking.h"
#include "protocol/record_batch.h"
#include "server/server.h"
#include "tests/temporary_directory.h"

namespace leat {
namespace {

using namespace std::chrono_literals;

constexpr auto kHang = 60s;
const TopicPartition kFirst{"orders", PartitionIndex(0)};

class OldRecordsTest : public ::testing::Test {
 protected:
  void open(ServerLimits limits = {}) {
    client.reset();
    server.reset();
    limits.broker.retention_interval = 100ms;
    auto opened = Server::open({.data_dir = directory / "data",
                                .listen = {"unix://" + (directory / "leat")},
                                .memory_bytes = 16 << 20,
                                .limits = limits});
    ASSERT_TRUE(opened) << opened.error().message();
    server = std::move(*opened);
    auto connected = blocking::Client::connect({.broker = server->listeners().front()});
    ASSERT_TRUE(connected) << connected.error().message();
    client.emplace(std::move(*connected));
  }
  // Records of about `bytes`, each a batch of its own; how many were acknowledged.
  int produce(const std::string& topic, int records, std::size_t bytes = 100) {
    auto producer = client->producer(Topic{topic}, {.linger = 0ms, .batch_bytes = 1});
    EXPECT_TRUE(producer) << producer.error().message();
    const std::string value(bytes, 'v');
    std::atomic<int> stored{0};
    for (int i = 0; i < records; ++i)
      EXPECT_TRUE((*producer)->send({.key = as_bytes("k"), .value = as_bytes(value)},
                                    [&](const Result<Ack>& ack) { stored += ack ? 1 : 0; }));
    EXPECT_TRUE((*producer)->flush(kHang));
    return stored;
  }
  PartitionDescription bounds(const std::string& topic = "orders") {
    return client->describe_topic(topic)->partitions.at(0);
  }
  // The offsets that a consumer reads up to the end.
  static std::vector<std::int64_t> read(blocking::Consumer& consumer, std::int64_t end) {
    std::vector<std::int64_t> offsets;
    const auto deadline = std::chrono::steady_clock::now() + kHang;
    while ((offsets.empty() || offsets.back() + 1 < end) &&
           std::chrono::steady_clock::now() < deadline) {
      const auto records = consumer.poll(1s);
      EXPECT_TRUE(records) << records.error().message();
      if (!records) break;
      for (const ConsumedRecord& record : *records) offsets.push_back(record.offset.value);
    }
    return offsets;
  }

  test::TemporaryDirectory directory;
  std::unique_ptr<Server> server;
  std::optional<blocking::Client> client;
};

TEST_F(OldRecordsTest, WhatIsDeletedStaysDeletedAndSettingsStay) {
  open();
  const TopicConfig config{.durability = Durability::kInterval,
                           .interval = 20ms,
                           .cleanup = Cleanup::kCompactDelete,
                           .on_full = OnFull::kDropOldest,
                           .retention = {24h * 7, 1 << 30, 1'000'000}};
  ASSERT_TRUE(client->create_topic("orders", 1, false, config));
  ASSERT_EQ(produce("orders", 50), 50);
  EXPECT_EQ(client->delete_records(kFirst, Offset(20)), Offset(20));
  EXPECT_EQ(client->delete_records(kFirst, Offset(10)), Offset(20));
  TopicConfig other = config;
  other.cleanup = Cleanup::kDelete;
  other.retention.time = 24h;
  EXPECT_EQ(client->configure_topic("orders", other)->config, other);
  for (const bool restarted : {false, true}) {
    if (restarted) open();
    EXPECT_EQ(client->describe_topic("orders")->config, other);
    EXPECT_EQ(bounds().log_start, Offset(20));
    EXPECT_EQ(bounds().high_watermark, Offset(50));
    auto consumer = client->consumer({.topics = {"orders"}});
    ASSERT_TRUE(consumer);
    const auto offsets = read(**consumer, 50);
    ASSERT_EQ(offsets.size(), 30u);
    EXPECT_EQ(offsets.front(), 20);
    EXPECT_EQ(client->find_offset(kFirst, Timestamp())->offset, Offset(20));
  }
  EXPECT_EQ(client->delete_records(kFirst), Offset(50));
  EXPECT_EQ(produce("orders", 1), 1);
  EXPECT_EQ(bounds().high_watermark, Offset(51));
}

TEST_F(OldRecordsTest, AMemberThatLagsBehindGoesOnAndKnowsWhatItMissed) {
  open();
  ASSERT_TRUE(client->create_topic("orders", 1));
  ASSERT_EQ(produce("orders", 10), 10);
  {
    auto member = client->consumer({.topics = {"orders"}, .group = Group{"g"}});
    ASSERT_TRUE(member);
    EXPECT_EQ(read(**member, 10).size(), 10u);
    ASSERT_TRUE((*member)->commit());
  }
  ASSERT_EQ(produce("orders", 90), 90);
  ASSERT_TRUE(client->delete_records(kFirst, Offset(70)));
  EXPECT_EQ(client->describe_group("g")->partitions.at(0).lag(), 30);
  auto member = client->consumer({.topics = {"orders"}, .group = Group{"g"}});
  ASSERT_TRUE(member);
  const auto offsets = read(**member, 100);
  ASSERT_EQ(offsets.size(), 30u);
  EXPECT_EQ(offsets.front(), 70);
  EXPECT_EQ((*member)->skipped(), 60);
  // One that would rather be told.
  auto strict = client->consumer(
      {.topics = {"orders"}, .start = StartFrom::offset(5), .on_reset = OnReset::kError});
  ASSERT_FALSE(strict);
  EXPECT_EQ(strict.error().code, ErrorCode::kOffsetOutOfRange);
}

TEST_F(OldRecordsTest, AReaderThatIsOvertakenWhileItReadsLosesNothingElse) {
  constexpr int kRecords = 400;
  open();
  ASSERT_TRUE(client->create_topic("orders", 1));
  ASSERT_EQ(produce("orders", kRecords, 4'000), kRecords);
  auto consumer =
      client->consumer({.topics = {"orders"}, .fetch_bytes = 8 << 10, .prefetch_bytes = 64 << 10});
  ASSERT_TRUE(consumer);
  const auto first = (*consumer)->poll(kHang);
  ASSERT_TRUE(first && !first->empty());
  const std::int64_t had = first->back().offset.value + 1;
  ASSERT_TRUE(client->delete_records(kFirst, Offset(300)));
  const auto rest = read(**consumer, kRecords);
  ASSERT_FALSE(rest.empty());
  // What it had been sent already; then the log start. No record twice, none but those that are
  // gone left out, and it knows how many.
  std::int64_t before = had - 1;
  std::int64_t missed = 0;
  for (const std::int64_t offset : rest) {
    if (offset != before + 1) {
      EXPECT_EQ(offset, 300);
      missed += offset - before - 1;
    }
    before = offset;
  }
  EXPECT_EQ(before, kRecords - 1);
  EXPECT_GT(missed, 0);
  EXPECT_EQ((*consumer)->skipped(), missed);
}

TEST_F(OldRecordsTest, RetentionGoesToWorkByItself) {
  open();
  ASSERT_TRUE(client->create_topic("orders", 1));
  ASSERT_TRUE(client->create_topic("forever", 1));
  ASSERT_EQ(produce("orders", 500) + produce("forever", 10), 510);
  ASSERT_TRUE(client->configure_topic("orders", {.retention = {.records = 100}}));
  const auto deadline = std::chrono::steady_clock::now() + kHang;
  while (bounds().log_start == Offset(0) && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(10ms);
  EXPECT_GT(bounds().log_start, Offset(0));
  EXPECT_LE(bounds().log_start, Offset(400));  // never fewer than were to be kept
  EXPECT_EQ(bounds("forever").log_start, Offset(0));
}

TEST_F(OldRecordsTest, WhereTheOldestMakeRoomNothingIsRefused) {
  constexpr int kRecords = 1'000;
  constexpr std::size_t kMost = 200'000;
  open({.broker = {.max_stored_bytes = kMost}});
  ASSERT_TRUE(client->create_topic("orders", 1, false, {.on_full = OnFull::kDropOldest}));
  ASSERT_TRUE(client->create_topic("alarms", 1));
  EXPECT_EQ(produce("orders", kRecords, 1'000), kRecords);
  const auto kept = bounds();
  EXPECT_EQ(kept.high_watermark, Offset(kRecords));
  EXPECT_GT(kept.log_start, Offset(0));
  const auto left = kept.high_watermark - kept.log_start;
  EXPECT_GT(left, 100);  // no more went than had to, by and large
  EXPECT_LE(left * 1'000, std::int64_t{kMost});
  EXPECT_LT(produce("alarms", 100, 1'000), 100);
  ASSERT_TRUE(client->delete_records(kFirst));
  EXPECT_EQ(produce("alarms", 100, 1'000), 100);
}

TEST_F(OldRecordsTest, WhereATopicCompactsARecordWithoutAKeyIsRefused) {
  open();
  ASSERT_TRUE(client->create_topic("orders", 1, false, {.cleanup = Cleanup::kCompact}));
  for (const auto compression : {Compression::kNone, Compression::kZstd}) {
    auto producer = client->producer(Topic{"orders"}, {.compression = compression});
    ASSERT_TRUE(producer);
    const std::string large(200'000, 'v');
    EXPECT_TRUE((*producer)->send_and_wait({.key = as_bytes("k"), .value = as_bytes(large)}));
    const auto refused = (*producer)->send_and_wait({.value = as_bytes(large)});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidBatch);
    EXPECT_NE(refused.error().detail.find("has no key"), std::string::npos);
  }
}

}  // namespace
}  // namespace leat
