// The writing half of codec.h: groups and push.
#include "protocol/native/encode_parts.h"

namespace leat::native {
namespace {

auto group_state(FlatBufferBuilder& to, const GroupState& in) {
  const auto name = string(to, in.name);
  return wire::CreateGroupState(to, name, static_cast<std::uint8_t>(in.kind), in.epoch, in.members,
                                in.settled, in.redelivered, in.dead);
}

auto assigned_topic(FlatBufferBuilder& to, const AssignedTopic& in) {
  const auto partitions = to.CreateVector(in.partitions);
  const auto name = string(to, in.name);
  const auto id = topic_id(in.topic);
  return wire::CreateAssignedTopic(to, &id, name, partitions);
}

auto group_member(FlatBufferBuilder& to, const GroupMember& in) {
  const auto topics = strings(to, in.topics);
  const auto client = optional_string(to, in.client_name);
  return wire::CreateGroupMember(to, string(to, in.id), client, topics);
}

auto group_partition(FlatBufferBuilder& to, const GroupPartition& in) {
  const auto topic = string(to, in.topic);
  const auto member = optional_string(to, in.member);
  const auto ref = partition_ref(in.partition.topic, in.partition.partition);
  return wire::CreateGroupPartition(to, &ref, topic, member, in.committed.value, in.log_start.value,
                                    in.high_watermark.value, in.done, in.leased, in.waiting);
}

template <class In, class Write>
auto tables(FlatBufferBuilder& to, const std::vector<In>& entries, Write write_one) {
  std::vector<decltype(write_one(to, entries.front()))> all;
  all.reserve(entries.size());
  for (const In& entry : entries) all.push_back(write_one(to, entry));
  return to.CreateVector(all);
}

}  // namespace

// ---- requests ----

Body write(FlatBufferBuilder& to, const JoinGroup& in) {
  const auto group = string(to, in.group), member = string(to, in.member);
  const auto topics = strings(to, in.topics);
  const auto client = optional_string(to, in.client_name);
  return body(wire::CreateJoinGroup(to, group, member, static_cast<std::uint8_t>(in.kind), topics,
                                    in.session_timeout_ms, in.rebalance_timeout_ms, client));
}
Body write(FlatBufferBuilder& to, const SyncGroup& in) {
  const auto group = string(to, in.group), member = string(to, in.member);
  const auto owned = partition_refs(to, in.owned);
  return body(wire::CreateSyncGroup(to, group, member, in.epoch, owned, in.max_wait_ms));
}
Body write(FlatBufferBuilder& to, const LeaveGroup& in) {
  const auto group = string(to, in.group), member = string(to, in.member);
  return body(wire::CreateLeaveGroup(to, group, member));
}
Body write(FlatBufferBuilder& to, const ListGroups&) {
  return body(wire::CreateListGroups(to));
}
Body write(FlatBufferBuilder& to, const DescribeGroup& in) {
  return body(wire::CreateDescribeGroup(to, string(to, in.group)));
}
Body write(FlatBufferBuilder& to, const DeleteGroup& in) {
  return body(wire::CreateDeleteGroup(to, string(to, in.group)));
}
Body write(FlatBufferBuilder& to, const Subscribe& in) {
  const auto ref = partition_ref(in.partition.topic, in.partition.partition);
  return body(wire::CreateSubscribe(to, in.subscription, &ref, in.offset.value, in.leader_epoch,
                                    in.records, in.bytes, in.max_bytes));
}
Body write(FlatBufferBuilder& to, const Grant& in) {
  return body(wire::CreateGrant(to, in.subscription, in.records, in.bytes));
}
Body write(FlatBufferBuilder& to, const Unsubscribe& in) {
  return body(wire::CreateUnsubscribe(to, in.subscription));
}

// ---- replies ----

Body write(FlatBufferBuilder& to, const GroupAssignment& in) {
  return body(wire::CreateGroupAssignment(to, in.epoch, tables(to, in.topics, assigned_topic)));
}
Body write(FlatBufferBuilder& to, const LeaveGroupReply&) {
  return body(wire::CreateLeaveGroupReply(to));
}
Body write(FlatBufferBuilder& to, const ListGroupsReply& in) {
  return body(wire::CreateListGroupsReply(to, tables(to, in.groups, group_state)));
}
Body write(FlatBufferBuilder& to, const DescribeGroupReply& in) {
  const auto group = group_state(to, in.group);
  const auto members = tables(to, in.members, group_member);
  const auto partitions = tables(to, in.partitions, group_partition);
  return body(wire::CreateDescribeGroupReply(to, group, members, partitions));
}
Body write(FlatBufferBuilder& to, const DeleteGroupReply&) {
  return body(wire::CreateDeleteGroupReply(to));
}
Body write(FlatBufferBuilder& to, const SubscribeReply& in) {
  return body(wire::CreateSubscribeReply(to, in.log_start.value, in.high_watermark.value));
}
Body write(FlatBufferBuilder& to, const UnsubscribeReply&) {
  return body(wire::CreateUnsubscribeReply(to));
}
Body write(FlatBufferBuilder& to, const Push& in) {
  return body(wire::CreatePush(to, in.subscription, in.log_start.value, in.high_watermark.value));
}
Body write(FlatBufferBuilder& to, const PushEnd& in) {
  const auto detail = optional_string(to, in.detail);
  return body(
      wire::CreatePushEnd(to, in.subscription, static_cast<std::uint16_t>(in.code), detail));
}

}  // namespace leat::native
