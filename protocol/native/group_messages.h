// The messages of consumer groups and of push delivery; see messages.h for what holds for all.
//
// A member joins with an id of its own choosing (random: a repeated join is the same member), then
// always has one SyncGroup waiting: it is its heartbeat, tells the broker what it holds, and is
// answered at once when that must change.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/error.h"
#include "protocol/base/ids.h"
#include "protocol/group_kind.h"

namespace leat::native {

struct PartitionRef {
  TopicId topic;
  PartitionIndex partition;
};

// ---- requests ----

struct JoinGroup {
  std::string_view group;
  std::string_view member;
  GroupKind kind = GroupKind::kPartitioned;
  std::vector<std::string_view> topics;  // by name: one that is created later counts from then on
  std::uint32_t session_timeout_ms = 10'000;    // without a SyncGroup: expelled
  std::uint32_t rebalance_timeout_ms = 30'000;  // to let go of what is asked back
  std::string_view client_name;                 // for people
};

// `owned` is what the member holds as of `epoch`. Answered at once when it should be something
// else, else after max_wait_ms.
struct SyncGroup {
  std::string_view group;
  std::string_view member;
  std::int32_t epoch = 0;
  std::vector<PartitionRef> owned;
  std::uint32_t max_wait_ms = 0;
};

struct LeaveGroup {
  std::string_view group;
  std::string_view member;
};

struct ListGroups {};

struct DescribeGroup {
  std::string_view group;
};

// The group must have no members; its committed offsets go with it.
struct DeleteGroup {
  std::string_view group;
};

// Opens a push subscription of this connection; `subscription` is any number not in use on it.
// Grants are cumulative and absolute since Subscribe: the broker has sent at most so many records
// and bytes, but one batch always passes while both grants exceed what was sent.
struct Subscribe {
  std::uint32_t subscription = 0;
  PartitionRef partition;
  Offset offset;
  std::int32_t leader_epoch = -1;  // of the record before `offset`, if known
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  std::uint32_t max_bytes = 1 << 20;  // of one push, at least one batch
};

// Has no reply. Raises the grants; lower ones than before change nothing.
struct Grant {
  std::uint32_t subscription = 0;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
};

struct Unsubscribe {
  std::uint32_t subscription = 0;
};

// ---- replies ----

struct AssignedTopic {
  TopicId topic;
  std::string_view name;
  std::vector<std::int32_t> partitions;
};

// Answers JoinGroup and SyncGroup: all that the member may hold from now on. What it holds beyond
// that it lets go of, and says so with its next SyncGroup.
struct GroupAssignment {
  std::int32_t epoch = 0;
  std::vector<AssignedTopic> topics;
};

struct LeaveGroupReply {};

struct GroupState {
  std::string_view name;
  GroupKind kind = GroupKind::kNone;
  std::int32_t epoch = 0;
  std::uint32_t members = 0;
  bool settled = true;  // every partition is with the member it is meant for
  // With acknowledgements, since the group has members: deliveries that were not the first, and
  // dead letters.
  std::uint64_t redelivered = 0;
  std::uint64_t dead = 0;
};

struct ListGroupsReply {
  std::vector<GroupState> groups;  // by name
};

struct GroupMember {
  std::string_view id;
  std::string_view client_name;
  std::vector<std::string_view> topics;
};

struct GroupPartition {
  PartitionRef partition;
  std::string_view topic;   // its name
  std::string_view member;  // empty: nobody's
  Offset committed{-1};     // -1: nothing
  Offset log_start;
  Offset high_watermark;
  // Records behind `committed` that are acked, with a member, or wait to be delivered again.
  std::uint64_t done = 0;
  std::uint64_t leased = 0;
  std::uint64_t waiting = 0;
};

struct DescribeGroupReply {
  GroupState group;
  std::vector<GroupMember> members;
  std::vector<GroupPartition> partitions;  // committed or assigned
};

struct DeleteGroupReply {};

struct SubscribeReply {
  Offset log_start;
  Offset high_watermark;
};

struct UnsubscribeReply {};  // no Push of the subscription follows it

// Comes unasked, with correlation 0; the payload is whole batches, as in FetchReply.
struct Push {
  std::uint32_t subscription = 0;
  Offset log_start;
  Offset high_watermark;
  Bytes batches;
};

// The broker ended the subscription; correlation 0.
struct PushEnd {
  std::uint32_t subscription = 0;
  ErrorCode code = ErrorCode::kInternal;
  std::string_view detail;
};

}  // namespace leat::native
