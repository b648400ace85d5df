#include "server/broker/groups.h"

#include <algorithm>

#include "protocol/names.h"
#include "server/broker/partitions.h"

namespace leat::broker {
namespace {

using namespace std::chrono_literals;
using storage::TopicPartition;

constexpr auto kShortestTimeout = 100ms;
constexpr auto kLongestTimeout = std::chrono::milliseconds(1h);
constexpr std::size_t kMemberNameBytes = 255;

Error not_a_member(std::string_view group, std::string_view member) {
  return {ErrorCode::kUnknownMember, quoted(member) + " of group " + quoted(group) +
                                         "; it left, or was too late: join again under a new id"};
}

}  // namespace

// ---- joining, staying, leaving ----

Result<> Groups::check_join(const JoinRequest& request) const {
  if (auto ok = validate_group_name(request.group); !ok) return ok;
  const storage::GroupMember& member = request.member;
  if (request.kind != GroupKind::kPartitioned)
    return fail(ErrorCode::kInvalidRequest, "groups of kind " +
                                                std::to_string(static_cast<int>(request.kind)) +
                                                " are not known to this version");
  if (member.id.empty() || member.id.size() > kMemberNameBytes ||
      member.client_name.size() > kMemberNameBytes)
    return fail(ErrorCode::kInvalidRequest, "a member's id has 1 to " +
                                                std::to_string(kMemberNameBytes) +
                                                " bytes, its client's name at most as many");
  if (member.topics.empty() || member.topics.size() > options_.topics_per_member)
    return fail(ErrorCode::kInvalidRequest,
                "a member reads 1 to " + std::to_string(options_.topics_per_member) + " topics");
  for (const std::string& topic : member.topics)
    if (auto ok = validate_topic_name(topic); !ok) return ok;
  for (const auto timeout : {member.session_timeout, member.rebalance_timeout})
    if (timeout < kShortestTimeout || timeout > kLongestTimeout)
      return fail(ErrorCode::kInvalidRequest, "a member's timeout of " +
                                                  std::to_string(timeout.count()) +
                                                  " ms; use 100 ms to an hour");
  if (auto ok = ids_.check_kind(request.group, request.kind); !ok) return ok;
  const storage::Group* group = storage_.find_group(request.group);
  if (!group || group->members.empty()) return ids_.check_room_for(request.group);
  if (!group->members.contains(member.id) && group->members.size() >= options_.members_per_group)
    return fail(ErrorCode::kLimitReached,
                std::to_string(options_.members_per_group) + " members in a group");
  return {};
}

void Groups::join(const RequestId& id, JoinRequest request, MonotonicTime now) {
  if (auto ok = check_join(request); !ok) return replies_.reply(id, ok.error());
  const std::string group(request.group), name = request.member.id;
  const auto timeout = request.member.session_timeout;
  storage::GroupChange change{.group = group, .kind = request.kind};
  change.joined = std::move(request.member);
  if (auto ok = step(std::move(change), now); !ok) return replies_.reply(id, ok.error());
  Member& member = live_[group].members[name];
  by_connection_[member.connection].erase({group, name});
  member.connection = id.connection;
  member.expires = now + timeout;
  by_connection_[id.connection].insert({group, name});
  schedule(group, name);
  replies_.reply(id, assignment(*storage_.find_group(group), name));
}

Result<const storage::Group*> Groups::find_member(std::string_view name,
                                                  std::string_view member) const {
  const storage::Group* group = storage_.find_group(name);
  if (!group || !group->members.contains(member)) return fail(not_a_member(name, member));
  return group;
}

void Groups::sync(const RequestId& id, SyncRequest request, MonotonicTime now) {
  auto found = find_member(request.group, request.member);
  if (!found) return replies_.reply(id, found.error());
  const std::string name(request.group), who(request.member);
  std::ranges::sort(request.owned);
  // What it let go of: it knew that it had it, has it no longer, and is not meant to.
  const auto& target = live_[name].target;
  storage::GroupChange change{.group = name, .kind = (*found)->kind};
  for (const auto& [partition, owner] : (*found)->owners) {
    if (owner.member != who || owner.since > request.epoch) continue;
    if (std::ranges::binary_search(request.owned, partition)) continue;
    const auto meant = target.find(partition);
    if (meant == target.end() || meant->second != who) change.moved.emplace_back(partition, "");
  }
  if (!change.moved.empty())
    if (auto ok = step(std::move(change), now); !ok) return replies_.reply(id, ok.error());

  const storage::Group& group = **found;
  const auto timeout = group.members.find(who)->second.session_timeout;
  answer(group, who);  // an earlier SyncGroup of its own
  Member& member = live_[name].members[who];
  by_connection_[member.connection].erase({name, who});
  by_connection_[id.connection].insert({name, who});
  member.connection = id.connection;
  member.expires = now + timeout;
  member.waiting = id;
  member.waits_until = now + std::min<Duration>(request.max_wait, timeout / 3);
  member.owned = std::move(request.owned);
  if (request.max_wait.count() == 0 || member.owned != held_by(group, who)) answer(group, who);
  schedule(name, who);
}

void Groups::leave(const RequestId& id, std::string_view group, std::string_view member,
                   MonotonicTime now) {
  auto found = find_member(group, member);
  if (!found) return replies_.reply(id, found.error());
  expel(std::string(group), std::string(member), now);
  replies_.reply(id, LeftGroup{});
}

void Groups::expel(const std::string& name, const std::string& member, MonotonicTime now) {
  const storage::Group* group = storage_.find_group(name);
  storage::GroupChange change{.group = name, .kind = group->kind, .joined = {}, .left = {member}};
  if (group->members.size() == 1) change.kind = GroupKind::kNone;
  Live& live = live_[name];
  if (const auto it = live.members.find(member); it != live.members.end()) {
    if (it->second.waiting) replies_.reply(*it->second.waiting, not_a_member(name, member));
    by_connection_[it->second.connection].erase({name, member});
    live.members.erase(it);
  }
  schedule(name, member);
  // Storage that no longer writes keeps the member; nobody can take its place either.
  if (auto ok = step(std::move(change), now); !ok) return;
  if (!storage_.find_group(name)->members.empty()) return;
  live_.erase(name);
  became_empty_(name, now);
  if (storage_.commits(name).empty()) [[maybe_unused]]
    const auto gone = storage_.delete_group(name);
}

// ---- who reads what ----

AssignorInput Groups::input(
    const std::map<std::string, storage::GroupMember, std::less<>>& members) const {
  std::map<std::string_view, AssignorInput::Topic> topics;
  for (const auto& [id, member] : members)
    for (const std::string& topic : member.topics) topics[topic].members.insert(id);
  AssignorInput input;
  for (auto& [name, topic] : topics) {
    const storage::Topic* found = storage_.find_topic(name);
    if (!found) continue;
    for (std::size_t i = 0; i < found->partitions.size(); ++i)
      topic.partitions.push_back({found->id, PartitionIndex(static_cast<std::int32_t>(i))});
    input.topics.push_back(std::move(topic));
  }
  return input;
}

// One change of the group, whole: who came or went, what was let go of, and who gets it.
Result<> Groups::step(storage::GroupChange change, MonotonicTime now) {
  const std::string name(change.group);
  const storage::Group* group = storage_.find_group(name);
  const storage::Group before = group ? *group : storage::Group{};
  auto members = before.members;
  if (change.joined) members.insert_or_assign(change.joined->id, *change.joined);
  for (const std::string& left : change.left) members.erase(left);

  AssignorInput wanted = input(members);
  std::set<TopicPartition> let_go;
  for (const auto& [partition, nobody] : change.moved) let_go.insert(partition);
  for (const auto& [partition, owner] : before.owners)
    if (!members.contains(owner.member)) let_go.insert(partition);
  for (const auto& [partition, owner] : before.owners)
    if (!let_go.contains(partition)) wanted.owners[partition] = owner.member;
  Target target = assign(wanted);

  change.moved.clear();
  for (const TopicPartition& partition : let_go)
    if (!target.contains(partition)) change.moved.emplace_back(partition, "");
  for (const auto& [partition, member] : target)
    if (!wanted.owners.contains(partition)) change.moved.emplace_back(partition, member);
  change.group = name;
  if (change.joined || !change.left.empty() || !change.moved.empty())
    if (auto position = storage_.change_group(change); !position) return fail(position.error());
  live_[name].target = std::move(target);
  settle(*storage_.find_group(name), now);
  return {};
}

// Answers who waits and should hold something else, and notes what must be given back, and by when.
void Groups::settle(const storage::Group& group, MonotonicTime now) {
  Live& live = live_[group.name];
  std::set<std::string_view> owing;
  std::map<std::string_view, std::vector<TopicPartition>> held;
  for (const auto& [partition, owner] : group.owners) {
    const auto meant = live.target.find(partition);
    if (meant == live.target.end() || meant->second != owner.member)
      owing.insert(owner.member);
    else
      held[owner.member].push_back(partition);
  }
  for (auto& [id, member] : live.members) {
    const auto stored = group.members.find(id);
    if (stored == group.members.end()) continue;
    if (!owing.contains(id))
      member.give_back_by.reset();
    else if (!member.give_back_by)
      member.give_back_by = now + stored->second.rebalance_timeout;
    if (member.waiting && member.owned != held[id]) answer(group, id);
    schedule(group.name, id);
  }
}

// What it owns and is meant to own: sorted.
std::vector<TopicPartition> Groups::held_by(const storage::Group& group,
                                            std::string_view member) const {
  std::vector<TopicPartition> held;
  const Target& target = live_.find(group.name)->second.target;
  for (const auto& [partition, owner] : group.owners) {
    if (owner.member != member) continue;
    const auto meant = target.find(partition);
    if (meant != target.end() && meant->second == member) held.push_back(partition);
  }
  return held;
}

Assignment Groups::assignment(const storage::Group& group, std::string_view member) const {
  Assignment assignment{group.epoch, {}};
  for (const TopicPartition& partition : held_by(group, member)) {
    const storage::Topic* topic = storage_.find_topic(partition.topic);
    if (!topic) continue;
    if (assignment.topics.empty() || assignment.topics.back().id != partition.topic)
      assignment.topics.push_back({partition.topic, topic->name, {}});
    assignment.topics.back().partitions.push_back(partition.partition.value);
  }
  return assignment;
}

void Groups::answer(const storage::Group& group, std::string_view name) {
  Live& live = live_[group.name];
  const auto it = live.members.find(name);
  if (it == live.members.end() || !it->second.waiting) return;
  const RequestId id = *it->second.waiting;
  it->second.waiting.reset();
  replies_.reply(id, assignment(group, name));
}

Result<> Groups::check_commit(std::string_view name, std::string_view member, std::int32_t epoch,
                              std::span<const storage::OffsetCommit> offsets) const {
  const GroupKind kind = ids_.kind_of(name);
  if (kind != GroupKind::kNone && kind != GroupKind::kPartitioned)
    return fail(
        ErrorCode::kGroupNotEmpty,
        quoted(name) + " has " + std::to_string(ids_.members_of(name)) + "; stop them first");
  const storage::Group* group = storage_.find_group(name);
  const bool empty = !group || group->members.empty();
  if (empty && member.empty()) return {};
  if (member.empty())
    return fail(ErrorCode::kGroupNotEmpty, quoted(name) + " has " +
                                               std::to_string(group->members.size()) +
                                               "; stop them first, or commit as one of them");
  if (empty || !group->members.contains(member)) return fail(not_a_member(name, member));
  for (const storage::OffsetCommit& commit : offsets) {
    const auto owner = group->owners.find({commit.topic, commit.partition});
    if (owner == group->owners.end() || owner->second.member != member ||
        owner->second.since > epoch)
      return fail(ErrorCode::kStaleEpoch, "partition " + std::to_string(commit.partition.value) +
                                              " of group " + quoted(name) +
                                              " is with another member");
  }
  return {};
}

// ---- time and connections ----

void Groups::restore(MonotonicTime now) {
  for (const std::string& name : storage_.groups()) {
    const storage::Group* group = storage_.find_group(name);
    if (!group || group->members.empty()) continue;
    for (const auto& [id, member] : group->members) {
      live_[name].members[id].expires =
          now + std::min<Duration>(member.session_timeout, kReconnectTime);
      schedule(name, id);
    }
    // Writing may have stopped: then things stay as they are.
    [[maybe_unused]] const auto ok = step({.group = name, .kind = group->kind}, now);
  }
}

void Groups::on_topics_changed(MonotonicTime now) {
  std::vector<std::string> names;
  for (const auto& [name, live] : live_) names.push_back(name);
  for (const std::string& name : names)
    if (const storage::Group* group = storage_.find_group(name)) [[maybe_unused]]
      const auto ok = step({.group = name, .kind = group->kind}, now);
}

void Groups::on_connection_closed(ConnectionId connection, MonotonicTime now) {
  const auto found = by_connection_.find(connection);
  if (found == by_connection_.end()) return;
  for (const Key& key : std::exchange(found->second, {})) {
    Member& member = live_.find(key.first)->second.members.find(key.second)->second;
    member.waiting.reset();
    member.connection = ConnectionId();
    member.expires = std::min(member.expires, now + kReconnectTime);
    schedule(key.first, key.second);
  }
  by_connection_.erase(connection);
}

void Groups::schedule(const std::string& group, const std::string& name) {
  const Key key{group, name};
  if (const auto it = scheduled_.find(key); it != scheduled_.end()) {
    deadlines_.erase({it->second, key});
    scheduled_.erase(it);
  }
  const auto live = live_.find(group);
  if (live == live_.end()) return;
  const auto it = live->second.members.find(name);
  if (it == live->second.members.end()) return;
  const Member& member = it->second;
  MonotonicTime next = member.expires;
  if (member.waiting) next = std::min(next, member.waits_until);
  if (member.give_back_by) next = std::min(next, *member.give_back_by);
  deadlines_.insert({next, key});
  scheduled_.emplace(key, next);
}

std::optional<MonotonicTime> Groups::next_deadline() const {
  if (deadlines_.empty()) return std::nullopt;
  return deadlines_.begin()->first;
}

void Groups::on_time(MonotonicTime now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const Key key = deadlines_.begin()->second;
    Member& member = live_.find(key.first)->second.members.find(key.second)->second;
    if (member.expires <= now || (member.give_back_by && *member.give_back_by <= now)) {
      expel(key.first, key.second, now);
    } else {
      answer(*storage_.find_group(key.first), key.second);
      schedule(key.first, key.second);
    }
  }
}

void Groups::shift(Duration gap) {
  for (auto& [name, live] : live_)
    for (auto& [id, member] : live.members) {
      member.expires += gap;
      member.waits_until += gap;
      if (member.give_back_by) *member.give_back_by += gap;
      schedule(name, id);
    }
}

}  // namespace leat::broker
