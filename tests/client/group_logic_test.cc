// Membership without a broker: when it speaks, what it gives back, how it comes again.
#include "client/group_logic.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace leat {
namespace {

using namespace std::chrono_literals;
using Kind = GroupLogic::Event::Kind;

const TopicId kTopic{{1}};
const auto kName = std::make_shared<const std::string>("t");

GroupLogic::Partitions partitions(const std::vector<std::int32_t>& indexes) {
  GroupLogic::Partitions all;
  for (const std::int32_t index : indexes) all.push_back({{kTopic, PartitionIndex(index)}, kName});
  return all;
}

class GroupLogicTest : public ::testing::Test {
 protected:
  // "join", "sync 0 1" or "".
  std::string wanted() {
    const auto request = logic.wanted(now);
    if (!request) return "";
    if (request->kind == GroupLogic::Request::Kind::kJoin) return "join";
    std::string text = "sync";
    for (const PartitionKey& key : request->owned)
      text += " " + std::to_string(key.partition.value);
    EXPECT_EQ(request->member, logic.member());
    EXPECT_LT(request->max_wait, 8s / 2);
    return text;
  }
  // "assigned 0 1 revoked 2"
  std::string events() {
    std::string text;
    while (const auto event = logic.next_event()) {
      text += text.empty() ? "" : " ";
      text += event->kind == Kind::kLost      ? "lost"
              : event->kind == Kind::kRevoked ? "revoked"
                                              : "assigned";
      for (const auto& [key, name] : event->partitions)
        text += " " + std::to_string(key.partition.value);
    }
    return text;
  }
  void assigned(std::int32_t epoch, const std::vector<std::int32_t>& indexes) {
    logic.assigned(epoch, partitions(indexes), now);
  }
  void join(const std::vector<std::int32_t>& indexes) {
    EXPECT_EQ(wanted(), "join");
    assigned(1, indexes);
    events();
  }

  GroupLogic logic{8s, Random(1)};
  MonotonicTime now{1h};
};

TEST_F(GroupLogicTest, JoinsThenAlwaysHasOneSyncWaiting) {
  EXPECT_EQ(wanted(), "join");
  EXPECT_EQ(wanted(), "");
  EXPECT_FALSE(logic.joined());
  assigned(3, {0, 2});
  EXPECT_TRUE(logic.joined());
  EXPECT_EQ(events(), "assigned 0 2");
  EXPECT_EQ(wanted(), "sync 0 2");
  EXPECT_EQ(wanted(), "");
  EXPECT_EQ(logic.epoch(), 3);
  assigned(3, {0, 2});
  EXPECT_EQ(events(), "");
  EXPECT_EQ(wanted(), "sync 0 2");
}

TEST_F(GroupLogicTest, WhatIsAskedBackIsHeldUntilReleasedAndHeartbeatsGoOn) {
  join({0, 1, 2});
  EXPECT_EQ(wanted(), "sync 0 1 2");
  assigned(2, {1});
  EXPECT_EQ(events(), "revoked 0 2");
  EXPECT_EQ(wanted(), "");  // it would be answered at once, again and again
  ASSERT_TRUE(logic.next_deadline());
  now = *logic.next_deadline();
  EXPECT_EQ(wanted(), "sync 0 1 2");
  assigned(2, {1});
  EXPECT_EQ(events(), "");  // told before
  logic.released(partitions({0, 2}));
  EXPECT_EQ(wanted(), "sync 1");
  EXPECT_EQ(logic.next_deadline(), std::nullopt);
}

TEST_F(GroupLogicTest, WhatStaysGoesOnWhileOthersComeAndGo) {
  join({0, 1});
  EXPECT_EQ(wanted(), "sync 0 1");
  assigned(2, {1, 5});
  EXPECT_EQ(events(), "revoked 0 assigned 5");
  logic.released(partitions({0}));
  EXPECT_EQ(wanted(), "sync 1 5");
}

TEST_F(GroupLogicTest, GivenAgainBeforeItWasReleasedItComesBackAfterwards) {
  join({0, 1});
  wanted();
  assigned(2, {1});
  EXPECT_EQ(events(), "revoked 0");
  now = *logic.next_deadline();
  wanted();
  assigned(3, {0, 1});
  EXPECT_EQ(events(), "");
  logic.released(partitions({0}));
  EXPECT_EQ(events(), "assigned 0");
  EXPECT_EQ(wanted(), "sync 0 1");
}

TEST_F(GroupLogicTest, ExpelledItComesBackUnderANewIdWithNothing) {
  join({0, 1});
  const std::string before = logic.member();
  wanted();
  assigned(2, {0, 1, 2});  // not told so far
  wanted();
  logic.refused(ErrorCode::kUnknownMember);
  EXPECT_EQ(events(), "lost 0 1");
  EXPECT_NE(logic.member(), before);
  EXPECT_EQ(wanted(), "join");
  assigned(4, {1});
  EXPECT_EQ(events(), "assigned 1");
  logic.released(partitions({0}));  // of its former life
  EXPECT_EQ(wanted(), "sync 1");
}

TEST_F(GroupLogicTest, ALostConnectionRepeatsTheRequest) {
  EXPECT_EQ(wanted(), "join");
  const std::string id = logic.member();
  logic.disconnected();
  EXPECT_EQ(wanted(), "join");
  EXPECT_EQ(logic.member(), id);  // the same member, should the first one have arrived
  assigned(1, {0});
  EXPECT_EQ(wanted(), "sync 0");
  logic.disconnected();
  EXPECT_EQ(wanted(), "sync 0");
}

TEST_F(GroupLogicTest, AnyOtherRefusalEndsIt) {
  EXPECT_EQ(wanted(), "join");
  logic.refused(ErrorCode::kShuttingDown);
  EXPECT_EQ(wanted(), "join");  // that one passes
  logic.refused(ErrorCode::kInconsistentGroup);
  EXPECT_EQ(wanted(), "");
  ASSERT_TRUE(logic.error());
  EXPECT_FALSE(logic.leave());
}

TEST_F(GroupLogicTest, LeavesOnlyWhatItMayHaveJoined) {
  EXPECT_FALSE(GroupLogic(8s, Random(2)).leave());
  join({0});
  EXPECT_TRUE(logic.leave());
  EXPECT_EQ(wanted(), "");
  EXPECT_FALSE(logic.leave());
}

// Several members and a broker that moves partitions at random and expels now and then: no two
// members ever hold the same partition in the broker's eyes, and all is held once it rests.
TEST(GroupLogic, NoPartitionIsHeldTwice) {
  constexpr std::int32_t kPartitions = 6;
  constexpr std::size_t kMembers = 3;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    Random random(seed);
    MonotonicTime now{1h};
    struct Member {
      explicit Member(std::uint64_t random_seed) : logic(8s, Random(random_seed)) {}
      GroupLogic logic;
      std::optional<GroupLogic::Request> asked;
      std::set<PartitionKey> reading;
      bool known = false;
    };
    std::vector<Member> members;
    for (std::size_t i = 0; i < kMembers; ++i) members.emplace_back(seed * 10 + i);
    std::map<PartitionKey, std::size_t> owner, target;  // as the broker sees it
    std::int32_t epoch = 0;
    const auto answer = [&](std::size_t i) {
      Member& member = members[i];
      if (!member.asked) return;
      const auto request = *std::exchange(member.asked, std::nullopt);
      const bool join = request.kind == GroupLogic::Request::Kind::kJoin;
      if (!join && !member.known) {
        member.reading.clear();  // at once, whenever it will be told
        return member.logic.refused(ErrorCode::kUnknownMember);
      }
      member.known = true;
      if (!join)
        std::erase_if(owner, [&](const auto& row) {
          return row.second == i && target.at(row.first) != i &&
                 std::ranges::find(request.owned, row.first) == request.owned.end();
        });
      GroupLogic::Partitions held;
      for (const auto& [key, wanted] : target)
        if (wanted == i && (!owner.contains(key) || owner.at(key) == i)) {
          owner[key] = i;
          held.emplace_back(key, kName);
        }
      member.logic.assigned(++epoch, held, now);
    };
    const auto work = [&](std::size_t i) {
      Member& member = members[i];
      while (auto event = member.logic.next_event()) {
        for (const auto& [key, name] : event->partitions) {
          if (event->kind == Kind::kAssigned)
            member.reading.insert(key);
          else
            member.reading.erase(key);
        }
        if (event->kind == Kind::kRevoked) member.logic.released(event->partitions);
      }
    };
    const auto expel = [&](std::size_t i) {
      members[i].known = false;
      members[i].reading.clear();  // its commits are fenced from here on
      std::erase_if(owner, [&](const auto& row) { return row.second == i; });
    };
    const auto move = [&] {
      for (std::int32_t p = 0; p < kPartitions; ++p)
        target[{kTopic, PartitionIndex(p)}] = random.below(kMembers);
    };
    const auto step = [&](std::size_t i) {
      now += 1s;
      if (!members[i].asked) members[i].asked = members[i].logic.wanted(now);
    };
    move();
    for (int round = 0; round < 400; ++round) {
      const std::size_t i = random.below(kMembers);
      switch (random.below(8)) {
        case 0:
        case 1:
          answer(i);
          break;
        case 2:
        case 3:
          step(i);
          break;
        case 4:
          work(i);
          break;
        case 5:
          if (random.below(10) == 0) move();
          break;
        case 6:
          if (random.below(30) == 0) expel(i);
          break;
        default:
          if (random.below(10) != 0) break;
          members[i].logic.disconnected();
          members[i].asked.reset();
      }
      for (std::size_t m = 0; m < kMembers; ++m)
        for (const PartitionKey& key : members[m].reading) {
          if (!members[m].known) continue;
          ASSERT_TRUE(owner.contains(key)) << "seed " << seed;
          ASSERT_EQ(owner.at(key), m) << "seed " << seed;
        }
    }
    for (int round = 0; round < 40; ++round)
      for (std::size_t i = 0; i < kMembers; ++i) {
        step(i);
        answer(i);
        work(i);
      }
    std::size_t read = 0;
    for (const Member& member : members) read += member.reading.size();
    EXPECT_EQ(read, static_cast<std::size_t>(kPartitions)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace leat
