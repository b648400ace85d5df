// Looking at groups, of any kind, and removing them.
#include "protocol/names.h"
#include "server/broker/groups.h"
#include "server/broker/partitions.h"

namespace leat::broker {

using storage::TopicPartition;

GroupSummary Groups::summary(std::string_view name) const {
  GroupSummary summary{.name = std::string(name)};
  if (const DeliveryGroup* shared = deliveries_.find(name)) {
    summary.kind = shared->kind();
    summary.members = shared->members();
    summary.redelivered = shared->redelivered();
    summary.dead = shared->dead();
    return summary;
  }
  if (const ClassicGroup* classic = classic_.find(name)) {
    summary.state = classic->state();
    summary.protocol_type = classic->protocol_type();
    summary.epoch = classic->generation();
    summary.members = classic->members().size();
    if (summary.members > 0) {
      summary.kind = GroupKind::kClassic;
      summary.settled = classic->state() == ClassicState::kStable;
      return summary;
    }
  }
  const storage::Group* group = storage_.find_group(name);
  if (!group) return summary;
  summary.kind = group->kind;
  summary.epoch = group->epoch;
  summary.members = group->members.size();
  const auto live = live_.find(name);
  if (live == live_.end()) return summary;
  Target owners;
  for (const auto& [partition, owner] : group->owners) owners[partition] = owner.member;
  summary.settled = owners == live->second.target;
  return summary;
}

void Groups::list(const RequestId& id) {
  GroupList list;
  const auto stored = storage_.groups(), classic = classic_.names();
  std::set<std::string_view> names(stored.begin(), stored.end());
  names.insert(classic.begin(), classic.end());
  for (const std::string_view name : names) list.groups.push_back(summary(name));
  replies_.reply(id, std::move(list));
}

void Groups::describe(const RequestId& id, std::string_view name) {
  if (auto ok = validate_group_name(name); !ok) return replies_.reply(id, ok.error());
  const DeliveryGroup* shared = deliveries_.find(name);
  const ClassicGroup* classic = classic_.find(name);
  if (!storage_.has_group(name) && !shared && !classic)
    return replies_.reply(id, Error(ErrorCode::kUnknownGroup, quoted(name)));
  GroupDescription description{
      .group = summary(name), .members = {}, .partitions = {}, .classic = {}};
  std::map<TopicPartition, GroupPartition> partitions;
  for (const auto& [partition, committed] : storage_.commits(name))
    partitions[partition].committed = committed.offset;
  if (const storage::Group* group = storage_.find_group(name)) {
    for (const auto& [member_id, member] : group->members) description.members.push_back(member);
    for (const auto& [partition, owner] : group->owners)
      partitions[partition].member = owner.member;
  }
  if (shared) description.members = shared->describe_members();
  if (description.group.kind == GroupKind::kNone || description.group.kind == GroupKind::kClassic)
    description.classic = classic ? classic->view() : ClassicView{};
  if (description.group.kind == GroupKind::kClassic)
    for (const auto& [member_id, member] : classic->members())
      description.members.push_back(
          {member_id, member.client_id, {}, member.session_timeout, member.rebalance_timeout});
  for (auto& [partition, row] : partitions) {
    auto found = find_partition(storage_, partition.topic, partition.partition);
    if (!found) continue;
    row.partition = partition;
    row.topic = found->topic->name;
    row.bounds = storage_.bounds(found->id);
    if (const auto* acks = storage_.acks(name, partition.topic, partition.partition))
      row.done = acks->done_above_floor();
    if (shared) std::tie(row.leased, row.waiting) = shared->counts(found->id);
    description.partitions.push_back(std::move(row));
  }
  replies_.reply(id, std::move(description));
}

void Groups::remove(const RequestId& id, std::string_view name) {
  if (auto ok = validate_group_name(name); !ok) return replies_.reply(id, ok.error());
  const std::size_t members = ids_.members_of(name);
  if (!storage_.has_group(name) && members == 0 && !classic_.find(name))
    return replies_.reply(id, Error(ErrorCode::kUnknownGroup, quoted(name)));
  if (members > 0)
    return replies_.reply(
        id, Error(ErrorCode::kGroupNotEmpty,
                  quoted(name) + " has " + std::to_string(members) + "; stop them first"));
  if (storage_.has_group(name))
    if (auto position = storage_.delete_group(name); !position)
      return replies_.reply(id, position.error());
  classic_.forget(name);
  replies_.reply(id, GroupDeleted{});
}

Result<> Groups::remove_empty() {
  for (const std::string& name : storage_.groups()) {
    if (ids_.members_of(name) > 0) continue;
    if (auto position = storage_.delete_group(name); !position) return fail(position.error());
  }
  for (const std::string& name : classic_.names())
    if (ids_.members_of(name) == 0) classic_.forget(name);
  return {};
}

}  // namespace leat::broker
