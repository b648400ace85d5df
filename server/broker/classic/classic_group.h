// One classic group: the state machine of Kafka's classic protocol (KIP-62, 345, 394, 814), without
// its encoding. Members are in memory alone: a member id holds a UUID of this start, so that after
// a restart nothing of an earlier generation can commit, and members are told to join again.
//
// A change of membership makes a new generation in two steps. Preparing: all members are waited for
// to join again, up to the longest rebalance timeout; those that did not are dropped, unless they
// are static and their session lasts. Completing: all are told the generation, its leader also who
// is in it, and the leader's SyncGroup says what each of them is given. One thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/random.h"
#include "protocol/base/result.h"
#include "server/broker/broker_options.h"
#include "server/broker/classic/classic.h"
#include "server/broker/classic/classic_member.h"
#include "server/broker/replies.h"

namespace leat::broker {

// What all classic groups share.
struct ClassicHouse {
  const BrokerOptions& options;
  Random random;
  // What is to be answered, once the group is as it will be.
  std::vector<std::pair<RequestId, Reply>> answers = {};
  std::size_t bytes = 0;  // of members, in all groups

  void answer(const RequestId& id, Reply reply) { answers.emplace_back(id, std::move(reply)); }
};

class ClassicGroup {
 public:
  using Members = std::map<std::string, ClassicMember, std::less<>>;

  // A member that was never told of a generation, and waits to be, is given up after so long: its
  // client will have asked again under another id.
  static constexpr std::chrono::minutes kFreshTime{5};
  // How long the first members of a group wait for others that were just told their ids.
  static constexpr std::chrono::milliseconds kForPending{500};
  // How long a group without members and offsets is remembered.
  static constexpr std::chrono::minutes kEmptyTime{10};

  ClassicGroup(ClassicHouse& house, std::string name, MonotonicTime now)
      : house_(house), name_(std::move(name)), forget_at_(now + kEmptyTime) {}
  ~ClassicGroup();
  ClassicGroup(const ClassicGroup&) = delete;
  ClassicGroup& operator=(const ClassicGroup&) = delete;

  const std::string& name() const { return name_; }
  ClassicState state() const { return state_; }
  std::int32_t generation() const { return generation_; }
  const std::string& protocol_type() const { return protocol_type_; }
  const std::string& protocol() const { return protocol_; }
  const std::string& leader() const { return leader_; }
  const Members& members() const { return members_; }
  bool forgettable() const { return members_.empty() && pending_.empty(); }
  // It has been empty for kEmptyTime.
  bool stale() const { return stale_ && forgettable(); }
  ClassicView view() const;

  // Request and limits but those of this group are checked.
  void join(const RequestId& id, ClassicJoinRequest request, MonotonicTime now);
  void sync(const RequestId& id, const ClassicSyncRequest& request, MonotonicTime now);
  // Errors: kUnknownMember, kFencedInstance, kIllegalGeneration, kRebalanceInProgress.
  Result<> heartbeat(const ClassicIdentity& who, MonotonicTime now);
  std::vector<ErrorCode> leave(std::span<const ClassicLeaver> leavers, MonotonicTime now);
  // Whether a commit may be made; a member's says that it is alive. Errors: as heartbeat(), but
  // members may commit while the others are waited for.
  Result<> commit(const ClassicIdentity& who, MonotonicTime now);

  void on_time(MonotonicTime now);
  void shift(Duration gap, MonotonicTime now);  // rule 11
  std::optional<MonotonicTime> next_deadline() const;

 private:
  // ---- joining: classic_joins.cc ----
  Result<> check_room(std::string_view member) const;
  bool supports(const ClassicJoinRequest& request) const;
  void join_new(const RequestId& id, ClassicJoinRequest request, MonotonicTime now);
  void join_again(const RequestId& id, ClassicJoinRequest request, MonotonicTime now);
  void add(const RequestId& id, std::string member, ClassicJoinRequest request, MonotonicTime now);
  void update(const RequestId& id, ClassicMember& member, ClassicJoinRequest request);
  void replace(const RequestId& id, const std::string& old, ClassicJoinRequest request,
               MonotonicTime now);
  std::string new_id(const ClassicJoinRequest& request);
  ClassicJoined joined(const ClassicMember& member, bool with_members) const;

  // ---- the rest ----
  Result<ClassicMember*> find(const ClassicIdentity& who);
  Result<> check_identity(const ClassicIdentity& who) const;
  void rebalance_or_complete(MonotonicTime now);
  void prepare(MonotonicTime now);
  void on_join_due(MonotonicTime now);
  void complete_if_all_joined(MonotonicTime now);
  void complete_join(MonotonicTime now);
  void become_empty(MonotonicTime now);
  void propagate(const ClassicSyncRequest& request, MonotonicTime now);
  void expel_silent(MonotonicTime now);
  bool all_joined() const;
  bool elect_leader();
  std::string chosen_protocol() const;
  std::set<std::string_view> common_protocols() const;
  Duration rebalance_timeout() const;
  void remove(const std::string& member, ErrorCode why);
  bool remove_pending(const std::string& member);
  void answer_join(ClassicMember& member, Reply reply);
  void answer_sync(ClassicMember& member, Reply reply);
  ClassicSynced synced(const ClassicMember& member) const;
  Error refusal(ErrorCode code, std::string_view member) const;
  void stay(ClassicMember& member, MonotonicTime now);
  void arm(ClassicMember& member, std::optional<MonotonicTime> when);

  ClassicHouse& house_;
  const std::string name_;
  ClassicState state_ = ClassicState::kEmpty;
  std::int32_t generation_ = 0;
  std::string protocol_type_, protocol_, leader_;
  Members members_;
  std::map<std::string, std::string, std::less<>> instances_;  // to the member id
  std::map<std::string, MonotonicTime, std::less<>> pending_;  // were told an id, and not back yet

  // Preparing.
  bool first_ = false;         // the group had no members
  bool first_waited_ = false;  // and what the options give them to gather is over
  bool first_grew_ = false;    // within the present stretch of that time
  Duration first_left_{0};     // of the time that may be added to it
  std::optional<MonotonicTime> join_due_;
  // Completing and stable.
  std::optional<MonotonicTime> sync_due_;
  // Empty.
  std::optional<MonotonicTime> forget_at_;
  bool stale_ = false;
  std::set<std::pair<MonotonicTime, std::string>> expiries_;  // of members and pending ones
};

}  // namespace leat::broker
