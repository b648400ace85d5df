// JoinGroup: who may join, as whom, and what it means for the group.
#include <algorithm>
#include <cstdio>

#include "server/broker/classic/classic_group.h"
#include "server/broker/partitions.h"

namespace leat::broker {
namespace {

// "client-0b8f3e5a-…": what a peer calls itself, shortened, and a version 4 UUID.
std::string with_uuid(std::string_view name, Random& random) {
  constexpr std::size_t kShownBytes = 200;
  std::size_t size = std::min(name.size(), kShownBytes);
  while (size < name.size() && size > 0 && (name[size] & 0xc0) == 0x80) --size;  // whole characters
  std::string id(name.substr(0, size));
  const TopicId uuid = random.topic_id();
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i) {
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) id += '-';
    char hex[3];
    std::snprintf(hex, sizeof hex, "%02x", static_cast<unsigned>(uuid.bytes[i]));
    id += hex;
  }
  return id;
}

}  // namespace

std::string ClassicGroup::new_id(const ClassicJoinRequest& request) {
  return with_uuid(request.instance.value_or(request.client_id), house_.random);
}

Result<> ClassicGroup::check_room(std::string_view id) const {
  const std::size_t most = house_.options.members_per_group;
  const auto member = members_.find(id);
  const bool known = member != members_.end();
  std::size_t counted = members_.size();
  bool in = known;
  if (state_ == ClassicState::kPreparing) {  // who does not come back makes room
    const auto joining = [](const auto& m) { return m.second.joining.has_value(); };
    counted = static_cast<std::size_t>(std::ranges::count_if(members_, joining));
    in = known && member->second.joining;
  }
  // Static ones that are away, and those that are about to come back, are bounded too.
  const bool crowded = !known && (members_.size() >= 2 * most ||
                                  (pending_.size() >= most && !pending_.contains(id)));
  if (!in && (counted >= most || crowded))
    return fail(ErrorCode::kGroupFull,
                "group " + quoted(name_) + " may have " + std::to_string(most) + " members");
  return {};
}

bool ClassicGroup::supports(const ClassicJoinRequest& request) const {
  if (request.protocol_type.empty() || request.protocols.empty()) return false;
  if (members_.empty()) return true;
  if (request.protocol_type != protocol_type_) return false;
  const auto common = common_protocols();
  return std::ranges::any_of(request.protocols, [&](const ClassicProtocol& protocol) {
    return common.contains(protocol.name);
  });
}

void ClassicGroup::join(const RequestId& id, ClassicJoinRequest request, MonotonicTime now) {
  if (auto ok = check_room(request.member); !ok) {
    const std::string member(request.member);
    if (members_.contains(member)) {
      remove(member, ErrorCode::kUnknownMember);
      complete_if_all_joined(now);
    }
    return house_.answer(id, ok.error());
  }
  if (!supports(request))
    return house_.answer(
        id,
        Error(ErrorCode::kInconsistentGroup,
              members_.empty()
                  ? "a member names a protocol type, and at least one protocol"
                  : "the members of group " + quoted(name_) + " speak " + quoted(protocol_type_) +
                        " and know no protocol that is common to all with this one"));
  if (request.member.empty()) return join_new(id, std::move(request), now);
  join_again(id, std::move(request), now);
}

void ClassicGroup::join_new(const RequestId& id, ClassicJoinRequest request, MonotonicTime now) {
  if (request.instance) {
    const auto known = instances_.find(*request.instance);
    if (known != instances_.end())
      return replace(id, std::string(known->second), std::move(request), now);
    return add(id, new_id(request), std::move(request), now);
  }
  std::string member = new_id(request);
  if (!request.comes_again) return add(id, std::move(member), std::move(request), now);
  const MonotonicTime until = now + request.session_timeout;
  pending_[member] = until;
  expiries_.insert({until, member});
  forget_at_.reset();
  house_.answer(id, ClassicIdGiven{std::move(member)});
}

void ClassicGroup::join_again(const RequestId& id, ClassicJoinRequest request, MonotonicTime now) {
  if (!request.instance && remove_pending(std::string(request.member))) {
    std::string member(request.member);
    return add(id, std::move(member), std::move(request), now);
  }
  const ClassicIdentity who{.group = name_, .member = request.member, .instance = request.instance};
  if (auto ok = check_identity(who); !ok) return house_.answer(id, ok.error());
  ClassicMember& member = members_.find(request.member)->second;
  const bool leads = member.id == leader_;
  // The answer to an earlier JoinGroup may have been lost: the generation stands.
  const bool stands =
      member.protocols == request.protocols &&
      (state_ == ClassicState::kCompleting || (state_ == ClassicState::kStable && !leads));
  if (stands) {
    house_.answer(id, joined(member, leads));
    return stay(member, now);
  }
  update(id, member, std::move(request));
  stay(member, now);
  rebalance_or_complete(now);
}

void ClassicGroup::add(const RequestId& id, std::string name, ClassicJoinRequest request,
                       MonotonicTime now) {
  if (state_ == ClassicState::kPreparing && first_) first_grew_ = true;
  if (members_.empty()) protocol_type_ = request.protocol_type;
  if (leader_.empty()) leader_ = name;
  forget_at_.reset();
  stale_ = false;
  ClassicMember& member = members_[name];
  member.id = name;
  member.client_id = request.client_id;
  member.client_host = request.client_host;
  if (request.instance) {
    member.instance = *request.instance;
    instances_[*member.instance] = name;
  }
  house_.bytes += member.bytes();
  update(id, member, std::move(request));
  arm(member, now + kFreshTime);
  rebalance_or_complete(now);
}

void ClassicGroup::update(const RequestId& id, ClassicMember& member, ClassicJoinRequest request) {
  answer_join(member, refusal(ErrorCode::kRebalanceInProgress, member.id));  // asked twice
  member.joining = id;
  member.session_timeout = request.session_timeout;
  member.rebalance_timeout = request.rebalance_timeout;
  house_.bytes -= member.bytes();
  member.protocols = std::move(request.protocols);
  house_.bytes += member.bytes();
}

// A static member is back, without its id: it goes on where it was, under another one, and whoever
// still uses the old one is fenced off (KIP-345).
void ClassicGroup::replace(const RequestId& id, const std::string& old, ClassicJoinRequest request,
                           MonotonicTime now) {
  const std::string leader_before = leader_;
  auto node = members_.extract(old);
  ClassicMember& member = node.mapped();
  answer_join(member, refusal(ErrorCode::kFencedInstance, old));
  answer_sync(member, refusal(ErrorCode::kFencedInstance, old));
  arm(member, std::nullopt);
  node.key() = member.id = new_id(request);
  instances_[*member.instance] = member.id;
  if (leader_ == old) leader_ = member.id;
  member.client_id = request.client_id;
  member.client_host = request.client_host;
  members_.insert(std::move(node));
  const bool may_skip = request.may_skip_assignment;
  update(id, member, std::move(request));
  if (member.fresh) arm(member, now + kFreshTime);
  if (state_ != ClassicState::kStable || chosen_protocol() != protocol_) {
    stay(member, now);
    // While the leader assigns it knows the old id, and would give the new one nothing.
    return rebalance_or_complete(now);
  }
  const bool leads = leader_ == member.id;
  ClassicJoined reply = joined(member, leads && may_skip);
  reply.skip_assignment = leads && may_skip;
  // A leader that cannot be told to skip the assignment is not told that it leads.
  if (!may_skip) reply.leader = leader_before;
  answer_join(member, std::move(reply));
  stay(member, now);
}

ClassicJoined ClassicGroup::joined(const ClassicMember& member, bool with_members) const {
  ClassicJoined reply{generation_, protocol_type_, protocol_, leader_, member.id, false, {}};
  if (!with_members) return reply;
  for (const auto& [id, other] : members_)
    reply.members.push_back({id, other.instance, other.metadata(protocol_)});
  return reply;
}

}  // namespace leat::broker
