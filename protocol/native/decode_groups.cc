// The reading half of codec.h: groups and push.
#include "protocol/native/decode_parts.h"

namespace leat::native {
namespace {

GroupState read_group_state(const wire::GroupState& in) {
  return {.name = text(in.name()),
          .kind = static_cast<GroupKind>(in.kind()),
          .epoch = in.epoch(),
          .members = in.members(),
          .settled = in.settled(),
          .redelivered = in.redelivered(),
          .dead = in.dead()};
}

// Lists inside a list may be one and the same in the envelope: what the copies add up to is held to
// what an honest envelope can carry.
class Budget {
 public:
  explicit Budget(std::size_t envelope_bytes) : left_(envelope_bytes / sizeof(std::int32_t)) {}
  Result<> take(std::size_t entries) {
    if (entries > left_) return malformed("more entries than the envelope can hold");
    left_ -= entries;
    return {};
  }

 private:
  std::size_t left_;
};

}  // namespace

// ---- requests ----

Result<Request> read(const wire::JoinGroup& in) {
  auto topics = strings(*in.topics());
  if (!topics) return fail(std::move(topics.error()));
  return JoinGroup{.group = text(in.group()),
                   .member = text(in.member()),
                   .kind = static_cast<GroupKind>(in.kind()),
                   .topics = std::move(*topics),
                   .session_timeout_ms = in.session_timeout_ms(),
                   .rebalance_timeout_ms = in.rebalance_timeout_ms(),
                   .client_name = text(in.client_name())};
}
Result<Request> read(const wire::SyncGroup& in) {
  auto owned = partition_refs(*in.owned());
  if (!owned) return fail(std::move(owned.error()));
  return SyncGroup{.group = text(in.group()),
                   .member = text(in.member()),
                   .epoch = in.epoch(),
                   .owned = std::move(*owned),
                   .max_wait_ms = in.max_wait_ms()};
}
Result<Request> read(const wire::LeaveGroup& in) {
  return LeaveGroup{.group = text(in.group()), .member = text(in.member())};
}
Result<Request> read(const wire::ListGroups&) {
  return ListGroups{};
}
Result<Request> read(const wire::DescribeGroup& in) {
  return DescribeGroup{.group = text(in.group())};
}
Result<Request> read(const wire::DeleteGroup& in) {
  return DeleteGroup{.group = text(in.group())};
}
Result<Request> read(const wire::Subscribe& in) {
  return Subscribe{.subscription = in.subscription(),
                   .partition = partition_ref(*in.partition()),
                   .offset = Offset(in.offset()),
                   .leader_epoch = in.leader_epoch(),
                   .records = in.records(),
                   .bytes = in.bytes(),
                   .max_bytes = in.max_bytes()};
}
Result<Request> read(const wire::Grant& in) {
  return Grant{.subscription = in.subscription(), .records = in.records(), .bytes = in.bytes()};
}
Result<Request> read(const wire::Unsubscribe& in) {
  return Unsubscribe{.subscription = in.subscription()};
}

// ---- replies ----

Result<Reply> read(const wire::GroupAssignment& in, std::size_t envelope_bytes) {
  if (auto ok = check_entries(in.topics()->size()); !ok) return fail(std::move(ok.error()));
  Budget budget(envelope_bytes);
  GroupAssignment out{.epoch = in.epoch(), .topics = {}};
  for (const wire::AssignedTopic* topic : *in.topics()) {
    if (auto ok = budget.take(topic->partitions()->size()); !ok) return fail(ok.error());
    out.topics.push_back({topic_id(*topic->id()),
                          text(topic->name()),
                          {topic->partitions()->begin(), topic->partitions()->end()}});
  }
  return out;
}
Result<Reply> read(const wire::LeaveGroupReply&) {
  return LeaveGroupReply{};
}
Result<Reply> read(const wire::ListGroupsReply& in, std::size_t) {
  if (auto ok = check_entries(in.groups()->size()); !ok) return fail(std::move(ok.error()));
  ListGroupsReply out;
  for (const wire::GroupState* group : *in.groups()) out.groups.push_back(read_group_state(*group));
  return out;
}
Result<Reply> read(const wire::DescribeGroupReply& in, std::size_t envelope_bytes) {
  if (auto ok = check_entries(in.members()->size()); !ok) return fail(std::move(ok.error()));
  if (auto ok = check_entries(in.partitions()->size()); !ok) return fail(std::move(ok.error()));
  Budget budget(envelope_bytes);
  DescribeGroupReply out{.group = read_group_state(*in.group()), .members = {}, .partitions = {}};
  for (const wire::GroupMember* member : *in.members()) {
    if (auto ok = budget.take(member->topics()->size()); !ok) return fail(ok.error());
    auto topics = strings(*member->topics());
    if (!topics) return fail(std::move(topics.error()));
    out.members.push_back({text(member->id()), text(member->client_name()), std::move(*topics)});
  }
  for (const wire::GroupPartition* entry : *in.partitions())
    out.partitions.push_back({.partition = partition_ref(*entry->partition()),
                              .topic = text(entry->topic()),
                              .member = text(entry->member()),
                              .committed = Offset(entry->committed()),
                              .log_start = Offset(entry->log_start()),
                              .high_watermark = Offset(entry->high_watermark()),
                              .done = entry->done(),
                              .leased = entry->leased(),
                              .waiting = entry->waiting()});
  return out;
}
Result<Reply> read(const wire::DeleteGroupReply&) {
  return DeleteGroupReply{};
}
Result<Reply> read(const wire::SubscribeReply& in) {
  return SubscribeReply{.log_start = Offset(in.log_start()),
                        .high_watermark = Offset(in.high_watermark())};
}
Result<Reply> read(const wire::UnsubscribeReply&) {
  return UnsubscribeReply{};
}
Result<Reply> read(const wire::Push& in) {
  return Push{.subscription = in.subscription(),
              .log_start = Offset(in.log_start()),
              .high_watermark = Offset(in.high_watermark()),
              .batches = {}};
}
Result<Reply> read(const wire::PushEnd& in) {
  if (in.code() == 0) return malformed("the end of a subscription without an error");
  return PushEnd{.subscription = in.subscription(),
                 .code = static_cast<ErrorCode>(in.code()),
                 .detail = text(in.detail())};
}

}  // namespace leat::native
