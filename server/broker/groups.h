// Consumer groups (rule 8): members come, go and time out; partitions move between them without
// stopping those that stay.
//
// What is stored, and survives a restart, is storage::Group: members and owners. Here is what a
// connection is waiting for and what the owners should be. A partition moves in two steps: its
// owner is told to let go, and only its next SyncGroup without it, its departure or its expulsion
// gives it to the next, so that no two members ever hold it. One thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "protocol/base/clock.h"
#include "server/broker/assignor.h"
#include "server/broker/broker_options.h"
#include "server/broker/classic/classic_groups.h"
#include "server/broker/delivery/deliveries.h"
#include "server/broker/durable_replies.h"
#include "server/broker/group_ids.h"

namespace leat::broker {

struct JoinRequest {
  std::string_view group;
  GroupKind kind = GroupKind::kPartitioned;
  storage::GroupMember member;
};

struct SyncRequest {
  std::string_view group, member;
  std::int32_t epoch = 0;
  std::vector<storage::TopicPartition> owned;
  std::chrono::milliseconds max_wait{0};
};

class Groups {
 public:
  // A member whose connection is gone, as all are after a restart, has so long to come back.
  static constexpr std::chrono::seconds kReconnectTime{2};

  // Told when a group loses its last member.
  using BecameEmpty = std::function<void(std::string_view group, MonotonicTime now)>;
  Groups(const BrokerOptions& options, storage::Storage& storage, DurableReplies& replies,
         const Deliveries& deliveries, const GroupIds& ids, ClassicGroups& classic,
         BecameEmpty became_empty)
      : options_(options),
        storage_(storage),
        replies_(replies),
        deliveries_(deliveries),
        ids_(ids),
        classic_(classic),
        became_empty_(std::move(became_empty)) {}

  // Members from before a restart: as if their connections had just been lost.
  void restore(MonotonicTime now);

  void join(const RequestId& id, JoinRequest request, MonotonicTime now);
  void sync(const RequestId& id, SyncRequest request, MonotonicTime now);
  void leave(const RequestId& id, std::string_view group, std::string_view member,
             MonotonicTime now);
  void list(const RequestId& id);
  void describe(const RequestId& id, std::string_view group);
  void remove(const RequestId& id, std::string_view group);
  // All that have no members, with what they committed.
  Result<> remove_empty();

  // Whether a commit is the group's: while it has members, only theirs are, and only for what they
  // hold. Errors: kGroupNotEmpty, kUnknownMember, kStaleEpoch.
  Result<> check_commit(std::string_view group, std::string_view member, std::int32_t epoch,
                        std::span<const storage::OffsetCommit> offsets) const;

  void on_topics_changed(MonotonicTime now);
  void on_connection_closed(ConnectionId connection, MonotonicTime now);
  void on_time(MonotonicTime now);
  // The clock stood still for so long (rule 11).
  void shift(Duration gap);
  std::optional<MonotonicTime> next_deadline() const;

 private:
  struct Member {
    MonotonicTime expires;                      // without a SyncGroup
    std::optional<MonotonicTime> give_back_by;  // what it was asked for
    ConnectionId connection;
    std::optional<RequestId> waiting;  // its SyncGroup
    MonotonicTime waits_until;
    std::vector<storage::TopicPartition> owned;  // as that SyncGroup says; sorted
  };
  struct Live {
    std::map<std::string, Member, std::less<>> members;
    Target target;
  };
  using Key = std::pair<std::string, std::string>;  // group, member

  Result<> check_join(const JoinRequest& request) const;
  Result<const storage::Group*> find_member(std::string_view group, std::string_view member) const;
  AssignorInput input(
      const std::map<std::string, storage::GroupMember, std::less<>>& members) const;
  Result<> step(storage::GroupChange change, MonotonicTime now);
  void settle(const storage::Group& group, MonotonicTime now);
  void answer(const storage::Group& group, std::string_view member);
  std::vector<storage::TopicPartition> held_by(const storage::Group& group,
                                               std::string_view member) const;
  Assignment assignment(const storage::Group& group, std::string_view member) const;
  GroupSummary summary(std::string_view name) const;
  void expel(const std::string& group, const std::string& member, MonotonicTime now);
  void schedule(const std::string& group, const std::string& member);

  const BrokerOptions& options_;
  storage::Storage& storage_;
  DurableReplies& replies_;
  const Deliveries& deliveries_;
  const GroupIds& ids_;
  ClassicGroups& classic_;
  BecameEmpty became_empty_;
  std::map<std::string, Live, std::less<>> live_;
  std::set<std::pair<MonotonicTime, Key>> deadlines_;
  std::map<Key, MonotonicTime> scheduled_;
  std::unordered_map<ConnectionId, std::set<Key>> by_connection_;
};

}  // namespace leat::broker
