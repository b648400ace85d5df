#include "server/session/native_replies.h"

#include "protocol/native/codec.h"

namespace leat::session {
namespace {

native::PartitionState state_of(const storage::PartitionBounds& bounds) {
  return {bounds.log_start, bounds.high_watermark};
}

native::TopicState state_of(const broker::TopicDescription& topic) {
  native::TopicState state{
      topic.id, topic.name, topic.created.time_since_epoch().count(), {}, topic.config};
  for (const auto& bounds : topic.partitions) state.partitions.push_back(state_of(bounds));
  return state;
}

native::GroupState state_of(const broker::GroupSummary& group) {
  return {group.name,    group.kind,        group.epoch, static_cast<std::uint32_t>(group.members),
          group.settled, group.redelivered, group.dead};
}

struct ToNative {
  native::Reply operator()(const Error& error) const {
    return native::ErrorReply{error.code, error.detail};
  }
  native::Reply operator()(const broker::TopicDescription& topic) const {
    return native::TopicReply{state_of(topic)};
  }
  native::Reply operator()(const std::vector<broker::TopicDescription>& topics) const {
    native::TopicsReply all;
    for (const auto& topic : topics) all.topics.push_back(state_of(topic));
    return all;
  }
  native::Reply operator()(const broker::TopicDeleted&) const { return native::DeleteTopicReply{}; }
  native::Reply operator()(const broker::RecordsDeleted& deleted) const {
    return native::DeleteRecordsReply{deleted.log_start};
  }
  native::Reply operator()(const broker::BrokerReset&) const { return native::ResetReply{}; }
  native::Reply operator()(const broker::SnapshotMade& snapshot) const {
    return native::SnapshotReply{snapshot.path};
  }
  native::Reply operator()(const broker::Produced& produced) const {
    native::ProduceReply reply{produced.base, produced.durability, produced.duplicate, {}};
    reply.known.reserve(produced.known.size());
    for (const broker::KnownRecords& range : produced.known)
      reply.known.push_back({range.index, range.records, range.offset});
    return reply;
  }
  native::Reply operator()(const broker::SourcePositions& positions) const {
    return native::SourcePositionsReply{positions.partitions, positions.durability};
  }
  native::Reply operator()(const broker::Fetched& fetched) const {
    const broker::FetchedPartition& one = fetched.partitions.front();
    if (one.error) return (*this)(*one.error);
    return native::FetchReply{one.bounds.log_start, one.bounds.high_watermark, {}};
  }
  native::Reply operator()(const broker::OffsetFound& found) const {
    return native::FindOffsetReply{found.offset, found.timestamp_ms};
  }
  // Nothing in the native protocol asks for it.
  native::Reply operator()(const broker::EpochEnd&) const {
    return native::ErrorReply{ErrorCode::kInternal, {}};
  }
  native::Reply operator()(const broker::OffsetsCommitted&) const {
    return native::CommitOffsetsReply{};
  }
  native::Reply operator()(const broker::GroupOffsets& offsets) const {
    native::FetchOffsetsReply all;
    for (const auto& o : offsets.offsets)
      all.offsets.push_back({o.topic, o.partition, o.offset, o.metadata, o.epoch.value});
    return all;
  }
  native::Reply operator()(const storage::IssuedProducer& issued) const {
    return native::InitProducerReply{issued.id, issued.epoch};
  }
  native::Reply operator()(const broker::Assignment& assignment) const {
    native::GroupAssignment all{assignment.epoch, {}};
    for (const auto& topic : assignment.topics)
      all.topics.push_back({topic.id, topic.name, topic.partitions});
    return all;
  }
  native::Reply operator()(const broker::LeftGroup&) const { return native::LeaveGroupReply{}; }
  native::Reply operator()(const broker::GroupList& list) const {
    native::ListGroupsReply all;
    for (const auto& group : list.groups) all.groups.push_back(state_of(group));
    return all;
  }
  native::Reply operator()(const broker::GroupDescription& description) const {
    native::DescribeGroupReply all{state_of(description.group), {}, {}};
    for (const auto& member : description.members)
      all.members.push_back(
          {member.id, member.client_name, {member.topics.begin(), member.topics.end()}});
    for (const auto& row : description.partitions)
      all.partitions.push_back({{row.partition.topic, row.partition.partition},
                                row.topic,
                                row.member,
                                row.committed,
                                row.bounds.log_start,
                                row.bounds.high_watermark,
                                row.done,
                                row.leased,
                                row.waiting});
    return all;
  }
  native::Reply operator()(const broker::GroupDeleted&) const { return native::DeleteGroupReply{}; }
  // What is asked for in other protocols alone.
  template <class T>
  requires std::is_same_v<T, broker::ClassicIdGiven> || std::is_same_v<T, broker::ClassicJoined> ||
      std::is_same_v<T, broker::ClassicSynced> || std::is_same_v<T, broker::ClassicAlive> ||
      std::is_same_v<T, broker::ClassicLeft> || std::is_same_v<T, broker::PartitionResults> ||
      std::is_same_v<T, broker::NamedOffsets>
          native::Reply operator()(const T&) const {
    return native::ErrorReply{ErrorCode::kInternal, "a reply of another protocol"};
  }
  native::Reply operator()(const broker::Subscribed& subscribed) const {
    return native::SubscribeReply{subscribed.bounds.log_start, subscribed.bounds.high_watermark};
  }
  native::Reply operator()(const broker::Unsubscribed&) const { return native::UnsubscribeReply{}; }
  native::Reply operator()(const broker::Attached&) const { return native::AttachReply{}; }
  native::Reply operator()(const broker::Settled& settled) const {
    native::SettleReply all;
    for (const broker::Settlement& refused : settled.refused)
      all.refused.push_back(
          {{refused.partition.topic, refused.partition.partition},
           static_cast<native::Outcome>(refused.outcome),
           static_cast<std::uint32_t>(refused.delay.value_or(std::chrono::milliseconds(0)).count()),
           refused.range.first,
           refused.range.last,
           refused.delivery});
    return all;
  }
};

}  // namespace

native::Reply to_native(const broker::Reply& reply) {
  return std::visit(ToNative(), reply);
}

std::vector<std::byte> refusal_frame(const Error& why) {
  std::vector<std::byte> frame;
  native::encode(CorrelationId(0), native::ErrorReply{why.code, why.detail}, frame);
  return frame;
}

}  // namespace leat::session
