// Committed offsets by Kafka's rules, one group id for several kinds of member (rule 8), and when
// offsets are forgotten.
#include "tests/server/classic/classic_fixture.h"

namespace leat::broker {
namespace {

using namespace std::chrono_literals;
using enum ErrorCode;

class GroupOffsetsTest : public ClassicFixture {
 protected:
  explicit GroupOffsetsTest(const BrokerOptions& options = kOptions) : ClassicFixture(options) {
    topic = create();
  }
  std::vector<NamedOffset> fetch(const std::optional<std::vector<PartitionRef>>& wanted = {}) {
    broker.commits().fetch(next(), "g", wanted);
    storage.make_durable(broker);
    const auto* offsets = last<NamedOffsets>();
    EXPECT_TRUE(offsets);
    return offsets ? offsets->offsets : std::vector<NamedOffset>();
  }
  std::vector<ErrorCode> remove(const RemoveOffsetsRequest& request) {
    broker.commits().remove(next(), request);
    storage.make_durable(broker);
    const auto* results = last<PartitionResults>();
    return results ? results->partitions : std::vector{last_error()};
  }
  ErrorCode join_native(std::string_view member = "m") {
    JoinRequest request{.group = "g", .member = {.id = std::string(member), .topics = {"orders"}}};
    request.member.session_timeout = request.member.rebalance_timeout = 10s;
    broker.groups().join(next(), request, now);
    storage.make_durable(broker);
    return last_error();
  }
  ErrorCode attach() {
    AttachRequest request;
    request.subscription = 1;
    request.group = "g";
    request.kind = GroupKind::kShared;
    request.topics = {"orders"};
    request.ack_timeout = 10s;
    broker.deliveries().attach(next(), request, at());
    return last_error();
  }
  PartitionRef first() const { return {"orders", {}, PartitionIndex(0)}; }

  TopicId topic;
};

TEST_F(GroupOffsetsTest, ASimpleConsumerCommitsWhileTheGroupIsEmpty) {
  EXPECT_EQ(commit("", -1), kOk);
  EXPECT_EQ(fetch()[0].offset, Offset(7));
  EXPECT_EQ(fetch()[0].metadata, "note");
  EXPECT_EQ(commit("", 3), kUnknownMember);  // of an earlier life
  EXPECT_EQ(commit("m", 3), kUnknownMember);
  const auto members = stable(1);
  EXPECT_EQ(commit("", -1), kUnknownMember);
  EXPECT_EQ(commit("nobody", 1), kUnknownMember);
  EXPECT_EQ(commit(members[0], 0), kIllegalGeneration);
  EXPECT_EQ(commit(members[0], 1, Offset(9)), kOk);
  EXPECT_EQ(fetch()[0].offset, Offset(9));
  leave({{members[0], {}}});
  EXPECT_EQ(commit("", -1, Offset(2)), kOk);  // unaltered, also backwards (rule 6)
  EXPECT_EQ(fetch()[0].offset, Offset(2));
}

TEST_F(GroupOffsetsTest, NothingOfAGenerationThatIsUnheardOf) {
  EXPECT_EQ(commit("m", 1), kIllegalGeneration);
}

TEST_F(GroupOffsetsTest, EachPartitionIsAnsweredByItself) {
  broker.commits().commit(next(),
                          {{.group = "g"},
                           {{{"orders", {}, PartitionIndex(1)}, Offset(5), "", LeaderEpoch(-1)},
                            {{"nothing", {}, PartitionIndex(0)}, Offset(5), "", LeaderEpoch(-1)},
                            {{"orders", {}, PartitionIndex(2)}, Offset(5), "", LeaderEpoch(-1)},
                            {{"", topic, PartitionIndex(0)}, Offset(6), "", LeaderEpoch(-1)},
                            {{"", TopicId{}, PartitionIndex(0)}, Offset(6), "", LeaderEpoch(-1)},
                            {first(), Offset(1), std::string(5'000, 'm'), LeaderEpoch(-1)}}},
                          now);
  EXPECT_FALSE(last<PartitionResults>());  // not before it is durable (rule 2)
  storage.make_durable(broker);
  EXPECT_EQ(last<PartitionResults>()->partitions,
            (std::vector{kOk, kUnknownTopic, kUnknownPartition, kOk, kUnknownTopicId,
                         kMetadataTooLarge}));
  const auto offsets = fetch(std::vector<PartitionRef>{{"orders", {}, PartitionIndex(1)},
                                                       {"nothing", {}, PartitionIndex(0)},
                                                       {"", topic, PartitionIndex(0)},
                                                       {"", TopicId{}, PartitionIndex(0)},
                                                       {"orders", {}, PartitionIndex(77)}});
  EXPECT_EQ(offsets[0].offset, Offset(5));
  EXPECT_EQ(offsets[1].offset, Offset(-1));
  EXPECT_EQ(offsets[1].code, kOk);
  EXPECT_EQ(offsets[2].offset, Offset(6));
  EXPECT_EQ(offsets[2].name, "orders");
  EXPECT_EQ(offsets[3].code, kUnknownTopicId);
  EXPECT_EQ(offsets[4].offset, Offset(-1));
  EXPECT_EQ(fetch().size(), 2u);
}

TEST_F(GroupOffsetsTest, SingleOffsetsAreRemovedUnlessMembersReadTheTopic) {
  EXPECT_EQ(remove({"g", {first()}, {}}), std::vector{kUnknownGroup});
  commit("", -1);
  EXPECT_EQ(
      remove(
          {"g", {first(), {"orders", {}, PartitionIndex(1)}, {"no", {}, PartitionIndex(0)}}, {}}),
      (std::vector{kOk, kOk, kUnknownTopic}));
  EXPECT_TRUE(fetch().empty());
  const auto members = stable(1);
  commit(members[0], 1);
  EXPECT_EQ(remove({"g", {first()}, {}}), std::vector{kGroupNotEmpty});
  EXPECT_EQ(remove({"g", {first()}, {{"orders"}}}), std::vector{kGroupSubscribed});
  EXPECT_EQ(fetch().size(), 1u);
  EXPECT_EQ(remove({"g", {first()}, {{"others"}}}), std::vector{kOk});
  EXPECT_TRUE(fetch().empty());
}

// ---- one group id, several kinds (rule 8) ----

TEST_F(GroupOffsetsTest, AClassicGroupTakesNoOtherMembers) {
  const auto members = stable(1);
  EXPECT_EQ(join_native(), kInconsistentGroup);
  EXPECT_EQ(attach(), kInconsistentGroup);
  const storage::OffsetCommit offset{topic, PartitionIndex(0), Offset(1), "", {}};
  broker.commit_offsets(next(), {"g", {&offset, 1}}, now);
  EXPECT_EQ(last_error(), kGroupNotEmpty);
  commit(members[0], 1);
  leave({{members[0], {}}});
  EXPECT_EQ(join_native(), kOk);
  EXPECT_EQ(error_of(join({})), kInconsistentGroup);
  EXPECT_EQ(commit("", -1), kUnknownMember);
  EXPECT_EQ(fetch()[0].offset, Offset(7));  // the offsets stay
  broker.groups().leave(next(), "g", "m", now);
  EXPECT_EQ(joined(join({})).generation, 3);
}

TEST_F(GroupOffsetsTest, ASharedGroupTakesNoClassicMemberAndItsFloorIsItsOffset) {
  produce(topic, 3);
  storage.make_durable(broker);
  ASSERT_EQ(attach(), kOk);
  EXPECT_EQ(error_of(join({})), kInconsistentGroup);
  EXPECT_EQ(commit("", -1), kUnknownMember);
  ASSERT_EQ(fetch().size(), 2u);
  const Offset floor = fetch()[0].offset;
  EXPECT_EQ(floor, storage.committed("g", topic, PartitionIndex(0))->offset);
  broker.on_connection_closed(ConnectionId(1), at());
  EXPECT_EQ(joined(join({})).generation, 1);
  EXPECT_EQ(fetch()[0].offset, floor);
}

TEST_F(GroupOffsetsTest, ClassicGroupsAreListedDescribedAndRemovedWithTheOthers) {
  const auto members = stable(2);
  broker.groups().list(next());
  ASSERT_EQ(last<GroupList>()->groups.size(), 1u);
  const GroupSummary& summary = last<GroupList>()->groups[0];
  EXPECT_EQ(summary.kind, GroupKind::kClassic);
  EXPECT_EQ(summary.members, 2u);
  EXPECT_EQ(summary.epoch, 2);
  EXPECT_TRUE(summary.settled);
  EXPECT_EQ(summary.protocol_type, "consumer");
  broker.groups().describe(next(), "g");
  const auto& description = *last<GroupDescription>();
  ASSERT_EQ(description.members.size(), 2u);
  EXPECT_EQ(description.members[0].client_name, "client");
  ASSERT_TRUE(description.classic);
  EXPECT_EQ(description.classic->protocol, "range");
  EXPECT_EQ(description.classic->members[0].metadata, "topics");
  EXPECT_EQ(description.classic->members[0].client_host, "/127.0.0.1");
  EXPECT_TRUE(description.classic->members[0].assignment.starts_with("for client-"));
  broker.groups().remove(next(), "g");
  EXPECT_EQ(last_error(), kGroupNotEmpty);
  leave({{members[0], {}}, {members[1], {}}});
  broker.groups().describe(next(), "g");
  EXPECT_EQ(last<GroupDescription>()->group.kind, GroupKind::kNone);
  EXPECT_EQ(last<GroupDescription>()->classic->state, ClassicState::kEmpty);
  broker.groups().remove(next(), "g");
  EXPECT_TRUE(last<GroupDeleted>());
  broker.groups().describe(next(), "g");
  EXPECT_EQ(last_error(), kUnknownGroup);
}

// ---- forgetting ----

class OffsetExpiryTest : public GroupOffsetsTest {
 protected:
  OffsetExpiryTest() : GroupOffsetsTest({.offset_retention = 1h}) {}
  void later(Duration time) {
    now += time;
    broker.on_time(at());
  }
};

TEST_F(OffsetExpiryTest, WhatNobodyUsesIsForgotten) {
  commit("", -1);
  later(59min);
  commit("", -1);  // anew from here
  later(59min);
  EXPECT_EQ(fetch().size(), 1u);
  later(1min);
  EXPECT_TRUE(fetch().empty());
  EXPECT_FALSE(storage.has_group("g"));
}

TEST_F(OffsetExpiryTest, OffsetsOutlastTheMembersByAsLong) {
  commit("", -1);
  const auto members = stable(1, {.session = 1'800s});
  for (int i = 0; i < 10; ++i) {
    later(20min);
    ASSERT_EQ(heartbeat(members[0], 1), kOk);
  }
  EXPECT_EQ(fetch().size(), 1u);
  leave({{members[0], {}}});
  later(59min);
  EXPECT_EQ(fetch().size(), 1u);
  later(1min);
  EXPECT_TRUE(fetch().empty());
  EXPECT_FALSE(broker.classic_groups().find("g"));
}

TEST_F(OffsetExpiryTest, MembersOfOtherKindsKeepThemToo) {
  commit("", -1);
  ASSERT_EQ(attach(), kOk);
  later(61min);
  EXPECT_FALSE(fetch().empty());
  broker.on_connection_closed(ConnectionId(1), at());
  later(59min);
  EXPECT_FALSE(fetch().empty());
  later(1min);
  EXPECT_TRUE(fetch().empty());
}

TEST_F(OffsetExpiryTest, ARestartBeginsTheTimeAnew) {
  commit("", -1);
  Broker again({.offset_retention = 1h}, storage, checker, Random(2), sink, at(30min));
  EXPECT_EQ(again.next_deadline(), now + 90min);
}

TEST_F(GroupOffsetsTest, WithoutTheOptionNothingIsEverForgotten) {
  commit("", -1);
  for (int i = 0; i < 1'000; ++i) {
    now += 24h;
    broker.on_time(at());
  }
  EXPECT_EQ(fetch().size(), 1u);
}

}  // namespace
}  // namespace leat::broker
