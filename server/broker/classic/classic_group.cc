#include "server/broker/classic/classic_group.h"

#include <algorithm>

#include "protocol/base/assert.h"
#include "server/broker/partitions.h"

namespace leat::broker {

using namespace std::chrono_literals;

ClassicGroup::~ClassicGroup() {
  for (const auto& [id, member] : members_) house_.bytes -= member.bytes();
}

// ---- members ----

Error ClassicGroup::refusal(ErrorCode code, std::string_view member) const {
  std::string detail = "member " + quoted(member) + " of group " + quoted(name_);
  if (code == ErrorCode::kUnknownMember) detail += "; it left, or was too late: join again as new";
  if (code == ErrorCode::kIllegalGeneration)
    detail += "; the group is in generation " + std::to_string(generation_);
  return {code, std::move(detail)};
}

Result<> ClassicGroup::check_identity(const ClassicIdentity& who) const {
  if (who.instance) {
    const auto it = instances_.find(*who.instance);
    if (it == instances_.end()) return fail(refusal(ErrorCode::kUnknownMember, who.member));
    if (it->second != who.member) return fail(refusal(ErrorCode::kFencedInstance, who.member));
    return {};
  }
  if (!members_.contains(who.member)) return fail(refusal(ErrorCode::kUnknownMember, who.member));
  return {};
}

Result<ClassicMember*> ClassicGroup::find(const ClassicIdentity& who) {
  if (auto ok = check_identity(who); !ok) return fail(ok.error());
  if (who.generation != generation_)
    return fail(refusal(ErrorCode::kIllegalGeneration, who.member));
  return &members_.find(who.member)->second;
}

void ClassicGroup::arm(ClassicMember& member, std::optional<MonotonicTime> when) {
  if (member.expires) expiries_.erase({*member.expires, member.id});
  member.expires = when;
  if (when) expiries_.insert({*when, member.id});
}

// It was heard of. Whoever waits for the group cannot be heard of, and is not expired.
void ClassicGroup::stay(ClassicMember& member, MonotonicTime now) {
  if (member.syncing || (member.joining && !member.fresh)) return arm(member, std::nullopt);
  if (!member.joining) arm(member, now + member.session_timeout);
}

void ClassicGroup::answer_join(ClassicMember& member, Reply reply) {
  if (const auto id = std::exchange(member.joining, std::nullopt))
    house_.answer(*id, std::move(reply));
}

void ClassicGroup::answer_sync(ClassicMember& member, Reply reply) {
  if (const auto id = std::exchange(member.syncing, std::nullopt))
    house_.answer(*id, std::move(reply));
}

void ClassicGroup::remove(const std::string& id, ErrorCode why) {
  const auto it = members_.find(id);
  ClassicMember& member = it->second;
  answer_join(member, refusal(why, id));
  answer_sync(member, refusal(why, id));
  arm(member, std::nullopt);
  if (member.instance) instances_.erase(*member.instance);
  house_.bytes -= member.bytes();
  const bool led = leader_ == id;
  members_.erase(it);
  if (led) leader_ = members_.empty() ? std::string() : members_.begin()->first;
}

bool ClassicGroup::remove_pending(const std::string& id) {
  const auto it = pending_.find(id);
  if (it == pending_.end()) return false;
  expiries_.erase({it->second, id});
  pending_.erase(it);
  return true;
}

std::vector<ErrorCode> ClassicGroup::leave(std::span<const ClassicLeaver> leavers,
                                           MonotonicTime now) {
  std::vector<ErrorCode> results;
  bool left = false;
  for (const ClassicLeaver& leaver : leavers) {
    std::string id(leaver.member);
    // An administrator knows a static member by its instance alone.
    if (id.empty() && leaver.instance)
      if (const auto it = instances_.find(*leaver.instance); it != instances_.end())
        id = it->second;
    if (remove_pending(id)) {
      results.push_back(ErrorCode::kOk);
      continue;
    }
    const auto ok = check_identity({.group = name_, .member = id, .instance = leaver.instance});
    results.push_back(ok ? ErrorCode::kOk : ok.error().code);
    if (!ok) continue;
    remove(id, ErrorCode::kUnknownMember);
    left = true;
  }
  if (left)
    rebalance_or_complete(now);
  else
    complete_if_all_joined(now);
  if (forgettable() && state_ == ClassicState::kEmpty && !forget_at_) forget_at_ = now + kEmptyTime;
  return results;
}

Result<> ClassicGroup::heartbeat(const ClassicIdentity& who, MonotonicTime now) {
  auto member = find(who);
  if (!member) return fail(member.error());
  stay(**member, now);
  if (state_ == ClassicState::kPreparing)
    return fail(refusal(ErrorCode::kRebalanceInProgress, who.member));
  return {};
}

Result<> ClassicGroup::commit(const ClassicIdentity& who, MonotonicTime now) {
  if (members_.empty() && who.generation < 0) return {};
  if (who.generation < 0 && who.member.empty() && !who.instance)
    return fail(ErrorCode::kUnknownMember,
                quoted(name_) + " has " + std::to_string(members_.size()) +
                    " members; stop them first, or commit as one of them");
  auto member = find(who);
  if (!member) return fail(member.error());
  stay(**member, now);
  // It knows the generation, but not what it is given in it.
  if (state_ == ClassicState::kCompleting)
    return fail(refusal(ErrorCode::kRebalanceInProgress, who.member));
  return {};
}

// ---- a new generation: first everybody joins ----

void ClassicGroup::rebalance_or_complete(MonotonicTime now) {
  if (state_ == ClassicState::kPreparing) return complete_if_all_joined(now);
  prepare(now);
}

void ClassicGroup::prepare(MonotonicTime now) {
  for (auto& [id, member] : members_) {
    member.owes_sync = false;
    if (!member.syncing) continue;
    answer_sync(member, refusal(ErrorCode::kRebalanceInProgress, id));
    stay(member, now);
  }
  sync_due_.reset();
  first_ = state_ == ClassicState::kEmpty;
  first_waited_ = first_grew_ = false;
  state_ = ClassicState::kPreparing;
  if (!first_) {
    join_due_ = now + rebalance_timeout();
    return complete_if_all_joined(now);
  }
  const Duration delay = house_.options.group_initial_rebalance_delay;
  first_left_ = std::max(rebalance_timeout() - delay, Duration(0));
  join_due_ = now + delay;
  if (delay == Duration(0)) on_join_due(now);
}

Duration ClassicGroup::rebalance_timeout() const {
  Duration longest = 1ms;
  for (const auto& [id, member] : members_)
    longest = std::max<Duration>(longest, member.rebalance_timeout);
  return longest;
}

bool ClassicGroup::all_joined() const {
  return pending_.empty() &&
         std::ranges::all_of(members_, [](const auto& m) { return m.second.joining.has_value(); });
}

void ClassicGroup::complete_if_all_joined(MonotonicTime now) {
  if (state_ != ClassicState::kPreparing || !all_joined()) return;
  if (!first_ || first_waited_) complete_join(now);
}

void ClassicGroup::on_join_due(MonotonicTime now) {
  if (!first_ || first_waited_) return complete_join(now);
  if (first_grew_ && first_left_ > Duration(0)) {  // others came meanwhile: more may
    const Duration more =
        std::min<Duration>(house_.options.group_initial_rebalance_delay, first_left_);
    first_left_ -= more;
    first_grew_ = false;
    join_due_ = now + more;
    return;
  }
  first_waited_ = true;
  join_due_ = now + kForPending;
  complete_if_all_joined(now);
}

bool ClassicGroup::elect_leader() {
  const auto leader = members_.find(leader_);
  if (leader != members_.end() && leader->second.joining) return true;
  const auto next =
      std::ranges::find_if(members_, [](const auto& m) { return m.second.joining.has_value(); });
  if (next == members_.end()) return false;
  leader_ = next->first;
  return true;
}

std::set<std::string_view> ClassicGroup::common_protocols() const {
  std::set<std::string_view> common;
  if (members_.empty()) return common;
  for (const ClassicProtocol& protocol : members_.begin()->second.protocols)
    common.insert(protocol.name);
  for (const auto& [id, member] : members_)
    std::erase_if(common, [&](std::string_view name) { return !member.find(name); });
  return common;
}

// Each member votes for the one it likes best of those that all know; of equals the leader chooses.
std::string ClassicGroup::chosen_protocol() const {
  const std::set<std::string_view> common = common_protocols();
  std::map<std::string_view, std::size_t> votes;
  for (const auto& [id, member] : members_) {
    const auto best = std::ranges::find_if(
        member.protocols, [&](const ClassicProtocol& p) { return common.contains(p.name); });
    LEAT_ASSERT(best != member.protocols.end());  // supports() saw to it
    ++votes[best->name];
  }
  std::string chosen;
  std::size_t most = 0;
  const auto leader = members_.find(leader_);
  LEAT_ASSERT(leader != members_.end());
  for (const ClassicProtocol& protocol : leader->second.protocols) {
    const auto it = votes.find(protocol.name);
    if (it == votes.end() || it->second <= most) continue;
    most = it->second;
    chosen = protocol.name;
  }
  return chosen;
}

void ClassicGroup::complete_join(MonotonicTime now) {
  std::vector<std::string> absent;
  for (const auto& [id, member] : members_)
    if (!member.joining && !member.instance) absent.push_back(id);
  for (const std::string& id : absent) remove(id, ErrorCode::kUnknownMember);
  if (!members_.empty() && !elect_leader()) {
    // Static members alone, and none of them is back: until their sessions end.
    join_due_ = now + rebalance_timeout();
    return;
  }
  join_due_.reset();
  first_ = false;
  ++generation_;
  if (members_.empty()) return become_empty(now);
  protocol_ = chosen_protocol();
  state_ = ClassicState::kCompleting;
  for (auto& [id, member] : members_) {
    house_.bytes -= member.assignment.size();
    member.assignment.clear();
    member.owes_sync = true;
    member.fresh = false;
    if (!member.joining) continue;  // static, and away
    answer_join(member, joined(member, id == leader_));
    stay(member, now);
  }
  sync_due_ = now + rebalance_timeout();
}

void ClassicGroup::become_empty(MonotonicTime now) {
  state_ = ClassicState::kEmpty;
  protocol_.clear();
  leader_.clear();
  sync_due_.reset();
  if (pending_.empty()) forget_at_ = now + kEmptyTime;
}

// ---- then the leader says who does what ----

ClassicSynced ClassicGroup::synced(const ClassicMember& member) const {
  return {protocol_type_, protocol_, member.assignment};
}

void ClassicGroup::sync(const RequestId& id, const ClassicSyncRequest& request, MonotonicTime now) {
  auto found = find(request.who);
  if (!found) return house_.answer(id, found.error());
  ClassicMember& member = **found;
  const auto differs = [](const auto& said, const std::string& is) { return said && *said != is; };
  if (differs(request.protocol_type, protocol_type_) || differs(request.protocol, protocol_))
    return house_.answer(id, Error(ErrorCode::kInconsistentGroup,
                                   "group " + quoted(name_) + " agreed on " +
                                       quoted(protocol_type_) + " and " + quoted(protocol_)));
  if (state_ == ClassicState::kPreparing) {
    stay(member, now);
    return house_.answer(id, refusal(ErrorCode::kRebalanceInProgress, member.id));
  }
  answer_sync(member, refusal(ErrorCode::kRebalanceInProgress, member.id));  // asked twice
  member.syncing = id;
  member.owes_sync = false;
  if (state_ == ClassicState::kStable) {
    answer_sync(member, synced(member));
  } else if (member.id == leader_) {
    propagate(request, now);
  }
  stay(member, now);
  if (std::ranges::none_of(members_, [](const auto& m) { return m.second.owes_sync; }))
    sync_due_.reset();
}

void ClassicGroup::propagate(const ClassicSyncRequest& request, MonotonicTime now) {
  std::map<std::string_view, std::string_view> assignments;
  for (const auto& [who, assignment] : request.assignments)
    if (members_.contains(who)) assignments[who] = assignment;
  std::size_t bytes = 0;
  for (const auto& [who, assignment] : assignments) bytes += assignment.size();
  ClassicMember& leader = members_.find(leader_)->second;
  if (house_.bytes + bytes > house_.options.classic_group_bytes) {
    leader.owes_sync = true;
    return answer_sync(
        leader, Error(ErrorCode::kLimitReached, "assignments of " + std::to_string(bytes) +
                                                    " bytes; raise limits.classic_group_bytes"));
  }
  state_ = ClassicState::kStable;
  house_.bytes += bytes;
  for (auto& [id, member] : members_) {
    const auto it = assignments.find(id);
    if (it != assignments.end())
      member.assignment = it->second;
    else
      member.assignment.clear();
    if (!member.syncing) continue;
    answer_sync(member, synced(member));
    stay(member, now);
  }
}

// ---- time ----

void ClassicGroup::expel_silent(MonotonicTime now) {
  sync_due_.reset();
  std::vector<std::string> silent;
  for (const auto& [id, member] : members_)
    if (member.owes_sync) silent.push_back(id);
  for (const std::string& id : silent) remove(id, ErrorCode::kUnknownMember);
  if (!silent.empty()) rebalance_or_complete(now);
}

void ClassicGroup::on_time(MonotonicTime now) {
  bool removed = false;
  while (!expiries_.empty() && expiries_.begin()->first <= now) {
    const std::string id = expiries_.begin()->second;
    if (remove_pending(id)) continue;
    remove(id, ErrorCode::kUnknownMember);
    removed = true;
  }
  if (removed)
    rebalance_or_complete(now);
  else
    complete_if_all_joined(now);
  if (join_due_ && *join_due_ <= now) on_join_due(now);
  if (sync_due_ && *sync_due_ <= now) expel_silent(now);
  if (!forgettable() || state_ != ClassicState::kEmpty) return;
  if (!forget_at_ && !stale_) forget_at_ = now + kEmptyTime;
  if (forget_at_ && *forget_at_ <= now) {
    forget_at_.reset();
    stale_ = true;
  }
}

// How much of its time anybody had left when the clock stood still nobody knows: what members send
// once it goes on is to be heard before they are judged.
void ClassicGroup::shift(Duration gap, MonotonicTime now) {
  expiries_.clear();
  for (auto& [id, member] : members_) {
    if (!member.expires) continue;
    member.expires = std::max<MonotonicTime>(*member.expires + gap, now + member.session_timeout);
    expiries_.insert({*member.expires, id});
  }
  const MonotonicTime soon = now + house_.options.group_min_session_timeout;
  for (auto& [id, when] : pending_) {
    when = std::max(when + gap, soon);
    expiries_.insert({when, id});
  }
  for (auto* due : {&join_due_, &sync_due_})
    if (*due) *due = std::max(**due + gap, soon);
  if (forget_at_) *forget_at_ += gap;
}

std::optional<MonotonicTime> ClassicGroup::next_deadline() const {
  std::optional<MonotonicTime> next;
  if (!expiries_.empty()) next = expiries_.begin()->first;
  for (const auto& due : {join_due_, sync_due_, forget_at_})
    if (due) next = next ? std::min(*next, *due) : due;
  return next;
}

// ---- looking at it ----

ClassicView ClassicGroup::view() const {
  ClassicView view{state_, protocol_type_, {}, {}};
  const bool stable = state_ == ClassicState::kStable;
  if (stable) view.protocol = protocol_;
  for (const auto& [id, member] : members_) {
    view.members.push_back({id, member.instance, member.client_id, member.client_host, {}, {}});
    if (!stable) continue;
    view.members.back().metadata = member.metadata(protocol_);
    view.members.back().assignment = member.assignment;
  }
  return view;
}

}  // namespace leat::broker
