// Topics that a broker is told to have, their first records, and the way back to them.
#include "protocol/partitioner.h"
#include "tests/server/broker_fixture.h"

namespace leat::broker {
namespace {

BrokerOptions resettable(BrokerOptions options = {}) {
  options.allow_reset = true;
  return options;
}

class DeclaredTopicsTest : public BrokerFixture {
 protected:
  DeclaredTopicsTest() : BrokerFixture(resettable()) {}

  std::vector<std::string> values(std::string_view topic, std::size_t partition) {
    std::vector<std::string> all;
    storage.make_durable(broker);
    const auto read = storage.result_of(storage.find_topic(topic)->partitions.at(partition));
    for (const auto& stored : read.batches)
      for (Bytes rest = stored.bytes; !rest.empty();) {
        const auto batch = RecordBatchView::parse(rest);
        for (const RecordView& record : *batch)
          all.emplace_back(record.value ? as_text(*record.value) : "(none)");
        rest = rest.subspan(batch->bytes().size());
      }
    return all;
  }
  static TopicDeclaration orders() {
    TopicDeclaration topic{.name = "orders", .partitions = 3, .config = {}, .records = {}};
    topic.records.push_back({.key = "42", .value = "first", .headers = {{"source", "seed"}}});
    topic.records.push_back({.key = "42", .value = "second"});
    topic.records.push_back({.value = "here", .partition = 2});
    topic.records.push_back({.value = "a"});
    topic.records.push_back({.value = "b"});
    return topic;
  }
};

TEST_F(DeclaredTopicsTest, AreThereWithTheirRecordsEachWhereItsKeyBelongs) {
  ASSERT_TRUE(broker.declare({orders()}, at()));
  const auto by_key = static_cast<std::size_t>(partition_for_key(as_bytes("42"), 3).value);
  std::vector<std::vector<std::string>> expected(3);
  expected[by_key] = {"first", "second"};
  expected[2].push_back("here");
  expected[0].push_back("a");
  expected[1].push_back("b");
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(values("orders", i), expected[i]) << i;
}

TEST_F(DeclaredTopicsTest, OneThatIsThereStaysAsItIs) {
  create("orders", 1);
  ASSERT_TRUE(broker.declare({orders()}, at()));
  EXPECT_EQ(storage.find_topic("orders")->partitions.size(), 1u);
  EXPECT_TRUE(values("orders", 0).empty());
}

TEST_F(DeclaredTopicsTest, ResetBringsBackWhatWasDeclaredAndNothingElse) {
  ASSERT_TRUE(broker.declare({orders()}, at()));
  const TopicId before = storage.find_topic("orders")->id;
  const TopicId other = create("other");
  produce(before);
  const storage::OffsetCommit commit{other, PartitionIndex(0), Offset(0), ""};
  broker.commit_offsets(next(), {.group = "g", .offsets = {&commit, 1}}, now);
  broker.reset(next(), at());
  storage.make_durable(broker);
  EXPECT_TRUE(last<BrokerReset>());
  EXPECT_FALSE(storage.find_topic("other"));
  EXPECT_NE(storage.find_topic("orders")->id, before);  // rule 7
  std::size_t records = 0;
  for (std::size_t i = 0; i < 3; ++i) records += values("orders", i).size();
  EXPECT_EQ(records, 5u);
  EXPECT_TRUE(storage.groups().empty());
}

TEST_F(DeclaredTopicsTest, ResetLeavesMembersInTheirGroupsWithTheNewTopics) {
  ASSERT_TRUE(broker.declare({orders()}, at()));
  JoinRequest join{.group = "g", .kind = GroupKind::kPartitioned, .member = {}};
  join.member = {"m", "c", {"orders"}, std::chrono::seconds(10), std::chrono::seconds(10)};
  broker.groups().join(next(), join, now);
  storage.make_durable(broker);
  broker.reset(next(), at());
  storage.make_durable(broker);
  EXPECT_TRUE(last<BrokerReset>());
  const TopicId topic = storage.find_topic("orders")->id;
  const storage::Group* group = storage.find_group("g");
  ASSERT_TRUE(group);
  EXPECT_EQ(group->members.size(), 1u);
  EXPECT_TRUE(group->owners.contains({topic, PartitionIndex(2)}));
}

class GuardedTest : public BrokerFixture {};

TEST_F(GuardedTest, ResetIsRefusedWhereItWasNotAllowed) {
  create("orders");
  broker.reset(next(), at());
  EXPECT_EQ(last_error(), ErrorCode::kNotAllowed);
  EXPECT_TRUE(storage.find_topic("orders"));
}

TEST_F(DeclaredTopicsTest, DeclarationsThatMakeNoSenseAreRefusedByName) {
  TopicDeclaration slash = orders(), none = orders(), beyond = orders(), keyless = orders();
  slash.name = "a/b";
  none.partitions = 0;
  beyond.records.push_back({.value = "v", .partition = 3});
  keyless.config.cleanup = Cleanup::kCompact;
  TopicDeclaration large = orders();
  large.records.push_back({.value = std::string(broker.options().batch_bytes, 'x')});
  TopicDeclaration many = orders();
  many.partitions = broker.options().partitions_per_topic + 1;
  for (const auto& topic : {slash, none, beyond, keyless, large, many}) {
    const auto refused = broker.declare({topic}, at());
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().detail.find(topic.name), std::string::npos)
        << refused.error().message();
    EXPECT_TRUE(storage.topics().empty());
  }
  EXPECT_EQ(broker.declare({orders(), orders()}, at()).error().code, ErrorCode::kUsage);
}

}  // namespace
}  // namespace leat::broker
