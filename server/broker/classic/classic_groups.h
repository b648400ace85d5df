// The classic groups of a broker: finding them, what holds for all of them, time. One thread.
//
// All is in memory. What a group has committed is storage's, and lasts.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "server/broker/classic/classic_group.h"
#include "server/broker/durable_replies.h"
#include "server/broker/group_ids.h"

namespace leat::broker {

class ClassicGroups {
 public:
  // Told when a group loses its last member.
  using BecameEmpty = std::function<void(const std::string& group, MonotonicTime now)>;

  ClassicGroups(const BrokerOptions& options, storage::Storage& storage, DurableReplies& replies,
                const GroupIds& ids, Random random, BecameEmpty became_empty)
      : storage_(storage),
        replies_(replies),
        ids_(ids),
        became_empty_(std::move(became_empty)),
        house_{.options = options, .random = random} {}

  // Replies: ClassicIdGiven, or later ClassicJoined. Errors: kInvalidGroupName,
  // kInvalidSessionTimeout, kInvalidRequest, kInconsistentGroup, kUnknownMember, kFencedInstance,
  // kGroupFull, kLimitReached; kRebalanceInProgress: it asked again meanwhile.
  void join(const RequestId& id, ClassicJoinRequest request, MonotonicTime now);
  // Reply: ClassicSynced, when the leader has spoken. Errors: as ClassicGroup::heartbeat(), and
  // kInconsistentGroup, kLimitReached.
  void sync(const RequestId& id, const ClassicSyncRequest& request, MonotonicTime now);
  // Reply: ClassicAlive. Errors: as ClassicGroup::heartbeat().
  void heartbeat(const RequestId& id, const ClassicIdentity& who, MonotonicTime now);
  // Reply: ClassicLeft.
  void leave(const RequestId& id, std::string_view group, std::span<const ClassicLeaver> leavers,
             MonotonicTime now);
  // Whether offsets may be committed by Kafka's rules, whatever kind the group is of. Errors: as
  // ClassicGroup::commit(), kInvalidGroupName, kLimitReached.
  Result<> check_commit(const ClassicIdentity& who, MonotonicTime now);

  // Null: it has no member, nor had one of late.
  const ClassicGroup* find(std::string_view group) const;
  std::size_t without_offsets() const;  // that storage knows nothing of
  std::vector<std::string> names() const;
  // It has no members, and is gone at once.
  void forget(std::string_view group);

  void on_time(MonotonicTime now);
  void shift(Duration gap, MonotonicTime now);  // rule 11
  std::optional<MonotonicTime> next_deadline() const;

 private:
  struct Entry {
    std::unique_ptr<ClassicGroup> group;
    std::optional<MonotonicTime> scheduled;
  };
  using Entries = std::map<std::string, Entry, std::less<>>;

  Result<> check_join(const ClassicJoinRequest& request) const;
  Result<> make_room_for(std::string_view group);
  Result<Entry*> find_entry(const ClassicIdentity& who);
  void settle(Entry& entry, bool had_members, MonotonicTime now);
  void schedule(Entry& entry);
  void erase(Entries::iterator it);
  void answer();

  storage::Storage& storage_;
  DurableReplies& replies_;
  const GroupIds& ids_;
  BecameEmpty became_empty_;
  ClassicHouse house_;  // outlives the groups
  Entries groups_;
  std::set<std::pair<MonotonicTime, std::string>> deadlines_;
};

}  // namespace leat::broker
