// Shared and key_shared groups with the client we ship, over real sockets and real kills: what is
// acked never comes again, what is not always does, by key in order.
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include <signal.h>

#include <gtest/gtest.h>

#include "client/blocking.h"
#include "examples/demo/process.h"
#include "protocol/base/random.h"
#include "protocol/reserved_headers.h"
#include "tests/temporary_directory.h"

namespace leat {
namespace {

using namespace std::chrono_literals;
using test::TemporaryDirectory;

constexpr auto kHang = 60s;

class SharedGroups : public ::testing::Test {
 protected:
  void SetUp() override { start(); }

  void start() {
    broker_ = std::make_unique<demo::Process>(
        std::vector<std::string>{LEATD, "--data-dir", directory_ / "data", "--listen",
                                 "unix://" + (directory_ / "socket")},
        directory_ / "log");
    std::string ready;
    ASSERT_TRUE(broker_->read_line(ready));
    client_ = connect();
  }
  void kill() {
    broker_->stop(SIGKILL);
    broker_.reset();
    client_.reset();
  }
  std::unique_ptr<blocking::Client> connect() {
    auto client = blocking::Client::connect({.broker = "unix://" + (directory_ / "socket")});
    EXPECT_TRUE(client) << (client ? "" : client.error().message());
    return client ? std::make_unique<blocking::Client>(std::move(*client)) : nullptr;
  }
  void produce(int records, int keys, const std::string& topic = "orders", int partitions = 3) {
    ASSERT_TRUE(client_->create_topic(topic, partitions, true));
    auto producer = client_->producer(Topic{topic});
    ASSERT_TRUE(producer);
    for (int i = 0; i < records; ++i) {
      const std::string key = "key" + std::to_string(i % keys), value = std::to_string(i);
      ASSERT_TRUE((*producer)->send({.key = as_bytes(key), .value = as_bytes(value)}));
    }
    ASSERT_TRUE((*producer)->flush());
  }
  ConsumerOptions options(GroupKind kind = GroupKind::kShared) const {
    return {.topics = {"orders"}, .group = Group{"g"}, .kind = kind};
  }
  std::unique_ptr<blocking::Consumer> join(blocking::Client& client, ConsumerOptions options) {
    auto consumer = client.consumer(std::move(options));
    EXPECT_TRUE(consumer) << (consumer ? "" : consumer.error().message());
    return consumer ? std::move(*consumer) : nullptr;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<demo::Process> broker_;
  std::unique_ptr<blocking::Client> client_;
};

TEST_F(SharedGroups, MembersShareTheRecordsAndAcksSurviveAKill) {
  produce(1'000, 100);
  std::mutex mutex;
  std::set<std::string> acked;
  const auto work = [&](std::size_t enough) {
    const auto client = connect();
    const auto consumer = join(*client, options());
    for (;;) {
      auto records = consumer->poll(100ms);
      ASSERT_TRUE(records) << records.error().message();
      for (const ConsumedRecord& record : *records) {
        {
          const std::lock_guard lock(mutex);
          if (acked.size() >= enough) return;
        }
        ASSERT_TRUE(consumer->ack(record));
        const std::lock_guard lock(mutex);
        EXPECT_TRUE(acked.insert(std::string(as_text(*record.value))).second) << "twice";
      }
      const std::lock_guard lock(mutex);
      if (acked.size() >= enough) return;
    }
  };
  std::thread one(work, 400), two(work, 400);
  one.join();
  two.join();
  kill();
  start();
  std::thread three(work, 1'000), four(work, 1'000);
  three.join();
  four.join();
  EXPECT_EQ(acked.size(), 1'000u);
  const auto group = client_->describe_group("g");
  ASSERT_TRUE(group);
  for (const GroupPartition& partition : group->partitions) EXPECT_EQ(partition.lag(), 0);
}

TEST_F(SharedGroups, FailuresComeAgainCountedAndThenDie) {
  produce(1, 1);
  ConsumerOptions given = options();
  given.max_deliveries = 3;
  const auto consumer = join(*client_, given);
  std::set<std::int64_t> offsets;
  for (std::uint32_t attempt = 1; attempt <= 3; ++attempt) {
    const auto records = consumer->poll(kHang);
    ASSERT_TRUE(records && records->size() == 1);
    offsets.insert(records->front().offset.value);
    ASSERT_TRUE(consumer->nack(records->front(), 1ms));
    EXPECT_EQ(consumer->ack(records->front()).error(), ErrorCode::kLeaseLost);
  }
  EXPECT_EQ(offsets.size(), 1u);
  // Its group of its own, so that it waits until the letter is there.
  ASSERT_TRUE(client_->create_topic("orders.dlq", 1, true));
  const auto dead = join(*client_, {.topics = {"orders.dlq"}});
  const auto letters = dead->poll(kHang);
  ASSERT_TRUE(letters && letters->size() == 1);
  const ConsumedRecord& letter = letters->front();
  EXPECT_EQ(as_text(*letter.key), "key0");
  EXPECT_EQ(as_text(*letter.value), "0");
  const auto header = [&](std::string_view name) {
    const auto found = letter.headers.find(name);
    return found ? std::string(as_text(*found->value)) : "none";
  };
  EXPECT_EQ(header(reserved_headers::kDeadReason), "max_deliveries");
  EXPECT_EQ(header(reserved_headers::kDeadAttempts), "3");
  EXPECT_EQ(header(reserved_headers::kDeadTopic), "orders");
}

TEST_F(SharedGroups, AConsumerThatVanishesLeavesItsRecordsToOthers) {
  produce(10, 10);
  std::set<std::string> held;
  {
    const auto other = connect();
    const auto gone = join(*other, options());
    while (held.size() < 10) {
      const auto records = gone->poll(kHang);
      ASSERT_TRUE(records && !records->empty());
      for (const ConsumedRecord& record : *records)
        held.insert(std::string(as_text(*record.value)));
    }
  }
  const auto consumer = join(*client_, options());
  while (!held.empty()) {
    const auto records = consumer->poll(kHang);
    ASSERT_TRUE(records && !records->empty());
    for (const ConsumedRecord& record : *records) held.erase(std::string(as_text(*record.value)));
    ASSERT_TRUE(consumer->ack_all());
  }
}

TEST_F(SharedGroups, ByKeyEachKeyIsInOrderAndWithOneMemberAtATime) {
  constexpr int kRecords = 2'000, kKeys = 40, kMembers = 4;
  produce(kRecords, kKeys);
  std::mutex mutex;
  std::map<std::string, int> last;     // of each key, what was acked
  std::map<std::string, int> working;  // who has the key in hand
  std::set<int> acked;
  const auto work = [&](int number) {
    Random random(static_cast<std::uint64_t>(number));
    const auto client = connect();
    ConsumerOptions given = options(GroupKind::kKeyShared);
    given.prefetch_records = 50;
    const auto consumer = join(*client, given);
    for (;;) {
      const auto records = consumer->poll(100ms);
      ASSERT_TRUE(records) << records.error().message();
      for (const ConsumedRecord& record : *records) {
        const std::string key(as_text(*record.key));
        {
          const std::lock_guard lock(mutex);
          EXPECT_EQ(working[key], 0) << key << " is with another member";
          working[key] = number;
        }
        const bool fails = random.below(20) == 0;
        const int value = std::stoi(std::string(as_text(*record.value)));
        const std::lock_guard lock(mutex);
        working[key] = 0;
        const auto ok = fails ? consumer->nack(record, 1ms) : consumer->ack(record);
        // What stood behind a record that failed was taken back.
        if (!ok) {
          EXPECT_EQ(ok.error(), ErrorCode::kLeaseLost);
        } else if (!fails && acked.insert(value).second) {
          const auto [it, first] = last.try_emplace(key, -1);
          EXPECT_LT(it->second, value) << key << ": out of order";
          it->second = value;
        }
      }
      const std::lock_guard lock(mutex);
      if (acked.size() == kRecords) return;
    }
  };
  std::vector<std::thread> members;
  for (int i = 1; i <= kMembers; ++i) members.emplace_back(work, i);
  for (std::thread& member : members) member.join();
}

TEST_F(SharedGroups, RecordsOfOtherGroupsCannotBeAcked) {
  produce(1, 1);
  const auto consumer = join(*client_, {.topics = {"orders"}, .group = Group{"plain"}});
  const auto records = consumer->poll(kHang);
  ASSERT_TRUE(records && records->size() == 1);
  EXPECT_EQ(consumer->ack(records->front()).error(), ErrorCode::kInvalidRequest);
}

}  // namespace
}  // namespace leat
