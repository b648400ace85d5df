// Membership without a broker: when it speaks, what it gives back, how it comes again.
#include "client/group_logic.h"

#include <gtest/gtest.h>

namespace leat {
namespace {

using namespace std::chrono_literals;
using Step = GroupLogic::Step;

const TopicId kTopic{{1}};

native::GroupAssignment assigned(std::int32_t epoch, std::vector<std::int32_t> partitions) {
  native::GroupAssignment assignment{epoch, {}};
  if (!partitions.empty()) assignment.topics.push_back({kTopic, "t", std::move(partitions)});
  return assignment;
}

std::vector<PartitionIndex> indexes(std::vector<std::int32_t> partitions) {
  return {partitions.begin(), partitions.end()};
}

class GroupLogicTest : public ::testing::Test {
 protected:
  std::vector<PartitionIndex> owned() const {
    std::vector<PartitionIndex> partitions;
    for (const auto& ref : logic.sync_request().owned) {
      EXPECT_EQ(ref.topic, kTopic);
      partitions.push_back(ref.partition);
    }
    return partitions;
  }
  GroupLogic logic{{.group = "g", .topic = "t", .client_name = "c", .session_timeout = 8s},
                   Random(1)};
  MonotonicTime now{1h};
};

TEST_F(GroupLogicTest, JoinsThenAlwaysHasOneHeartbeatUnderWay) {
  EXPECT_EQ(logic.next(now), Step::kJoin);
  EXPECT_EQ(logic.next(now), Step::kNothing);
  EXPECT_EQ(logic.join_request().topics, std::vector<std::string_view>{"t"});
  const auto change = logic.answered(assigned(3, {0, 2}), now);
  EXPECT_EQ(change.assigned, indexes({0, 2}));
  EXPECT_EQ(logic.next(now), Step::kSync);
  EXPECT_EQ(logic.next(now), Step::kNothing);
  EXPECT_EQ(logic.sync_request().epoch, 3);
  EXPECT_EQ(owned(), indexes({0, 2}));
  EXPECT_LE(logic.sync_request().max_wait_ms, 8'000u / 2);
  EXPECT_TRUE(logic.answered(assigned(3, {0, 2}), now).empty());
}

TEST_F(GroupLogicTest, WhatIsAskedBackIsHeldUntilItIsReleasedAndHeartbeatsGoOn) {
  logic.next(now);
  logic.answered(assigned(1, {0, 1, 2}), now);
  logic.next(now);
  EXPECT_EQ(logic.answered(assigned(2, {1}), now).revoked, indexes({0, 2}));
  EXPECT_TRUE(logic.gives_back(PartitionIndex(0)));
  EXPECT_EQ(logic.next(now), Step::kNothing);  // it would be answered at once, again and again
  EXPECT_EQ(logic.next_deadline(), now + 2s);
  EXPECT_EQ(logic.next(now + 2s), Step::kSync);
  EXPECT_EQ(owned(), indexes({0, 1, 2}));
  EXPECT_TRUE(logic.answered(assigned(2, {1}), now + 2s).empty());  // told before
  logic.released(indexes({0, 2}));
  EXPECT_EQ(logic.next(now + 2s), Step::kSync);
  EXPECT_EQ(owned(), indexes({1}));
  EXPECT_EQ(logic.next_deadline(), std::nullopt);
}

TEST_F(GroupLogicTest, GivenAgainBeforeItWasReleasedItNeverLeft) {
  logic.next(now);
  logic.answered(assigned(1, {0, 1}), now);
  logic.next(now);
  logic.answered(assigned(2, {1}), now);
  logic.next(now + 2s);
  EXPECT_TRUE(logic.answered(assigned(3, {0, 1}), now + 2s).empty());
  EXPECT_FALSE(logic.gives_back(PartitionIndex(0)));
  logic.released(indexes({0}));  // too late: it is the member's
  EXPECT_TRUE(logic.holds(PartitionIndex(0)));
}

TEST_F(GroupLogicTest, ExpelledItComesBackUnderANewIdWithNothing) {
  logic.next(now);
  logic.answered(assigned(1, {0, 1}), now);
  const std::string before = logic.member();
  logic.next(now);
  EXPECT_EQ(logic.expelled().lost, indexes({0, 1}));
  EXPECT_NE(logic.member(), before);
  EXPECT_EQ(logic.next(now), Step::kJoin);
  EXPECT_EQ(logic.answered(assigned(4, {1}), now).assigned, indexes({1}));
}

TEST_F(GroupLogicTest, ALostConnectionRepeatsTheRequest) {
  EXPECT_EQ(logic.next(now), Step::kJoin);
  const std::string id = logic.member();
  logic.disconnected();
  EXPECT_EQ(logic.next(now), Step::kJoin);
  EXPECT_EQ(logic.member(), id);  // the same member, should the first one have arrived
  logic.answered(assigned(1, {0}), now);
  logic.next(now);
  logic.disconnected();
  EXPECT_EQ(logic.next(now), Step::kSync);
  EXPECT_EQ(owned(), indexes({0}));
}

}  // namespace
}  // namespace leat
