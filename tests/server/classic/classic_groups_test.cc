// The rules of classic groups, one by one.
#include "tests/server/classic/classic_fixture.h"

namespace leat::broker {
namespace {

using namespace std::chrono_literals;
using enum ErrorCode;

using ClassicGroupsTest = ClassicFixture;

// ---- joining ----

TEST_F(ClassicGroupsTest, AMemberAloneLeadsAndIsGivenWhatItSays) {
  const auto request = join({});
  const ClassicJoined& first = joined(request);
  EXPECT_EQ(first.generation, 1);
  EXPECT_EQ(first.protocol_type, "consumer");
  EXPECT_EQ(first.protocol, "range");
  EXPECT_EQ(first.leader, first.member);
  EXPECT_TRUE(first.member.starts_with("client-"));
  ASSERT_EQ(first.members.size(), 1u);
  EXPECT_EQ(first.members[0].metadata, "topics");
  const auto synced = sync(first.member, 1, {{first.member, "all"}, {"nobody", "x"}});
  EXPECT_EQ(got<ClassicSynced>(synced)->assignment, "all");
  EXPECT_EQ(group().state(), ClassicState::kStable);
  EXPECT_EQ(heartbeat(first.member, 1), kOk);
}

TEST_F(ClassicGroupsTest, WhoMayComeAgainIsToldItsIdFirst) {
  const auto asked = join({.comes_again = true});
  const auto* given = got<ClassicIdGiven>(asked);
  ASSERT_TRUE(given);
  EXPECT_EQ(group().members().size(), 0u);
  const std::string id = given->member;
  EXPECT_EQ(heartbeat(id, 0), kUnknownMember);  // not a member yet
  EXPECT_EQ(joined(join({.member = id, .comes_again = true})).member, id);
  EXPECT_EQ(error_of(join({.member = "client-of-another-life"})), kUnknownMember);
  EXPECT_EQ(error_of(join({.member = "x", .group = "unheard-of"})), kUnknownMember);
}

TEST_F(ClassicGroupsTest, OneThatDoesNotComeAgainIsNoLongerWaitedFor) {
  const auto members = stable(1);
  join({.session = 20s, .comes_again = true});
  const auto second = join({});
  const auto first = join({.member = members[0]});
  EXPECT_FALSE(answered(first));  // the pending one is waited for
  pass(19s);
  EXPECT_FALSE(answered(first));
  pass(2s);
  EXPECT_EQ(joined(first).generation, joined(second).generation);
  EXPECT_EQ(joined(first).members.size(), 2u);
}

TEST_F(ClassicGroupsTest, TheFirstWaitALittleForThoseThatAreAboutToCome) {
  const auto a = got<ClassicIdGiven>(join({.comes_again = true}))->member;
  const auto b = got<ClassicIdGiven>(join({.comes_again = true}))->member;
  const auto first = join({.member = a}), second = join({.member = b});
  EXPECT_EQ(joined(first).generation, 1);
  EXPECT_EQ(joined(second).generation, 1);
  // But not for long.
  broker.classic_groups().forget("g");
  const auto c = got<ClassicIdGiven>(join({.comes_again = true}))->member;
  join({.comes_again = true});
  const auto third = join({.member = c});
  EXPECT_FALSE(answered(third));
  pass(ClassicGroup::kForPending);
  EXPECT_EQ(joined(third).members.size(), 1u);
}

TEST_F(ClassicGroupsTest, SecondsJoinMakesANewGenerationOnceTheFirstIsBack) {
  const auto members = stable(1);
  const auto second = join({});
  EXPECT_FALSE(answered(second));
  EXPECT_EQ(group().state(), ClassicState::kPreparing);
  EXPECT_EQ(heartbeat(members[0], 1), kRebalanceInProgress);
  EXPECT_EQ(commit(members[0], 1, Offset(3)), kUnknownTopic);  // allowed, but nothing is there
  const auto first = join({.member = members[0]});
  EXPECT_EQ(joined(first).generation, 2);
  EXPECT_EQ(joined(first).leader, members[0]);
  EXPECT_EQ(joined(first).members.size(), 2u);
  EXPECT_EQ(joined(second).leader, members[0]);
  EXPECT_TRUE(joined(second).members.empty());  // told to the leader alone
  EXPECT_EQ(heartbeat(members[0], 1), kIllegalGeneration);
}

TEST_F(ClassicGroupsTest, ProtocolIsTheOneMostLikeOfThoseThatAllKnow) {
  const auto a = joined(join({.protocols = {{"only-a", ""}, {"x", "a"}, {"y", ""}}})).member;
  join({.protocols = {{"y", ""}, {"x", "b"}}});
  const auto again = join({.member = a, .protocols = {{"only-a", ""}, {"x", "a"}, {"y", ""}}});
  join({.protocols = {{"x", "c"}, {"y", ""}}});
  EXPECT_EQ(joined(again).protocol, "x");  // one vote each: the leader's wish
  EXPECT_EQ(error_of(join({.protocols = {{"only-a", ""}}})), kInconsistentGroup);
  EXPECT_EQ(error_of(join({.type = "connect"})), kInconsistentGroup);
  EXPECT_EQ(error_of(join({.protocols = {}, .group = "new"})), kInconsistentGroup);
  EXPECT_EQ(error_of(join({.group = "new", .type = ""})), kInconsistentGroup);
}

TEST_F(ClassicGroupsTest, TimeoutsAndNamesAreHeldToTheirLimits) {
  EXPECT_EQ(error_of(join({.session = 5'999ms})), kInvalidSessionTimeout);
  EXPECT_EQ(error_of(join({.session = 1'800'001ms})), kInvalidSessionTimeout);
  EXPECT_EQ(error_of(join({.group = ""})), kInvalidGroupName);
  EXPECT_EQ(error_of(join({.instance = ""})), kInvalidRequest);
  EXPECT_EQ(error_of(join({.instance = std::string(256, 'i')})), kInvalidRequest);
  EXPECT_EQ(error_of(join({.protocols = {{"p", std::string(64 << 20, 'm')}}})), kGroupFull);
}

TEST_F(ClassicGroupsTest, AGroupHasNoMoreMembersThanItMay) {
  const auto members = stable(5);
  EXPECT_EQ(error_of(join({})), kGroupFull);
  EXPECT_EQ(error_of(join({.comes_again = true})), kGroupFull);
  EXPECT_EQ(group().state(), ClassicState::kStable);
  // Others are told ids no more often than that.
  for (int i = 0; i < 5; ++i) join({.group = "h", .comes_again = true});
  EXPECT_EQ(error_of(join({.group = "h", .comes_again = true})), kGroupFull);
}

TEST_F(ClassicGroupsTest, ThereAreNoMoreGroupsThanThereMay) {
  for (const char* name : {"a", "b", "c"}) EXPECT_TRUE(answered(join({.group = name})));
  EXPECT_EQ(error_of(join({.group = "d"})), kLimitReached);
  broker.classic_groups().leave(
      next(), "a", std::vector<ClassicLeaver>{{group("a").leader(), std::nullopt}}, now);
  EXPECT_EQ(joined(join({.group = "d"})).generation, 1);  // an empty one makes room
  EXPECT_FALSE(broker.classic_groups().find("a"));
}

TEST_F(ClassicGroupsTest, JoiningAgainWithNothingNewChangesNothing) {
  const auto members = stable(2);
  EXPECT_EQ(joined(join({.member = members[1]})).generation, 2);
  EXPECT_EQ(group().state(), ClassicState::kStable);
  join({.member = members[1], .protocols = {{"range", "other topics"}}});
  EXPECT_EQ(group().state(), ClassicState::kPreparing);
}

TEST_F(ClassicGroupsTest, TheLeaderThatJoinsAgainAssignsAgain) {
  const auto members = stable(2);
  const auto leader = join({.member = members[0]});
  EXPECT_FALSE(answered(leader));
  EXPECT_EQ(group().state(), ClassicState::kPreparing);
  join({.member = members[1]});
  EXPECT_EQ(joined(leader).generation, 3);
  // Its answer was lost: asked again, it is told the same.
  EXPECT_EQ(joined(join({.member = members[0]})).generation, 3);
  EXPECT_EQ(joined(join({.member = members[1]})).generation, 3);
  EXPECT_EQ(group().state(), ClassicState::kCompleting);
}

TEST_F(ClassicGroupsTest, AskedTwiceTheFirstQuestionIsAnsweredToo) {
  const auto members = stable(2);
  const auto first = join({.member = members[0]});
  const auto again = join({.member = members[0]});
  EXPECT_EQ(error_of(first), kRebalanceInProgress);
  EXPECT_FALSE(answered(again));
  join({.member = members[1]});
  EXPECT_EQ(joined(again).generation, 3);
  const auto sync1 = sync(members[1], 3);
  const auto sync2 = sync(members[1], 3);
  EXPECT_EQ(error_of(sync1), kRebalanceInProgress);
  sync(members[0], 3, {{members[1], "one"}});
  EXPECT_EQ(got<ClassicSynced>(sync2)->assignment, "one");
}

// ---- time ----

TEST_F(ClassicGroupsTest, WhoDoesNotJoinInTimeIsDropped) {
  const auto members = stable(2, {.session = 100s, .rebalance = 30s});
  const auto third = join({.session = 100s, .rebalance = 20s});
  const auto leader = join({.member = members[0], .session = 100s, .rebalance = 20s});
  pass(29s);  // the longest of the timeouts
  EXPECT_FALSE(answered(third));
  pass(2s);
  EXPECT_EQ(joined(leader).members.size(), 2u);
  EXPECT_TRUE(answered(third));
  EXPECT_EQ(heartbeat(members[1], 2), kUnknownMember);
}

TEST_F(ClassicGroupsTest, WhereTheLeaderDoesNotComeBackAnotherLeads) {
  const auto members = stable(2, {.session = 100s, .rebalance = 30s});
  const auto follower = join(
      {.member = members[1], .protocols = {{"range", "new"}}, .session = 100s, .rebalance = 30s});
  pass(31s);
  EXPECT_EQ(joined(follower).leader, members[1]);
  EXPECT_EQ(joined(follower).members.size(), 1u);
}

TEST_F(ClassicGroupsTest, SessionsEndWithoutHeartbeats) {
  const auto members = stable(2);
  pass(6s);
  EXPECT_EQ(heartbeat(members[0], 2), kOk);
  pass(5s);
  EXPECT_EQ(heartbeat(members[1], 2), kUnknownMember);
  EXPECT_EQ(heartbeat(members[0], 2), kRebalanceInProgress);
  EXPECT_EQ(joined(join({.member = members[0]})).generation, 3);
  pass(20s);
  EXPECT_EQ(group().state(), ClassicState::kEmpty);
  EXPECT_EQ(group().generation(), 4);
  EXPECT_EQ(joined(join({})).generation, 5);
}

TEST_F(ClassicGroupsTest, ACommitSaysThatAMemberIsAlive) {
  create();
  const auto members = stable(1);
  for (int i = 0; i < 5; ++i) {
    pass(7s);
    EXPECT_EQ(commit(members[0], 1), kOk);
  }
  pass(11s);
  EXPECT_EQ(commit(members[0], 1), kUnknownMember);
}

TEST_F(ClassicGroupsTest, WhoWaitsForTheGroupIsNotExpired) {
  const auto members = stable(2, {.rebalance = 50s});
  const auto leader = join({.member = members[0], .rebalance = 50s});
  for (int i = 0; i < 9; ++i) {
    pass(5s);
    EXPECT_EQ(heartbeat(members[1], 2), kRebalanceInProgress);
  }
  EXPECT_FALSE(answered(leader));
  EXPECT_EQ(group().members().size(), 2u);
  join({.member = members[1], .rebalance = 50s});
  EXPECT_EQ(joined(leader).members.size(), 2u);
  // From here on its session counts.
  const auto follower = sync(members[1], 3);
  pass(11s);
  EXPECT_FALSE(group().members().contains(members[0]));
  EXPECT_EQ(error_of(follower), kRebalanceInProgress);
}

TEST_F(ClassicGroupsTest, OneThatWasNeverToldOfAGenerationIsGivenUpInTheEnd) {
  const auto members = stable(1, {.rebalance = 3'600s});
  const auto second = join({.rebalance = 3'600s});
  for (int i = 0; i < 60; ++i) {
    pass(5s);
    heartbeat(members[0], 1);
  }
  EXPECT_EQ(error_of(second), kUnknownMember);
  EXPECT_EQ(group().members().size(), 1u);
}

TEST_F(ClassicGroupsTest, WhoDoesNotSyncIsDropped) {
  const auto members = stable(2, {.session = 100s, .rebalance = 30s});
  join({.member = members[0], .session = 100s, .rebalance = 30s});
  join({.member = members[1], .session = 100s, .rebalance = 30s});
  const auto follower = sync(members[1], 3);
  pass(31s);  // the leader says nothing
  EXPECT_EQ(error_of(follower), kRebalanceInProgress);
  EXPECT_EQ(heartbeat(members[0], 3), kUnknownMember);
  EXPECT_EQ(joined(join({.member = members[1]})).leader, members[1]);
}

TEST_F(ClassicGroupsTest, TheClocksStandstillCountsForNobody) {
  const auto members = stable(2);
  now += 1h;  // rule 11
  broker.on_time(at());
  EXPECT_EQ(heartbeat(members[0], 2), kOk);
  EXPECT_EQ(heartbeat(members[1], 2), kOk);
  pass(11s);
  EXPECT_EQ(group().members().size(), 0u);
}

TEST_F(ClassicGroupsTest, ALostConnectionMeansNothing) {
  const auto members = stable(1);
  broker.on_connection_closed(ConnectionId(1), at());
  EXPECT_EQ(heartbeat(members[0], 1), kOk);
}

TEST_F(ClassicGroupsTest, AnEmptyGroupWithoutOffsetsIsForgotten) {
  const auto members = stable(1);
  leave({{members[0], std::nullopt}});
  pass(9min);
  EXPECT_TRUE(broker.classic_groups().find("g"));
  pass(2min);
  EXPECT_FALSE(broker.classic_groups().find("g"));
  EXPECT_EQ(broker.classic_groups().next_deadline(), std::nullopt);
}

class DelayedGroups : public ClassicFixture {
 protected:
  DelayedGroups() : ClassicFixture({.group_initial_rebalance_delay = 3'000ms}) {}
};

TEST_F(DelayedGroups, AnEmptyGroupGivesOthersTimeToCome) {
  const auto first = join({.rebalance = 8s});
  pass(2s);
  const auto second = join({.rebalance = 8s});
  EXPECT_FALSE(answered(first));
  pass(2s);  // once more, for the second
  EXPECT_FALSE(answered(first));
  pass(3s);
  EXPECT_EQ(joined(first).members.size(), 2u);
  EXPECT_EQ(joined(second).generation, 1);
}

TEST_F(DelayedGroups, ButNeverLongerThanTheRebalanceTimeout) {
  const auto first = join({.rebalance = 8s});
  for (int i = 0; i < 7; ++i) {
    EXPECT_FALSE(answered(first)) << i;
    pass(1s);
    join({.rebalance = 8s});
  }
  pass(1s);
  EXPECT_EQ(joined(first).members.size(), 8u);
}

// ---- who does what ----

TEST_F(ClassicGroupsTest, FollowersWaitForTheLeader) {
  const auto members = stable(3);
  for (const auto& member : members) join({.member = member});
  const std::int32_t generation = group().generation();
  const auto early = sync(members[1], generation);
  EXPECT_FALSE(answered(early));
  EXPECT_EQ(heartbeat(members[2], generation), kOk);
  EXPECT_EQ(commit(members[2], generation), kRebalanceInProgress);
  sync(members[0], generation, {{members[0], "0"}, {members[1], "1"}, {members[2], "2"}});
  EXPECT_EQ(got<ClassicSynced>(early)->assignment, "1");
  EXPECT_EQ(got<ClassicSynced>(sync(members[2], generation))->assignment, "2");
  EXPECT_EQ(got<ClassicSynced>(sync(members[2], generation))->assignment, "2");
}

TEST_F(ClassicGroupsTest, SyncOfAnotherGenerationOrProtocolIsRefused) {
  const auto members = stable(1);
  EXPECT_EQ(error_of(sync(members[0], 0)), kIllegalGeneration);
  EXPECT_EQ(error_of(sync("nobody", 1)), kUnknownMember);
  EXPECT_EQ(error_of(sync(members[0], 1, {}, {}, "connect", "range")), kInconsistentGroup);
  EXPECT_EQ(error_of(sync(members[0], 1, {}, {}, "consumer", "sticky")), kInconsistentGroup);
  EXPECT_EQ(error_of(sync(members[0], 1, {}, {}, "consumer", "range")), kOk);
  join({});
  EXPECT_EQ(error_of(sync(members[0], 1)), kRebalanceInProgress);
}

TEST_F(ClassicGroupsTest, AJoinInterruptsThoseThatWaitForTheLeader) {
  const auto members = stable(2);
  for (const auto& member : members) join({.member = member});
  const auto waiting = sync(members[1], 3);
  join({});
  EXPECT_EQ(error_of(waiting), kRebalanceInProgress);
}

class SmallHouse : public ClassicFixture {
 protected:
  SmallHouse() : ClassicFixture({.classic_group_bytes = 2'000}) {}
};

TEST_F(SmallHouse, WhatGroupsHoldInMemoryIsBounded) {
  const auto members = stable(2);
  EXPECT_EQ(error_of(join({.protocols = {{"range", std::string(1'000, 'm')}}})), kGroupFull);
  for (const auto& member : members) join({.member = member});
  const auto follower = sync(members[1], 3);
  EXPECT_EQ(error_of(sync(members[0], 3, {{members[1], std::string(1'000, 'a')}})), kLimitReached);
  EXPECT_FALSE(answered(follower));
  sync(members[0], 3, {{members[1], "a"}});
  EXPECT_EQ(got<ClassicSynced>(follower)->assignment, "a");
  leave({{members[0], {}}, {members[1], {}}});  // and is given back
  EXPECT_TRUE(got<ClassicJoined>(join({.protocols = {{"range", std::string(1'000, 'm')}}})));
}

// ---- leaving ----

TEST_F(ClassicGroupsTest, WhoLeavesIsAnsweredEachByItself) {
  const auto members = stable(2);
  const auto pending = got<ClassicIdGiven>(join({.comes_again = true}))->member;
  EXPECT_EQ(leave({{members[0], {}}, {"nobody", {}}, {pending, {}}, {"", {}}}),
            (std::vector{kOk, kUnknownMember, kOk, kUnknownMember}));
  EXPECT_EQ(group().leader(), members[1]);
  EXPECT_EQ(heartbeat(members[1], 2), kRebalanceInProgress);
  leave({{members[1], {}}});
  EXPECT_EQ(group().state(), ClassicState::kEmpty);
  EXPECT_EQ(leave({{members[1], {}}}), std::vector{kUnknownMember});
  broker.classic_groups().leave(next(), "nowhere", std::vector<ClassicLeaver>{{"m", {}}}, now);
  EXPECT_EQ(last<ClassicLeft>()->members, std::vector{kUnknownMember});
}

TEST_F(ClassicGroupsTest, OneThatLeavesWhileItWaitsIsAnswered) {
  const auto members = stable(2);
  const auto leader = join({.member = members[0]});
  leave({{members[0], {}}});
  EXPECT_EQ(error_of(leader), kUnknownMember);
  EXPECT_EQ(joined(join({.member = members[1]})).leader, members[1]);
}

// ---- static members ----

TEST_F(ClassicGroupsTest, AStaticMemberThatRestartsGoesOnWhereItWas) {
  const auto members = stable(2, {}, true);
  EXPECT_TRUE(members[1].starts_with("i1-"));
  const auto back = join({.instance = "i1"});
  EXPECT_EQ(joined(back).generation, 2);
  EXPECT_EQ(group().state(), ClassicState::kStable);
  const std::string id = joined(back).member;
  EXPECT_NE(id, members[1]);
  EXPECT_EQ(got<ClassicSynced>(sync(id, 2, {}, "i1"))->assignment, "for " + members[1]);
  EXPECT_EQ(heartbeat(id, 2, "i1"), kOk);
  EXPECT_EQ(heartbeat(members[1], 2, "i1"), kFencedInstance);
  EXPECT_EQ(heartbeat(members[1], 2), kUnknownMember);
  EXPECT_EQ(heartbeat(id, 2, "i7"), kUnknownMember);
  create();
  EXPECT_EQ(commit(members[1], 2, Offset(1), "i1"), kFencedInstance);
  EXPECT_EQ(commit(id, 2, Offset(1), "i1"), kOk);
  EXPECT_EQ(error_of(sync(members[1], 2, {}, "i1")), kFencedInstance);
  EXPECT_EQ(error_of(join({.member = members[1], .instance = "i1"})), kFencedInstance);
}

TEST_F(ClassicGroupsTest, AStaticLeaderThatRestartsDoesNotAssignAgain) {
  const auto members = stable(2, {}, true);
  const auto old = join({.instance = "i0"});  // cannot be told to skip it
  EXPECT_EQ(joined(old).leader, members[0]);
  EXPECT_NE(joined(old).member, members[0]);
  EXPECT_TRUE(joined(old).members.empty());
  const auto back = join({.instance = "i0", .may_skip = true});
  EXPECT_EQ(joined(back).leader, joined(back).member);
  EXPECT_TRUE(joined(back).skip_assignment);
  EXPECT_EQ(joined(back).members.size(), 2u);
  EXPECT_EQ(group().state(), ClassicState::kStable);
}

TEST_F(ClassicGroupsTest, AStaticMemberThatChangesTheProtocolRebalances) {
  const JoinAs like{.protocols = {{"x", ""}, {"y", ""}}};
  stable(1, like, true);
  join({.instance = "i0", .protocols = {{"y", ""}, {"x", ""}}});
  EXPECT_EQ(group().generation(), 2);
  EXPECT_EQ(group().protocol(), "y");
}

TEST_F(ClassicGroupsTest, AStaticMemberThatComesBackWhileTheLeaderAssignsRebalances) {
  const auto members = stable(2, {}, true);
  join({.member = members[1], .instance = "i1"});
  join({.member = members[0], .instance = "i0"});
  ASSERT_TRUE(join({.member = members[1], .instance = "i1"}));
  EXPECT_EQ(group().state(), ClassicState::kCompleting);
  const auto waiting = sync(members[1], group().generation(), {}, "i1");
  const auto back = join({.instance = "i1"});
  EXPECT_EQ(error_of(waiting), kFencedInstance);
  EXPECT_FALSE(answered(back));
  EXPECT_EQ(group().state(), ClassicState::kPreparing);
}

TEST_F(ClassicGroupsTest, AStaticMemberIsKeptThroughARebalanceUntilItsSessionEnds) {
  const auto members = stable(2, {.session = 100s, .rebalance = 20s}, true);
  const auto leader =
      join({.member = members[0], .instance = "i0", .session = 100s, .rebalance = 20s});
  pass(21s);
  EXPECT_EQ(joined(leader).members.size(), 2u);  // the other one is away, and counted
  EXPECT_EQ(joined(leader).members[1].instance, "i1");
}

TEST_F(ClassicGroupsTest, StaticMembersThatAreAllAwayKeepTheGroupForTheirSessions) {
  const auto members = stable(1, {.session = 100s, .rebalance = 10s}, true);
  const auto second = join({.session = 100s, .rebalance = 10s});
  EXPECT_FALSE(answered(second));
  const std::string first = group().members().begin()->first;
  leave({{first == members[0] ? group().members().rbegin()->first : first, {}}});
  EXPECT_EQ(group().state(), ClassicState::kPreparing);
  pass(60s);
  EXPECT_EQ(group().state(), ClassicState::kPreparing);
  EXPECT_EQ(group().members().size(), 1u);
  pass(60s);
  EXPECT_EQ(group().state(), ClassicState::kEmpty);
}

TEST_F(ClassicGroupsTest, AnAdministratorRemovesAStaticMemberByItsInstance) {
  const auto members = stable(2, {}, true);
  EXPECT_EQ(leave({{"", "i1"}, {"", "i9"}, {"someone", "i0"}}),
            (std::vector{kOk, kUnknownMember, kFencedInstance}));
  EXPECT_FALSE(group().members().contains(members[1]));
}

}  // namespace
}  // namespace leat::broker
