// Consumer groups through librdkafka's C++ API: members share the partitions, one joins, one dies,
// and what was committed is where the next goes on.
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "tests/kafka_compat/librdkafka/admin.h"
#include "tests/kafka_compat/librdkafka/broker.h"
#include "tests/kafka_compat/librdkafka/records.h"

namespace leat::compat {
namespace {

using namespace std::chrono_literals;
constexpr int kPartitions = 6;

// Who holds which partitions, as members tell; waits until it is as wanted.
class Holdings {
 public:
  void set(const std::string& member, std::set<int> partitions) {
    const std::lock_guard lock(mutex_);
    held_[member] = std::move(partitions);
    changed_.notify_all();
  }
  void forget(const std::string& member) {
    const std::lock_guard lock(mutex_);
    held_.erase(member);
  }
  // All partitions are held, each by one member, by so many members.
  [[nodiscard]] bool settled_among(std::size_t members) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::milliseconds(kHangMs), [&] {
      std::multiset<int> all;
      std::size_t holding = 0;
      for (const auto& [member, partitions] : held_) {
        all.insert(partitions.begin(), partitions.end());
        holding += partitions.empty() ? 0 : 1;
      }
      return holding == members && all.size() == kPartitions &&
             std::set<int>(all.begin(), all.end()).size() == kPartitions;
    });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::set<int>> held_;
};

// What members have read, together.
class Tally {
 public:
  void add(const std::string& value) {
    const std::lock_guard lock(mutex_);
    read_.insert(value);
    changed_.notify_all();
  }
  [[nodiscard]] bool reaches(const std::set<std::string>& wanted) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::milliseconds(kHangMs),
                             [&] { return read_ == wanted; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> read_;
};

// A member on a thread of its own, which consumes until told to leave or to die.
class Member : RdKafka::RebalanceCb {
 public:
  Member(const std::string& bootstrap, const std::string& group, const std::string& topic,
         std::string name, Holdings& holdings, Tally& tally, Settings settings)
      : name_(std::move(name)), holdings_(holdings), tally_(tally) {
    settings.emplace("session.timeout.ms", "6000");
    settings.emplace("heartbeat.interval.ms", "200");
    settings.emplace("topic.metadata.refresh.interval.ms", "1000");
    consumer_ = consumer(bootstrap, group, settings, this);
    EXPECT_EQ(consumer_->subscribe({topic}), RdKafka::ERR_NO_ERROR);
    thread_ = std::thread([this] { work(); });
  }
  ~Member() { leave(); }

  void leave() {
    if (!thread_.joinable()) return;
    done_ = true;
    thread_.join();
    consumer_->close();
  }

 private:
  void work() {
    while (!done_) {
      const std::unique_ptr<RdKafka::Message> message(consumer_->consume(50));
      if (message->err() != RdKafka::ERR_NO_ERROR) continue;
      tally_.add(*as_sent(*message).value);
    }
  }
  void rebalance_cb(RdKafka::KafkaConsumer* kafka, RdKafka::ErrorCode what,
                    std::vector<RdKafka::TopicPartition*>& partitions) override {
    const bool cooperative = kafka->rebalance_protocol() == "COOPERATIVE";
    if (what == RdKafka::ERR__ASSIGN_PARTITIONS) {
      for (const auto* partition : partitions) mine_.insert(partition->partition());
      cooperative ? delete kafka->incremental_assign(partitions) : void(kafka->assign(partitions));
    } else {
      for (const auto* partition : partitions) mine_.erase(partition->partition());
      cooperative ? delete kafka->incremental_unassign(partitions) : void(kafka->unassign());
    }
    holdings_.set(name_, mine_);
  }

  const std::string name_;
  Holdings& holdings_;
  Tally& tally_;
  std::set<int> mine_;
  std::unique_ptr<RdKafka::KafkaConsumer> consumer_;
  std::atomic<bool> done_{false};
  std::thread thread_;
};

class Groups : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { ASSERT_EQ(admin_.create_topic(topic_, kPartitions), ""); }
  std::unique_ptr<Member> join(const std::string& name) {
    return std::make_unique<Member>(
        broker_.bootstrap(), group_, topic_, name, holdings_, tally_,
        Settings{{"partition.assignment.strategy", GetParam()}, {"client.id", name}});
  }

  Broker broker_;
  Admin admin_{broker_.bootstrap()};
  const std::string topic_ = fresh_name("shared");
  const std::string group_ = fresh_name("group");
  Holdings holdings_;
  Tally tally_;
};

TEST_P(Groups, SettleWhenAMemberJoinsAndWhenOneLeaves) {
  const auto first = join("first"), second = join("second");
  ASSERT_TRUE(holdings_.settled_among(2));
  auto third = join("third");
  ASSERT_TRUE(holdings_.settled_among(3));
  const auto described = admin_.describe_group(group_);
  EXPECT_EQ(described.state, "Stable");
  EXPECT_EQ(described.members, 3u);
  EXPECT_EQ(described.assignor, GetParam());
  third->leave();
  holdings_.forget("third");
  ASSERT_TRUE(holdings_.settled_among(2));
  std::set<std::string> sent;
  for (int partition = 0; partition < kPartitions; ++partition) {
    const auto records = plain_records(10, std::to_string(partition) + "/");
    for (const Sent& record : records) sent.insert(*record.value);
    ASSERT_EQ(send(broker_.bootstrap(), topic_, records, {}, partition).delivered, 10);
  }
  EXPECT_TRUE(tally_.reaches(sent));
}
INSTANTIATE_TEST_SUITE_P(
    Assignors, Groups, ::testing::Values("range", "roundrobin", "cooperative-sticky"),
    [](const auto& assignor) {
      return std::string(assignor.param).substr(0, assignor.param[0] == 'c' ? 11 : 20);
    });

class Commits : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(admin_.create_topic(topic_, 1), "");
    ASSERT_EQ(send(broker_.bootstrap(), topic_, sent_).delivered, 20);
  }
  std::unique_ptr<RdKafka::KafkaConsumer> subscribed(Settings settings = {}) {
    auto reader = consumer(broker_.bootstrap(), group_, std::move(settings));
    EXPECT_EQ(reader->subscribe({topic_}), RdKafka::ERR_NO_ERROR);
    return reader;
  }

  Broker broker_;
  Admin admin_{broker_.bootstrap()};
  const std::string topic_ = fresh_name("committed");
  const std::string group_ = fresh_name("group");
  const std::vector<Sent> sent_ = plain_records(20);
};

TEST_F(Commits, AreWhereTheNextMemberGoesOn) {
  {
    const auto reader = subscribed();
    for (int i = 0; i < 7; ++i) {
      const auto message = next(*reader);
      ASSERT_EQ(message->err(), RdKafka::ERR_NO_ERROR) << message->errstr();
      EXPECT_EQ(as_sent(*message), sent_[static_cast<std::size_t>(i)]);
      ASSERT_EQ(reader->commitSync(message.get()), RdKafka::ERR_NO_ERROR);
    }
    reader->close();
  }
  const auto reader = subscribed();
  const auto message = next(*reader);
  ASSERT_EQ(message->err(), RdKafka::ERR_NO_ERROR) << message->errstr();
  EXPECT_EQ(message->offset(), 7);
  reader->close();
}

TEST_F(Commits, ComeBackAsTheyWereMade) {
  const auto reader = subscribed();
  ASSERT_EQ(next(*reader)->err(), RdKafka::ERR_NO_ERROR);
  const std::unique_ptr<RdKafka::TopicPartition> mine(
      RdKafka::TopicPartition::create(topic_, 0, 12'345));  // beyond the end: a client's own affair
  std::vector<RdKafka::TopicPartition*> partitions = {mine.get()};
  ASSERT_EQ(reader->commitSync(partitions), RdKafka::ERR_NO_ERROR);
  mine->set_offset(RdKafka::Topic::OFFSET_INVALID);
  ASSERT_EQ(reader->committed(partitions, kHangMs), RdKafka::ERR_NO_ERROR);
  EXPECT_EQ(mine->offset(), 12'345);
  reader->close();
}

TEST_F(Commits, ThatNobodyMadeAreInvalid) {
  const auto reader = consumer(broker_.bootstrap(), group_);
  const std::unique_ptr<RdKafka::TopicPartition> mine(RdKafka::TopicPartition::create(topic_, 0));
  std::vector<RdKafka::TopicPartition*> partitions = {mine.get()};
  ASSERT_EQ(reader->committed(partitions, kHangMs), RdKafka::ERR_NO_ERROR);
  EXPECT_EQ(mine->offset(), RdKafka::Topic::OFFSET_INVALID);
}

// A static member that comes back within its time gets its partition without a rebalance.
TEST_F(Commits, OfAStaticMemberStandWhenItComesBack) {
  for (int round = 0; round < 2; ++round) {
    const auto reader = subscribed({{"group.instance.id", "one"}});
    const auto message = next(*reader);
    ASSERT_EQ(message->err(), RdKafka::ERR_NO_ERROR) << message->errstr();
    EXPECT_EQ(message->offset(), round);
    ASSERT_EQ(reader->commitSync(message.get()), RdKafka::ERR_NO_ERROR);
    reader->close();
  }
}

}  // namespace
}  // namespace leat::compat
