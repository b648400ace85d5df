// A consumer group as it is stored: who is in it, and which partition is with whom. What it has
// committed stands apart, for a group may have offsets and never a member.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/ids.h"
#include "protocol/group_kind.h"

namespace leat::storage {

struct TopicPartition {
  TopicId topic;
  PartitionIndex partition;
  friend auto operator<=>(const TopicPartition&, const TopicPartition&) = default;
};

struct GroupMember {
  std::string id;  // chosen by the member, at random
  std::string client_name;
  std::vector<std::string> topics;  // by name
  std::chrono::milliseconds session_timeout{0};
  std::chrono::milliseconds rebalance_timeout{0};
};

struct Ownership {
  std::string member;
  std::int32_t since = 0;  // the group's epoch that gave it
};

struct Group {
  std::string name;
  GroupKind kind = GroupKind::kNone;  // kNone: no members
  std::int32_t epoch = 0;             // raised by every change
  std::map<std::string, GroupMember, std::less<>> members;
  std::map<TopicPartition, Ownership> owners;
};

// One step of a group's life, carried out whole (rule 1). A member that leaves has its partitions
// listed in `moved`.
struct GroupChange {
  std::string_view group;
  GroupKind kind = GroupKind::kNone;  // after the change
  std::optional<GroupMember> joined;
  std::vector<std::string> left;
  std::vector<std::pair<TopicPartition, std::string>> moved;  // to a member; empty: nobody's
};

}  // namespace leat::storage
