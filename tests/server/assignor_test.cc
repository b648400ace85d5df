// Who reads what: complete, balanced, sticky, whatever the group looks like.
#include "server/broker/assignor.h"

#include <algorithm>
#include <ranges>

#include <gtest/gtest.h>

#include "protocol/base/random.h"

namespace leat::broker {
namespace {

using storage::TopicPartition;

AssignorInput::Topic topic_of(std::uint8_t number, int partitions, std::set<std::string> members) {
  AssignorInput::Topic topic;
  for (int i = 0; i < partitions; ++i)
    topic.partitions.push_back({TopicId{{number}}, PartitionIndex(i)});
  topic.members = std::move(members);
  return topic;
}

std::set<std::string> members_of(int count) {
  std::set<std::string> members;
  for (int i = 0; i < count; ++i) members.insert("m" + std::to_string(i));
  return members;
}

std::map<std::string, int> counts(const Target& target, const std::set<std::string>& members) {
  std::map<std::string, int> counts;
  for (const std::string& member : members) counts[member] = 0;
  for (const auto& [partition, member] : target) ++counts[member];
  return counts;
}

int moved(const Target& before, const Target& after) {
  int moves = 0;
  for (const auto& [partition, member] : after) {
    const auto it = before.find(partition);
    if (it != before.end() && it->second != member) ++moves;
  }
  return moves;
}

void expect_balanced(const Target& target, const std::set<std::string>& members) {
  const auto held = counts(target, members);
  const auto [least, most] = std::ranges::minmax(held | std::views::values);
  EXPECT_LE(most - least, 1);
}

TEST(Assignor, NobodyGetsNothing) {
  EXPECT_TRUE(assign({}).empty());
  EXPECT_TRUE(assign({{topic_of(1, 3, {})}, {}}).empty());
}

TEST(Assignor, MembersThatComeAndGoMoveNoMoreThanBalanceAsks) {
  Target before;
  constexpr int kPartitions = 97;
  for (const int members : {1, 2, 3, 10, 50, 49, 20, 21, 1, 5}) {
    AssignorInput input{{topic_of(1, kPartitions, members_of(members))}, before};
    const Target after = assign(input);
    EXPECT_EQ(after.size(), static_cast<std::size_t>(kPartitions));
    expect_balanced(after, members_of(members));
    // What those that left had must move, and those that came get their share: nothing else.
    const int old_members = static_cast<int>(counts(before, {}).size());
    const int share = kPartitions / members + 1;
    int homeless = 0;
    for (const auto& [partition, member] : before)
      if (!members_of(members).contains(member)) ++homeless;
    if (!before.empty()) {
      EXPECT_LE(moved(before, after), homeless + std::max(0, members - old_members) * share);
    }
    before = after;
  }
}

TEST(Assignor, ASettledGroupStaysAsItIs) {
  AssignorInput input{{topic_of(1, 12, members_of(5)), topic_of(2, 7, members_of(3))}, {}};
  const Target first = assign(input);
  input.owners = first;
  EXPECT_EQ(assign(input), first);
}

TEST(Assignor, AnyGroupIsCompleteAndEachPartitionWithOneThatWantsIt) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    AssignorInput input;
    const auto everyone = members_of(1 + static_cast<int>(random.below(8)));
    for (std::uint8_t t = 0; t < 1 + random.below(5); ++t) {
      std::set<std::string> some;
      for (const std::string& member : everyone)
        if (random.below(3) > 0) some.insert(member);
      input.topics.push_back(topic_of(t, static_cast<int>(random.below(20)), some));
    }
    for (const auto& topic : input.topics)
      for (const auto& partition : topic.partitions)
        if (random.below(2) == 0)
          input.owners[partition] = "m" + std::to_string(random.below(12));  // some are gone
    const Target target = assign(input);
    std::size_t wanted = 0;
    for (const auto& topic : input.topics) {
      if (topic.members.empty()) continue;
      wanted += topic.partitions.size();
      for (const auto& partition : topic.partitions) {
        ASSERT_TRUE(target.contains(partition)) << seed;
        EXPECT_TRUE(topic.members.contains(target.at(partition))) << seed;
      }
    }
    EXPECT_EQ(target.size(), wanted) << seed;
    // Nobody could hand one to another that has two fewer.
    const auto held = counts(target, everyone);
    for (const auto& topic : input.topics)
      for (const auto& partition : topic.partitions) {
        if (topic.members.empty()) continue;
        for (const std::string& other : topic.members)
          EXPECT_LE(held.at(target.at(partition)), held.at(other) + 1) << seed;
      }
  }
}

}  // namespace
}  // namespace leat::broker
