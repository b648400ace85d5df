#include "client/group_logic.h"

#include <algorithm>

namespace leat {

GroupLogic::GroupLogic(Options options, Random random)
    : options_(std::move(options)), random_(random) {
  new_member_id();
}

void GroupLogic::new_member_id() {
  member_ = random_.topic_id().to_string();
}

GroupLogic::Step GroupLogic::next(MonotonicTime now) {
  if (under_way_) return Step::kNothing;
  // The broker answers at once what it has not got back yet: heartbeats must do until then.
  if (joined_ && !giving_back_.empty() && now < last_answer_ + options_.session_timeout / 4)
    return Step::kNothing;
  under_way_ = true;
  return joined_ ? Step::kSync : Step::kJoin;
}

std::optional<MonotonicTime> GroupLogic::next_deadline() const {
  if (under_way_ || giving_back_.empty()) return std::nullopt;
  return last_answer_ + options_.session_timeout / 4;
}

native::JoinGroup GroupLogic::join_request() const {
  return {.group = options_.group,
          .member = member_,
          .kind = GroupKind::kPartitioned,
          .topics = {options_.topic},
          .session_timeout_ms = static_cast<std::uint32_t>(options_.session_timeout.count()),
          .rebalance_timeout_ms = static_cast<std::uint32_t>(options_.rebalance_timeout.count()),
          .client_name = options_.client_name};
}

native::SyncGroup GroupLogic::sync_request() const {
  native::SyncGroup request{
      .group = options_.group,
      .member = member_,
      .epoch = epoch_,
      .owned = {},
      .max_wait_ms = static_cast<std::uint32_t>(options_.session_timeout.count() / 3)};
  for (const PartitionIndex partition : owned_) request.owned.push_back({*topic_, partition});
  return request;
}

native::LeaveGroup GroupLogic::leave_request() const {
  return {.group = options_.group, .member = member_};
}

GroupLogic::Change GroupLogic::answered(const native::GroupAssignment& assignment,
                                        MonotonicTime now) {
  under_way_ = false;
  joined_ = true;
  epoch_ = assignment.epoch;
  last_answer_ = now;
  std::set<PartitionIndex> assigned;
  for (const native::AssignedTopic& topic : assignment.topics) {
    topic_ = topic.topic;
    for (const std::int32_t partition : topic.partitions) assigned.emplace(partition);
  }
  Change change;
  for (const PartitionIndex partition : owned_)
    if (!assigned.contains(partition) && giving_back_.insert(partition).second)
      change.revoked.push_back(partition);
  for (const PartitionIndex partition : assigned) {
    // Asked back and given again before it was released: it never left.
    giving_back_.erase(partition);
    if (owned_.insert(partition).second) change.assigned.push_back(partition);
  }
  return change;
}

GroupLogic::Change GroupLogic::expelled() {
  Change change;
  change.lost.assign(owned_.begin(), owned_.end());
  owned_.clear();
  giving_back_.clear();
  joined_ = under_way_ = false;
  new_member_id();
  return change;
}

void GroupLogic::released(const std::vector<PartitionIndex>& partitions) {
  for (const PartitionIndex partition : partitions)
    if (giving_back_.erase(partition) > 0) owned_.erase(partition);
}

}  // namespace leat
