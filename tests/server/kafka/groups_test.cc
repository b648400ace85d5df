// Consumer groups as Kafka's clients ask for them, in every version that is served: requests and
// responses as bytes. The rules of groups themselves are tested on the broker.
#include "server/session/kafka/handlers.h"
#include "tests/server/kafka/kafka_fixture.h"

namespace leat::session {
namespace {

using kafka::KafkaError;
using namespace std::chrono_literals;

// What a consumer says of itself: version 1, one topic, no user data, nothing owned.
constexpr std::string_view kReadsOrders{"\0\1\0\0\0\1\0\6orders\xff\xff\xff\xff\0\0\0\0", 22};

class KafkaGroupsTest : public KafkaFixture {
 protected:
  static kafka::JoinGroupRequest joins(std::string_view member = "",
                                       std::optional<std::string_view> instance = {}) {
    return {.group_id = "g",
            .session_timeout_ms = 10'000,
            .rebalance_timeout_ms = 60'000,
            .member_id = member,
            .group_instance_id = instance,
            .protocol_type = "consumer",
            .protocols = {{"range", as_bytes(kReadsOrders)}, {"sticky", as_bytes(kReadsOrders)}},
            .reason = {}};
  }
  // A member, over connection `number`, in a generation of its own.
  kafka::JoinGroupResponse join(std::int16_t version, std::uint64_t number = 1) {
    auto response = ask<kafka::JoinGroupResponse>(joins(), version, number);
    EXPECT_TRUE(response);
    if (response->error_code == KafkaError::kMemberIdRequired)
      response = ask<kafka::JoinGroupResponse>(joins(response->member_id), version, number);
    EXPECT_TRUE(response);
    return *response;
  }
  static kafka::SyncGroupRequest syncs(const kafka::JoinGroupResponse& joined,
                                       std::string_view member, std::string_view assignment) {
    return {.group_id = "g",
            .generation_id = joined.generation_id,
            .member_id = joined.member_id,
            .group_instance_id = {},
            .protocol_type = "consumer",
            .protocol_name = joined.protocol_name,
            .assignments = {{member, as_bytes(assignment)}}};
  }
  // A group of one, stable.
  std::string stable(std::int16_t version = 5) {
    const auto joined = join(version);
    const auto synced = ask<kafka::SyncGroupResponse>(syncs(joined, joined.member_id, "all of it"),
                                                      std::min<std::int16_t>(version, 5));
    EXPECT_EQ(as_text(synced->assignment), "all of it");
    generation = joined.generation_id;
    return std::string(joined.member_id);
  }
  void leave(std::string_view member) {
    ask<kafka::LeaveGroupResponse>(
        kafka::LeaveGroupRequest{"g", member, {{member, std::nullopt, std::nullopt}}}, 4);
  }
  kafka::OffsetCommitRequest commits(std::string_view member = "", std::int32_t of = -1,
                                     std::string_view topic = "orders", TopicId id = {}) {
    kafka::OffsetCommitRequest request{.group_id = "g",
                                       .generation_id_or_member_epoch = of,
                                       .member_id = member,
                                       .group_instance_id = {}};
    request.topics.push_back({topic, id, {{0, 5, 1, "note"}, {1, 6, -1, std::nullopt}}});
    return request;
  }

  bool answered(std::uint64_t number) { return !client(number).output.sent.empty(); }

  std::int32_t generation = 0;
};

TEST_F(KafkaGroupsTest, WeAreTheCoordinatorOfEveryGroup) {
  for (std::int16_t version = 0; version <= 6; ++version) {
    const kafka::FindCoordinatorRequest request{"g", 0, {"g", "h"}};
    const auto response = ask<kafka::FindCoordinatorResponse>(request, version);
    ASSERT_TRUE(response);
    if (version < 4) {
      EXPECT_EQ(response->error_code, KafkaError::kNone);
      EXPECT_EQ(response->node_id, KafkaFacts::kNodeId);
      EXPECT_EQ(response->host, "broker.example");
      EXPECT_EQ(response->port, 9092);
      continue;
    }
    ASSERT_EQ(response->coordinators.size(), 2u);
    EXPECT_EQ(response->coordinators[1].key, "h");
    EXPECT_EQ(response->coordinators[1].host, "broker.example");
  }
  const auto transaction =
      ask<kafka::FindCoordinatorResponse>(kafka::FindCoordinatorRequest{"t", 1, {}}, 3);
  EXPECT_EQ(transaction->error_code, KafkaError::kUnsupportedVersion);
  EXPECT_EQ(transaction->error_message, "transactions are not supported");
  EXPECT_EQ(ask<kafka::FindCoordinatorResponse>(kafka::FindCoordinatorRequest{"", 9, {"x"}}, 6)
                ->coordinators.at(0)
                .error_code,
            KafkaError::kInvalidRequest);
}

TEST_F(KafkaGroupsTest, JoinsSyncsAndLeavesInEveryVersion) {
  for (std::int16_t version = 0; version <= 9; ++version) {
    SCOPED_TRACE(version);
    auto joined = ask<kafka::JoinGroupResponse>(joins(), version);
    ASSERT_TRUE(joined);
    if (version >= 4) {
      ASSERT_EQ(joined->error_code, KafkaError::kMemberIdRequired);
      joined = ask<kafka::JoinGroupResponse>(joins(joined->member_id), version);
    }
    ASSERT_EQ(joined->error_code, KafkaError::kNone);
    EXPECT_EQ(joined->generation_id, 2 * version + 1);
    EXPECT_EQ(joined->protocol_name, "range");
    EXPECT_EQ(joined->leader, joined->member_id);
    ASSERT_EQ(joined->members.size(), 1u);
    EXPECT_EQ(as_text(joined->members[0].metadata), kReadsOrders);
    if (version >= 7) {
      EXPECT_EQ(joined->protocol_type, "consumer");
    }

    const std::int16_t v = std::min<std::int16_t>(version, 5), beats = std::min<std::int16_t>(v, 4);
    const auto synced = ask<kafka::SyncGroupResponse>(syncs(*joined, joined->member_id, "mine"), v);
    EXPECT_EQ(as_text(synced->assignment), "mine");
    if (v == 5) {
      EXPECT_EQ(synced->protocol_name, "range");
    }
    kafka::HeartbeatRequest beat{"g", joined->generation_id, joined->member_id, {}};
    EXPECT_EQ(ask<kafka::HeartbeatResponse>(beat, beats)->error_code, KafkaError::kNone);
    beat.generation_id = 99;
    EXPECT_EQ(ask<kafka::HeartbeatResponse>(beat, beats)->error_code,
              KafkaError::kIllegalGeneration);

    const kafka::LeaveGroupRequest leave{
        "g", joined->member_id, {{joined->member_id, std::nullopt, std::nullopt}}};
    const auto left = ask<kafka::LeaveGroupResponse>(leave, v);
    EXPECT_EQ(left->error_code, KafkaError::kNone);
    if (v >= 3) {
      EXPECT_EQ(left->members.at(0).error_code, KafkaError::kNone);
    }
    const auto again = ask<kafka::LeaveGroupResponse>(leave, v);
    EXPECT_EQ(v < 3 ? again->error_code : again->members.at(0).error_code,
              KafkaError::kUnknownMemberId);
  }
}

TEST_F(KafkaGroupsTest, RefusalsCarryTheMemberAndKafkasNumber) {
  for (std::int16_t version = 0; version <= 9; ++version) {
    const auto unknown = ask<kafka::JoinGroupResponse>(joins("from-before"), version);
    EXPECT_EQ(unknown->error_code, KafkaError::kUnknownMemberId);
    EXPECT_EQ(unknown->member_id, "from-before");
    EXPECT_EQ(unknown->generation_id, -1);
    auto hasty = joins();
    hasty.session_timeout_ms = 10;
    EXPECT_EQ(ask<kafka::JoinGroupResponse>(hasty, version)->error_code,
              KafkaError::kInvalidSessionTimeout);
    auto nameless = joins();
    nameless.group_id = "";
    EXPECT_EQ(ask<kafka::JoinGroupResponse>(nameless, version)->error_code,
              KafkaError::kInvalidGroupId);
  }
  const auto sync = ask<kafka::SyncGroupResponse>(
      kafka::SyncGroupRequest{"g", 1, "m", {}, "consumer", "range", {}}, 5);
  EXPECT_EQ(sync->error_code, KafkaError::kUnknownMemberId);
}

TEST_F(KafkaGroupsTest, TwoConnectionsMakeAGroup) {
  const std::string first = stable();
  send(joins(), 3, 2);
  deliver();
  EXPECT_FALSE(answered(2));
  EXPECT_EQ(
      ask<kafka::HeartbeatResponse>(kafka::HeartbeatRequest{"g", 1, first, {}}, 4)->error_code,
      KafkaError::kRebalanceInProgress);
  const auto leads = ask<kafka::JoinGroupResponse>(joins(first), 5);
  const auto follows = take<kafka::JoinGroupResponse>(2);
  ASSERT_TRUE(leads && follows);
  EXPECT_EQ(leads->generation_id, 2);
  ASSERT_EQ(leads->members.size(), 2u);
  EXPECT_TRUE(follows->members.empty());
  EXPECT_EQ(follows->leader, first);
  send(syncs(*follows, "", ""), 3, 2);
  ask<kafka::SyncGroupResponse>(syncs(*leads, follows->member_id, "for two"), 5);
  EXPECT_EQ(as_text(take<kafka::SyncGroupResponse>(2)->assignment), "for two");
  // The second is gone without a word: its session ends, and the first is told.
  disconnect(2);
  for (int i = 0; i < 15; ++i) {
    pass(900ms);
    ask<kafka::HeartbeatResponse>(kafka::HeartbeatRequest{"g", 2, first, {}}, 4);
  }
  EXPECT_EQ(ask<kafka::JoinGroupResponse>(joins(first), 5)->members.size(), 1u);
}

TEST_F(KafkaGroupsTest, StaticMembersAndTheirFencing) {
  const auto one = ask<kafka::JoinGroupResponse>(joins("", "i1"), 5);
  ASSERT_EQ(one->error_code, KafkaError::kNone);  // no second JoinGroup
  EXPECT_EQ(one->members.at(0).group_instance_id, "i1");
  auto sync = syncs(*one, one->member_id, "mine");
  sync.group_instance_id = "i1";
  ask<kafka::SyncGroupResponse>(sync, 3);
  const auto back = ask<kafka::JoinGroupResponse>(joins("", "i1"), 9, 2);
  EXPECT_EQ(back->generation_id, one->generation_id);
  EXPECT_TRUE(back->skip_assignment);
  EXPECT_EQ(ask<kafka::HeartbeatResponse>(
                kafka::HeartbeatRequest{"g", one->generation_id, one->member_id, "i1"}, 3)
                ->error_code,
            KafkaError::kFencedInstanceId);
  const auto left = ask<kafka::LeaveGroupResponse>(
      kafka::LeaveGroupRequest{"g", "", {{"", "i1", std::nullopt}, {"", "i2", "why"}}}, 5);
  EXPECT_EQ(left->members.at(0).error_code, KafkaError::kNone);
  EXPECT_EQ(left->members.at(0).group_instance_id, "i1");
  EXPECT_EQ(left->members.at(1).error_code, KafkaError::kUnknownMemberId);
}

// ---- offsets ----

TEST_F(KafkaGroupsTest, CommitsAndFetchesInEveryVersion) {
  const TopicId topic = create();
  for (std::int16_t version = 2; version <= 10; ++version) {
    SCOPED_TRACE(version);
    auto request = commits("", -1, "orders", topic);
    request.topics.push_back({"nothing", TopicId{}, {{0, 1, -1, ""}}});
    request.topics[0].partitions[0].committed_offset = version;
    request.topics[0].partitions.push_back({7, 1, -1, ""});
    const auto done = ask<kafka::OffsetCommitResponse>(request, version);
    ASSERT_TRUE(done);
    const auto& rows = done->topics.at(0).partitions;
    EXPECT_EQ(rows.at(0).error_code, KafkaError::kNone);
    EXPECT_EQ(rows.at(1).error_code, KafkaError::kNone);
    EXPECT_EQ(rows.at(2).error_code, KafkaError::kUnknownTopicOrPartition);
    EXPECT_EQ(done->topics.at(1).partitions.at(0).error_code,
              version < 10 ? KafkaError::kUnknownTopicOrPartition : KafkaError::kUnknownTopicId);
    if (version < 10) {
      EXPECT_EQ(done->topics[0].name, "orders");
    }
    if (version == 10) {
      EXPECT_EQ(done->topics[0].topic_id, topic);
    }
  }
  for (std::int16_t version = 1; version <= 7; ++version) {
    SCOPED_TRACE(version);
    kafka::OffsetFetchRequest request{.group_id = "g", .topics = {}, .groups = {}};
    request.topics.emplace().push_back({"orders", {1, 0, 9}});
    request.topics->push_back({"nothing", {0}});
    const auto found = ask<kafka::OffsetFetchResponse>(request, version);
    ASSERT_TRUE(found);
    const auto& rows = found->topics.at(0).partitions;
    ASSERT_EQ(rows.size(), 3u);
    EXPECT_EQ(rows[0].committed_offset, 6);
    EXPECT_EQ(rows[0].metadata, "");
    EXPECT_EQ(rows[1].committed_offset, 10);
    EXPECT_EQ(rows[1].metadata, "note");
    if (version >= 5) {
      EXPECT_EQ(rows[1].committed_leader_epoch, 1);
    }
    EXPECT_EQ(rows[2].committed_offset, -1);
    EXPECT_EQ(rows[2].error_code, KafkaError::kNone);
    EXPECT_EQ(found->topics.at(1).partitions.at(0).committed_offset, -1);
    if (version < 2) continue;
    request.topics.reset();
    const auto all = ask<kafka::OffsetFetchResponse>(request, version);
    ASSERT_EQ(all->topics.size(), 1u);
    EXPECT_EQ(all->topics[0].name, "orders");
    EXPECT_EQ(all->topics[0].partitions.size(), 2u);
  }
  for (std::int16_t version = 8; version <= 10; ++version) {
    SCOPED_TRACE(version);
    kafka::OffsetFetchRequest request{.group_id = "", .topics = {}, .groups = {}};
    request.require_stable = true;
    request.groups.push_back({"g", std::nullopt, -1, std::nullopt});
    request.groups.push_back({"other", std::nullopt, -1, std::nullopt});
    request.groups.back().topics.emplace().push_back({"orders", topic, {0}});
    request.groups.push_back({"", std::nullopt, -1, std::nullopt});
    const auto found = ask<kafka::OffsetFetchResponse>(request, version);
    ASSERT_EQ(found->groups.size(), 3u);
    ASSERT_EQ(found->groups[0].topics.size(), 1u);
    if (version == 10) {
      EXPECT_EQ(found->groups[0].topics[0].topic_id, topic);
    } else {
      EXPECT_EQ(found->groups[0].topics[0].name, "orders");
    }
    EXPECT_EQ(found->groups[0].topics[0].partitions.at(0).committed_offset, 10);
    EXPECT_EQ(found->groups[1].topics.at(0).partitions.at(0).committed_offset, -1);
    EXPECT_EQ(found->groups[1].error_code, KafkaError::kNone);
    EXPECT_EQ(found->groups[2].error_code, KafkaError::kInvalidGroupId);
  }
}

TEST_F(KafkaGroupsTest, CommitsOfMembersAreHeldToTheirGeneration) {
  create();
  const std::string member = stable();
  const auto code = [&](std::string_view who, std::int32_t of) {
    return ask<kafka::OffsetCommitResponse>(commits(who, of), 8)
        ->topics.at(0)
        .partitions.at(1)
        .error_code;
  };
  EXPECT_EQ(code(member, generation), KafkaError::kNone);
  EXPECT_EQ(code(member, generation + 1), KafkaError::kIllegalGeneration);
  EXPECT_EQ(code("nobody", generation), KafkaError::kUnknownMemberId);
  EXPECT_EQ(code("", -1), KafkaError::kUnknownMemberId);
  // What is told was written: not before it is durable (rule 2).
  send(commits(member, generation), 8);
  EXPECT_FALSE(answered(1));
  deliver();
  EXPECT_TRUE(take<kafka::OffsetCommitResponse>());
}

TEST_F(KafkaGroupsTest, SingleOffsetsAreDeletedUnlessTheyAreRead) {
  create();
  create("others");
  kafka::OffsetDeleteRequest request{"g", {{"orders", {{0}}}, {"others", {{0}}}, {"no", {{0}}}}};
  EXPECT_EQ(ask<kafka::OffsetDeleteResponse>(request, 0)->error_code, KafkaError::kGroupIdNotFound);
  const std::string member = stable();
  ask<kafka::OffsetCommitResponse>(commits(member, generation), 8);
  ask<kafka::OffsetCommitResponse>(commits(member, generation, "others"), 8);
  const auto done = ask<kafka::OffsetDeleteResponse>(request, 0);
  EXPECT_EQ(done->error_code, KafkaError::kNone);
  EXPECT_EQ(done->topics.at(0).partitions.at(0).error_code, KafkaError::kGroupSubscribedToTopic);
  EXPECT_EQ(done->topics.at(1).partitions.at(0).error_code, KafkaError::kNone);
  EXPECT_EQ(done->topics.at(2).partitions.at(0).error_code, KafkaError::kUnknownTopicOrPartition);
  leave(member);
  EXPECT_EQ(ask<kafka::OffsetDeleteResponse>(request, 0)->topics.at(0).partitions.at(0).error_code,
            KafkaError::kNone);
  kafka::OffsetFetchRequest all{.group_id = "g", .topics = {}, .groups = {}};
  const auto left = ask<kafka::OffsetFetchResponse>(all, 7);
  ASSERT_EQ(left->topics.size(), 2u);
  for (const auto& topic : left->topics) EXPECT_EQ(topic.partitions.size(), 1u);
}

// A member that is no consumer, or says what makes no sense, hides what it reads.
TEST_F(KafkaGroupsTest, OffsetsOfMembersThatCannotBeReadStay) {
  create();
  auto odd = joins();
  odd.protocols = {{"range", as_bytes(std::string_view("\0\1\0\0\0\7\0\6orders", 14))}};
  ask<kafka::JoinGroupResponse>(odd, 3);
  EXPECT_EQ(
      ask<kafka::OffsetDeleteResponse>(kafka::OffsetDeleteRequest{"g", {{"orders", {{0}}}}}, 0)
          ->error_code,
      KafkaError::kNonEmptyGroup);
}

// ---- looking at groups ----

TEST_F(KafkaGroupsTest, GroupsAreDescribedInEveryVersion) {
  const std::string member = stable();
  for (std::int16_t version = 0; version <= 6; ++version) {
    SCOPED_TRACE(version);
    const auto response = ask<kafka::DescribeGroupsResponse>(
        kafka::DescribeGroupsRequest{{"g", "unheard-of", ""}, true}, version);
    ASSERT_EQ(response->groups.size(), 3u);
    const auto& group = response->groups[0];
    EXPECT_EQ(group.group_state, "Stable");
    EXPECT_EQ(group.protocol_type, "consumer");
    EXPECT_EQ(group.protocol_data, "range");
    ASSERT_EQ(group.members.size(), 1u);
    EXPECT_EQ(group.members[0].member_id, member);
    EXPECT_EQ(group.members[0].client_id, "test");
    EXPECT_EQ(group.members[0].client_host, "/10.0.0.1");
    EXPECT_EQ(as_text(group.members[0].member_metadata), kReadsOrders);
    EXPECT_EQ(as_text(group.members[0].member_assignment), "all of it");
    if (version >= 3) {
      EXPECT_EQ(group.authorized_operations, 328);
    }
    EXPECT_EQ(response->groups[1].group_state, "Dead");
    EXPECT_EQ(response->groups[1].error_code,
              version < 6 ? KafkaError::kNone : KafkaError::kGroupIdNotFound);
    EXPECT_EQ(response->groups[2].error_code, KafkaError::kInvalidGroupId);
  }
}

TEST_F(KafkaGroupsTest, GroupsAreListedByStateAndType) {
  create();
  const std::string member = stable();
  auto simple = commits();
  simple.group_id = "simple";
  ask<kafka::OffsetCommitResponse>(simple, 8);
  const auto list = [&](std::int16_t version, std::vector<std::string_view> states = {},
                        std::vector<std::string_view> types = {}) {
    std::string names;
    const auto response =
        ask<kafka::ListGroupsResponse>(kafka::ListGroupsRequest{states, types}, version);
    for (const auto& group : response->groups)
      names += std::string(group.group_id) + ":" + std::string(group.protocol_type) + ":" +
               std::string(group.group_state) + ":" + std::string(group.group_type) + " ";
    return names;
  };
  for (std::int16_t version = 0; version <= 3; ++version)
    EXPECT_EQ(list(version), "g:consumer:: simple::: ");
  EXPECT_EQ(list(4), "g:consumer:Stable: simple::Empty: ");
  EXPECT_EQ(list(4, {"stable"}), "g:consumer:Stable: ");
  EXPECT_EQ(list(5, {"Empty", "Dead"}), "simple::Empty:Classic ");
  EXPECT_EQ(list(5, {}, {"classic"}), "g:consumer:Stable:Classic simple::Empty:Classic ");
  EXPECT_EQ(list(5, {}, {"share"}), "");
}

TEST_F(KafkaGroupsTest, GroupsAreDeletedWhenNobodyIsInThem) {
  create();
  for (std::int16_t version = 0; version <= 2; ++version) {
    const std::string member = stable();
    ask<kafka::OffsetCommitResponse>(commits(member, generation), 8);
    const kafka::DeleteGroupsRequest request{{"g", "unheard-of"}};
    auto response = ask<kafka::DeleteGroupsResponse>(request, version);
    EXPECT_EQ(response->results.at(0).error_code, KafkaError::kNonEmptyGroup);
    EXPECT_EQ(response->results.at(1).error_code, KafkaError::kGroupIdNotFound);
    leave(member);
    response = ask<kafka::DeleteGroupsResponse>(request, version);
    EXPECT_EQ(response->results.at(0).error_code, KafkaError::kNone);
    EXPECT_FALSE(storage.has_group("g"));
  }
}

// A group of native members is there, but is nothing that a Kafka client takes for its own (rule
// 8).
TEST_F(KafkaGroupsTest, NativeGroupsAreSeen) {
  create();
  broker::JoinRequest native{.group = "g", .member = {.id = "n", .client_name = "native"}};
  native.member.topics = {"orders"};
  native.member.session_timeout = native.member.rebalance_timeout = 10s;
  broker.groups().join({ConnectionId(9), CorrelationId(1)}, native, now().monotonic);
  const auto described =
      ask<kafka::DescribeGroupsResponse>(kafka::DescribeGroupsRequest{{"g"}, false}, 5);
  EXPECT_EQ(described->groups.at(0).group_state, "Stable");
  EXPECT_EQ(described->groups[0].protocol_type, "leat");
  EXPECT_EQ(described->groups[0].members.at(0).client_id, "native");
  EXPECT_EQ(ask<kafka::JoinGroupResponse>(joins(), 3)->error_code,
            KafkaError::kInconsistentGroupProtocol);
  EXPECT_EQ(
      ask<kafka::OffsetCommitResponse>(commits(), 8)->topics.at(0).partitions.at(0).error_code,
      KafkaError::kUnknownMemberId);
  EXPECT_EQ(
      ask<kafka::ListGroupsResponse>(kafka::ListGroupsRequest{}, 5)->groups.at(0).protocol_type,
      "leat");
}

}  // namespace
}  // namespace leat::session
