// The reading half of codec.h: topics.
#include "protocol/native/decode_parts.h"

namespace leat::native {
namespace {

// Of TopicState, CreateTopic and ConfigureTopic. Numbers that mean nothing come through: whoever
// uses them checks (check_config).
template <class Table>
TopicConfig topic_config(const Table& in) {
  return {.durability = static_cast<Durability>(in.durability()),
          .interval = std::chrono::milliseconds(in.interval_ms()),
          .cleanup = static_cast<Cleanup>(in.cleanup()),
          .on_full = static_cast<OnFull>(in.on_full()),
          .retention = {.time = std::chrono::milliseconds(in.retention_ms()),
                        .bytes = in.retention_bytes(),
                        .records = in.retention_records()},
          .ttl = std::chrono::milliseconds(in.ttl_ms()),
          .dedup = {.time = std::chrono::milliseconds(in.dedup_window_ms()), .ids = in.dedup_ids()},
          .timestamps = static_cast<TimestampType>(in.timestamps()),
          .max_batch_bytes = in.max_batch_bytes()};
}

Result<TopicState> topic_state(const wire::TopicState& in) {
  const auto& partitions = *in.partitions();
  if (auto ok = check_entries(partitions.size()); !ok) return fail(std::move(ok.error()));
  TopicState out{.id = topic_id(*in.id()),
                 .name = text(in.name()),
                 .created_ms = in.created_ms(),
                 .partitions = {},
                 .config = topic_config(in)};
  out.partitions.reserve(partitions.size());
  for (flatbuffers::uoffset_t i = 0; i < partitions.size(); ++i) {
    const auto state = element(partitions, i);
    out.partitions.push_back(
        {.log_start = Offset(state.log_start()), .high_watermark = Offset(state.high_watermark())});
  }
  return out;
}

}  // namespace

Result<Request> read(const wire::CreateTopic& in) {
  return CreateTopic{.name = text(in.name()),
                     .partitions = in.partitions(),
                     .if_not_exists = in.if_not_exists(),
                     .config = topic_config(in)};
}
Result<Request> read(const wire::DeleteTopic& in) {
  return DeleteTopic{.name = text(in.name())};
}
Result<Request> read(const wire::AddPartitions& in) {
  return AddPartitions{.name = text(in.name()), .partitions = in.partitions()};
}
Result<Request> read(const wire::ListTopics&) {
  return ListTopics{};
}
Result<Request> read(const wire::DescribeTopic& in) {
  return DescribeTopic{.name = text(in.name()), .auto_create = in.auto_create()};
}
Result<Request> read(const wire::ConfigureTopic& in) {
  return ConfigureTopic{.name = text(in.name()), .config = topic_config(in)};
}
Result<Request> read(const wire::DeleteRecords& in) {
  return DeleteRecords{.partition = partition_ref(*in.partition()), .before = Offset(in.before())};
}

Result<Reply> read(const wire::TopicReply& in) {
  auto topic = topic_state(*in.topic());
  if (!topic) return fail(std::move(topic.error()));
  return TopicReply{.topic = std::move(*topic)};
}
Result<Reply> read(const wire::DeleteTopicReply&) {
  return DeleteTopicReply{};
}
Result<Reply> read(const wire::DeleteRecordsReply& in) {
  return DeleteRecordsReply{.log_start = Offset(in.log_start())};
}

// Offsets in a FlatBuffer may point at the same list again and again; what the copies add up to is
// held to what an honest envelope of this size can carry.
Result<Reply> read(const wire::TopicsReply& in, std::size_t envelope_bytes) {
  const auto& topics = *in.topics();
  if (auto ok = check_entries(topics.size()); !ok) return fail(std::move(ok.error()));
  TopicsReply out;
  out.topics.reserve(topics.size());
  std::size_t partitions = 0;
  for (const wire::TopicState* entry : topics) {
    partitions += entry->partitions()->size();
    if (partitions > envelope_bytes / sizeof(wire::PartitionState))
      return malformed("more partitions than the envelope can hold");
    auto topic = topic_state(*entry);
    if (!topic) return fail(std::move(topic.error()));
    out.topics.push_back(std::move(*topic));
  }
  return out;
}

}  // namespace leat::native
