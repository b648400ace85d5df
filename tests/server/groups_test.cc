// Groups: members come and go, partitions move without two holders, those that stay are not asked.
#include "server/broker/groups.h"

#include "tests/server/broker_fixture.h"

namespace leat::broker {
namespace {

using namespace std::chrono_literals;
using storage::TopicPartition;

class GroupsTest : public BrokerFixture {
 protected:
  JoinRequest member(const std::string& id, std::vector<std::string> topics = {"orders"}) {
    JoinRequest request{.group = "g", .kind = GroupKind::kPartitioned, .member = {}};
    request.member = {id, "someone", std::move(topics), 10s, 5s};
    return request;
  }
  void join(const std::string& id, std::uint64_t connection = 1) {
    broker.groups().join(next(connection), member(id), now);
    storage.make_durable(broker);
  }
  void sync(const std::string& id, std::vector<TopicPartition> owned, std::int32_t epoch,
            std::chrono::milliseconds wait = 3s, std::uint64_t connection = 1) {
    broker.groups().sync(next(connection), {"g", id, epoch, std::move(owned), wait}, now);
    storage.make_durable(broker);
  }
  std::vector<TopicPartition> held(const Assignment& assignment) const {
    std::vector<TopicPartition> all;
    for (const auto& topic : assignment.topics)
      for (const std::int32_t partition : topic.partitions)
        all.push_back({topic.id, PartitionIndex(partition)});
    return all;
  }
  // What `id` was told last, as it would act on it.
  struct Client {
    std::vector<TopicPartition> owned;
    std::int32_t epoch = 0;
    std::uint64_t waits_for = 0;
  };
  void deliver(std::map<std::string, Client>& clients) {
    for (bool more = true; more;) {
      more = false;
      storage.make_durable(broker);
      for (auto& [correlation_of, reply] : std::exchange(sink.replies, {}))
        for (auto& [id, client] : clients) {
          if (client.waits_for != correlation_of) continue;
          client.waits_for = 0;
          const auto* assignment = std::get_if<Assignment>(&reply);
          if (!assignment) continue;
          client.owned = held(*assignment);
          client.epoch = assignment->epoch;
        }
      for (auto& [id, client] : clients)
        if (client.waits_for == 0) {
          const RequestId request = next(connection_of(id));
          client.waits_for = request.correlation.value;
          broker.groups().sync(request, {"g", id, client.epoch, client.owned, 3s}, now);
          more = true;
        }
    }
  }
  static std::uint64_t connection_of(const std::string& id) {
    return 100 + static_cast<std::uint64_t>(std::stoi(id.substr(1)));
  }
  void add(std::map<std::string, Client>& clients, const std::string& id) {
    const RequestId request = next(connection_of(id));
    broker.groups().join(request, member(id), now);
    clients[id].waits_for = request.correlation.value;
  }
};

TEST_F(GroupsTest, TheFirstMemberGetsEverythingOnceItIsDurable) {
  create("orders", 3);
  broker.groups().join(next(), member("m1"), now);
  EXPECT_TRUE(sink.replies.empty());  // rule 2
  storage.make_durable(broker);
  ASSERT_TRUE(last<Assignment>());
  EXPECT_EQ(held(*last<Assignment>()).size(), 3u);
  EXPECT_EQ(last<Assignment>()->topics.at(0).name, "orders");
}

TEST_F(GroupsTest, APartitionMovesOnlyWhenItsOwnerHasLetGo) {
  const TopicId topic = create("orders", 2);
  join("m1");
  const auto mine = held(*last<Assignment>());
  sync("m1", mine, last<Assignment>()->epoch);
  sink.replies.clear();
  join("m2", 2);
  // m1 is told at once to keep one; m2 has nothing yet.
  ASSERT_EQ(sink.replies.size(), 2u);
  const auto& told = std::get<Assignment>(sink.replies[0].second);
  EXPECT_EQ(held(told).size(), 1u);
  EXPECT_TRUE(held(*last<Assignment>()).empty());
  const std::int32_t epoch = last<Assignment>()->epoch;
  sync("m2", {}, epoch, 3s, 2);
  EXPECT_EQ(sink.replies.size(), 2u);  // waits
  sync("m1", held(told), told.epoch);
  ASSERT_EQ(sink.replies.size(), 3u);
  EXPECT_EQ(held(*last<Assignment>()).size(), 1u);  // m2's
  EXPECT_NE(held(*last<Assignment>()), held(told));
  const storage::Group* group = storage.find_group("g");
  EXPECT_EQ(group->owners.at({topic, PartitionIndex(0)}).member, "m1");
  EXPECT_EQ(group->owners.at({topic, PartitionIndex(1)}).member, "m2");
}

TEST_F(GroupsTest, AHeartbeatWaitsAndIsAnsweredUnchangedInTime) {
  create("orders", 2);
  join("m1");
  const auto mine = held(*last<Assignment>());
  sync("m1", mine, last<Assignment>()->epoch, 60s);
  sink.replies.clear();
  ASSERT_TRUE(broker.next_deadline());
  now = *broker.next_deadline();
  EXPECT_LT(now, MonotonicTime(1h) + 10s);  // well within the session timeout
  broker.on_time(at());
  ASSERT_TRUE(last<Assignment>());
  EXPECT_EQ(held(*last<Assignment>()), mine);
}

TEST_F(GroupsTest, ASilentMemberIsExpelledAndItsPartitionsGoOn) {
  create("orders", 2);
  join("m1");
  sync("m1", held(*last<Assignment>()), 1, 0s);
  join("m2", 2);
  const std::int32_t epoch = last<Assignment>()->epoch;
  now += 9s;
  sync("m2", {}, epoch, 3s, 2);
  sink.replies.clear();
  now += 1s;
  broker.on_time(at());
  storage.make_durable(broker);
  ASSERT_TRUE(last<Assignment>());
  EXPECT_EQ(held(*last<Assignment>()).size(), 2u);
  sync("m1", {}, epoch);
  EXPECT_EQ(last_error(), ErrorCode::kUnknownMember);
}

TEST_F(GroupsTest, AMemberThatKeepsWhatItShouldGiveBackIsExpelled) {
  create("orders", 2);
  join("m1");
  const auto mine = held(*last<Assignment>());
  sync("m1", mine, 1, 0s);
  join("m2", 2);
  const std::int32_t epoch = last<Assignment>()->epoch;
  for (int second = 0; second < 6; ++second) {
    sync("m1", mine, epoch, 0s);  // alive, and stubborn
    sync("m2", {}, epoch, 0s, 2);
    now += 1s;
    broker.on_time(at());
  }
  storage.make_durable(broker);
  EXPECT_EQ(storage.find_group("g")->members.size(), 1u);
  sync("m2", {}, epoch, 0s, 2);
  EXPECT_EQ(held(*last<Assignment>()).size(), 2u);
}

TEST_F(GroupsTest, ALostConnectionShortensTheWaitAndComingBackKeepsEverything) {
  create("orders", 2);
  join("m1");
  const auto mine = held(*last<Assignment>());
  const std::int32_t epoch = last<Assignment>()->epoch;
  sync("m1", mine, epoch);
  sink.replies.clear();
  broker.on_connection_closed(ConnectionId(1), at());
  now += Groups::kReconnectTime - 1ms;
  broker.on_time(at());
  sync("m1", mine, epoch, 3s, 2);  // back on another connection
  EXPECT_TRUE(sink.replies.empty());
  EXPECT_EQ(storage.find_group("g")->epoch, epoch);
  broker.on_connection_closed(ConnectionId(2), at());
  now += Groups::kReconnectTime;
  broker.on_time(at());
  EXPECT_FALSE(storage.find_group("g"));  // nobody, and nothing committed
}

TEST_F(GroupsTest, LeavingGivesThePartitionsToTheOthersAtOnce) {
  create("orders", 2);
  join("m1");
  sync("m1", held(*last<Assignment>()), 1, 0s);
  join("m2", 2);
  sync("m2", {}, last<Assignment>()->epoch, 3s, 2);
  sink.replies.clear();
  broker.groups().leave(next(), "g", "m1", now);
  storage.make_durable(broker);
  ASSERT_EQ(sink.replies.size(), 2u);
  EXPECT_EQ(held(std::get<Assignment>(sink.replies[0].second)).size(), 2u);
  EXPECT_TRUE(last<LeftGroup>());
  broker.groups().leave(next(), "g", "m1", now);
  EXPECT_EQ(last_error(), ErrorCode::kUnknownMember);
}

TEST_F(GroupsTest, ZombiesCannotCommit) {
  const TopicId topic = create("orders", 2);
  join("m1");
  const std::int32_t first_epoch = last<Assignment>()->epoch;
  const storage::OffsetCommit zero{topic, PartitionIndex(0), Offset(1), ""};
  const storage::OffsetCommit one{topic, PartitionIndex(1), Offset(1), ""};
  const auto commit = [&](const storage::OffsetCommit& offset, std::string_view who,
                          std::int32_t epoch) {
    broker.commit_offsets(next(), {"g", {&offset, 1}, who, epoch}, now);
    storage.make_durable(broker);
    return last_error();
  };
  EXPECT_EQ(commit(one, "m1", first_epoch), ErrorCode::kOk);
  EXPECT_EQ(commit(one, "m1", first_epoch - 1), ErrorCode::kStaleEpoch);
  EXPECT_EQ(commit(one, "", -1), ErrorCode::kGroupNotEmpty);
  EXPECT_EQ(commit(one, "m9", first_epoch), ErrorCode::kUnknownMember);
  join("m2", 2);
  sync("m1", {{topic, PartitionIndex(0)}}, last<Assignment>()->epoch, 0s);
  EXPECT_EQ(storage.find_group("g")->owners.at({topic, PartitionIndex(1)}).member, "m2");
  const std::int32_t epoch = storage.find_group("g")->epoch;
  EXPECT_EQ(commit(one, "m1", epoch), ErrorCode::kStaleEpoch);
  EXPECT_EQ(commit(zero, "m1", epoch), ErrorCode::kOk);
  EXPECT_EQ(commit(one, "m2", epoch), ErrorCode::kOk);
  broker.groups().leave(next(), "g", "m2", now);
  storage.make_durable(broker);
  // m1 has it again, and what it sent when it had it before is still too old.
  EXPECT_EQ(commit(one, "m1", epoch), ErrorCode::kStaleEpoch);
  EXPECT_EQ(commit(one, "m1", storage.find_group("g")->epoch), ErrorCode::kOk);
}

TEST_F(GroupsTest, TopicsThatComeAndGoAreFollowed) {
  create("orders", 2);
  broker.groups().join(next(), member("m1", {"orders", "later"}), now);
  storage.make_durable(broker);
  sync("m1", held(*last<Assignment>()), last<Assignment>()->epoch);
  sink.replies.clear();
  broker.create_topic(next(), {"later", 3}, at());
  storage.make_durable(broker);
  ASSERT_TRUE(std::get_if<Assignment>(&sink.replies.at(0).second));
  const auto five = held(std::get<Assignment>(sink.replies[0].second));
  EXPECT_EQ(five.size(), 5u);
  sync("m1", five, storage.find_group("g")->epoch);
  sink.replies.clear();
  broker.delete_topic(next(), "orders", at());
  storage.make_durable(broker);
  EXPECT_EQ(held(std::get<Assignment>(sink.replies.at(0).second)).size(), 3u);
}

TEST_F(GroupsTest, RefusesWhatItCannotServe) {
  create("orders", 2);
  const auto refused = [&](JoinRequest request) {
    broker.groups().join(next(), std::move(request), now);
    storage.make_durable(broker);
    return last_error();
  };
  auto request = member("");
  EXPECT_EQ(refused(request), ErrorCode::kInvalidRequest);
  request = member("m", {});
  EXPECT_EQ(refused(request), ErrorCode::kInvalidRequest);
  request = member("m", {"bad topic"});
  EXPECT_EQ(refused(request), ErrorCode::kInvalidTopicName);
  request = member("m");
  request.member.session_timeout = 1ms;
  EXPECT_EQ(refused(request), ErrorCode::kInvalidRequest);
  request = member("m");
  request.kind = GroupKind::kShared;
  EXPECT_EQ(refused(request), ErrorCode::kInvalidRequest);
  request = member("m");
  request.group = "";
  EXPECT_EQ(refused(request), ErrorCode::kInvalidGroupName);
  for (const char* group : {"one", "two"}) {
    request = member("m");
    request.group = group;
    EXPECT_EQ(refused(request), ErrorCode::kOk);
  }
  request = member("m");
  request.group = "three";
  EXPECT_EQ(refused(request), ErrorCode::kLimitReached);
  for (int i = 1; i < 60; ++i) {
    request = member("m" + std::to_string(i));
    request.group = "one";
    EXPECT_EQ(refused(request), ErrorCode::kOk);
  }
  request = member("too many");
  request.group = "one";
  EXPECT_EQ(refused(request), ErrorCode::kLimitReached);
}

TEST_F(GroupsTest, AGroupIsListedDescribedAndDeletedOnlyWhenEmpty) {
  const TopicId topic = create("orders", 2);
  produce(topic, 5);
  storage.make_durable(broker);
  join("m1");
  const std::int32_t epoch = last<Assignment>()->epoch;
  const storage::OffsetCommit commit{topic, PartitionIndex(0), Offset(2), ""};
  broker.commit_offsets(next(), {"g", {&commit, 1}, "m1", epoch}, now);
  broker.groups().describe(next(), "g");
  storage.make_durable(broker);
  ASSERT_TRUE(last<GroupDescription>());
  const GroupDescription& group = *last<GroupDescription>();
  EXPECT_EQ(group.group.kind, GroupKind::kPartitioned);
  EXPECT_TRUE(group.group.settled);
  ASSERT_EQ(group.partitions.size(), 2u);
  EXPECT_EQ(group.partitions[0].committed, Offset(2));
  EXPECT_EQ(group.partitions[0].bounds.high_watermark, Offset(5));
  EXPECT_EQ(group.partitions[0].member, "m1");
  EXPECT_EQ(group.partitions[1].committed, Offset(-1));
  broker.groups().remove(next(), "g");
  EXPECT_EQ(last_error(), ErrorCode::kGroupNotEmpty);
  broker.groups().leave(next(), "g", "m1", now);
  broker.groups().list(next());
  storage.make_durable(broker);
  ASSERT_TRUE(last<GroupList>());
  ASSERT_EQ(last<GroupList>()->groups.size(), 1u);  // it has a commit
  EXPECT_EQ(last<GroupList>()->groups[0].kind, GroupKind::kNone);
  broker.groups().remove(next(), "g");
  storage.make_durable(broker);
  EXPECT_TRUE(last<GroupDeleted>());
  broker.groups().describe(next(), "g");
  EXPECT_EQ(last_error(), ErrorCode::kUnknownGroup);
}

TEST_F(GroupsTest, AfterARestartMembersComeBackToWhatTheyHad) {
  create("orders", 4);
  std::map<std::string, Client> clients;
  add(clients, "m1");
  add(clients, "m2");
  deliver(clients);
  const std::int32_t epoch = storage.find_group("g")->epoch;
  Broker reborn({}, storage, checker, Random(2), sink, at());
  EXPECT_EQ(storage.find_group("g")->epoch, epoch);  // nothing moved
  const Client client = clients["m1"];
  for (int second = 0; second < 4; ++second) {
    reborn.groups().sync(next(7), {"g", "m1", client.epoch, client.owned, 3s}, now);
    EXPECT_EQ(storage.find_group("g")->members.contains("m2"), second < 2);
    now += 1s;
    reborn.on_time(at());
  }
  storage.make_durable(reborn);
  EXPECT_TRUE(storage.find_group("g")->members.contains("m1"));
  EXPECT_FALSE(storage.find_group("g")->members.contains("m2"));  // it did not come
}

TEST_F(GroupsTest, WhenTheMachineStoodStillNobodyIsLate) {
  create("orders", 2);
  join("m1");
  sync("m1", held(*last<Assignment>()), 1, 3s);
  now = *broker.next_deadline() + 60s;
  broker.on_time(at());
  EXPECT_TRUE(storage.find_group("g")->members.contains("m1"));
}

// Random joins, departures, crashes and time: at every moment each partition has one holder at
// most, at rest everything is balanced, and a member is asked to let go of nothing that it keeps.
TEST_F(GroupsTest, AnyOrderOfComingAndGoingSettlesAndNeverHasTwoHolders) {
  create("orders", 13);
  Random random(7);
  std::map<std::string, Client> clients;
  int born = 0;
  for (int step = 0; step < 300; ++step) {
    const auto choice = random.below(4);
    if (clients.size() < 2 || (choice < 2 && clients.size() < 9)) {
      add(clients, "m" + std::to_string(++born));
    } else {
      auto victim =
          std::next(clients.begin(), static_cast<std::ptrdiff_t>(random.below(clients.size())));
      if (choice == 2)
        broker.groups().leave(next(connection_of(victim->first)), "g", victim->first, now);
      else
        broker.on_connection_closed(ConnectionId(connection_of(victim->first)), at());
      clients.erase(victim);
    }
    if (random.below(2) == 0) {
      now += Groups::kReconnectTime;
      broker.on_time(at());
    }
    deliver(clients);
    std::map<TopicPartition, std::string> holders;
    for (const auto& [id, client] : clients)
      for (const TopicPartition& partition : client.owned)
        EXPECT_TRUE(holders.emplace(partition, id).second) << "two holders at step " << step;
  }
  now += Groups::kReconnectTime;
  broker.on_time(at());
  deliver(clients);
  std::size_t all = 0, most = 0, least = SIZE_MAX;
  for (const auto& [id, client] : clients) {
    all += client.owned.size();
    most = std::max(most, client.owned.size());
    least = std::min(least, client.owned.size());
  }
  EXPECT_EQ(all, 13u);
  EXPECT_LE(most - least, 1u);
}

}  // namespace
}  // namespace leat::broker
