// The writing half of codec.h.
#include <algorithm>
#include <array>
#include <limits>

#include "protocol/base/assert.h"
#include "protocol/native/codec.h"
#include "protocol/native/encode_parts.h"

namespace leat::native {
namespace {

// Nearly every envelope fits into the first kilobyte, which needs no allocation.
class EnvelopeAllocator final : public flatbuffers::Allocator {
 public:
  static constexpr std::size_t kFirstBytes = 1024;

  std::uint8_t* allocate(std::size_t size) override {
    if (first_taken_ || size > kFirstBytes) return new std::uint8_t[size];
    first_taken_ = true;
    return first_.data();
  }
  void deallocate(std::uint8_t* p, std::size_t) override {
    if (p == first_.data())
      first_taken_ = false;
    else
      delete[] p;
  }

 private:
  alignas(kFrameAlignment) std::array<std::uint8_t, kFirstBytes> first_;
  bool first_taken_ = false;
};

auto committed_offsets(FlatBufferBuilder& to, const std::vector<CommittedOffset>& offsets) {
  std::vector<flatbuffers::Offset<wire::CommittedOffset>> entries;
  entries.reserve(offsets.size());
  for (const CommittedOffset& entry : offsets) {
    const auto metadata = optional_string(to, entry.metadata);
    const auto partition = partition_ref(entry.topic, entry.partition);
    entries.push_back(wire::CreateCommittedOffset(to, &partition, entry.offset.value, metadata,
                                                  entry.leader_epoch));
  }
  return to.CreateVector(entries);
}

// To the builder of TopicState, CreateTopic or ConfigureTopic.
template <class Builder>
void add_config(Builder& table, const TopicConfig& config) {
  table.add_durability(static_cast<std::uint8_t>(config.durability));
  table.add_interval_ms(static_cast<std::uint32_t>(config.interval.count()));
  table.add_cleanup(static_cast<std::uint8_t>(config.cleanup));
  table.add_on_full(static_cast<std::uint8_t>(config.on_full));
  table.add_retention_ms(config.retention.time.count());
  table.add_retention_bytes(config.retention.bytes);
  table.add_retention_records(config.retention.records);
  table.add_ttl_ms(config.ttl.count());
  table.add_dedup_window_ms(config.dedup.time.count());
  table.add_dedup_ids(config.dedup.ids);
  table.add_timestamps(static_cast<std::uint8_t>(config.timestamps));
  table.add_max_batch_bytes(config.max_batch_bytes);
}

auto topic_state(FlatBufferBuilder& to, const TopicState& topic) {
  std::vector<wire::PartitionState> states;
  states.reserve(topic.partitions.size());
  for (const PartitionState& state : topic.partitions)
    states.emplace_back(state.log_start.value, state.high_watermark.value);
  const auto partitions = to.CreateVectorOfStructs(states);
  const auto name = string(to, topic.name);
  const auto id = topic_id(topic.id);
  wire::TopicStateBuilder state(to);
  state.add_id(&id);
  state.add_name(name);
  state.add_created_ms(topic.created_ms);
  state.add_partitions(partitions);
  add_config(state, topic.config);
  return state.Finish();
}

wire::SourcePosition source_position(const SourcePosition& position) {
  return wire::SourcePosition(position.high, position.low);
}

// ---- requests ----

Body write(FlatBufferBuilder& to, const Hello& in) {
  const auto name = optional_string(to, in.client_name);
  return body(wire::CreateHello(to, in.min_version, in.max_version, name));
}
Body write(FlatBufferBuilder& to, const Ping&) {
  return body(wire::CreatePing(to));
}
Body write(FlatBufferBuilder& to, const CreateTopic& in) {
  const auto name = string(to, in.name);
  wire::CreateTopicBuilder topic(to);
  topic.add_name(name);
  topic.add_partitions(in.partitions);
  topic.add_if_not_exists(in.if_not_exists);
  add_config(topic, in.config);
  return body(topic.Finish());
}
Body write(FlatBufferBuilder& to, const DeleteTopic& in) {
  return body(wire::CreateDeleteTopic(to, string(to, in.name)));
}
Body write(FlatBufferBuilder& to, const Reset&) {
  return body(wire::CreateReset(to));
}
Body write(FlatBufferBuilder& to, const AddPartitions& in) {
  return body(wire::CreateAddPartitions(to, string(to, in.name), in.partitions));
}
Body write(FlatBufferBuilder& to, const CreateSnapshot& in) {
  return body(wire::CreateCreateSnapshot(to, string(to, in.name)));
}
Body write(FlatBufferBuilder& to, const ListTopics&) {
  return body(wire::CreateListTopics(to));
}
Body write(FlatBufferBuilder& to, const DescribeTopic& in) {
  return body(wire::CreateDescribeTopic(to, string(to, in.name), in.auto_create));
}
Body write(FlatBufferBuilder& to, const Produce& in) {
  const auto partition = partition_ref(in.topic, in.partition);
  if (!in.source) return body(wire::CreateProduce(to, &partition));
  const auto from = source_position(in.source->from), end = source_position(in.source->to);
  return body(wire::CreateProduce(to, &partition, string(to, in.source->source), &from, &end));
}
Body write(FlatBufferBuilder& to, const SourcePositions& in) {
  const auto topic = topic_id(in.topic);
  return body(wire::CreateSourcePositions(to, &topic, string(to, in.source)));
}
Body write(FlatBufferBuilder& to, const Fetch& in) {
  const auto partition = partition_ref(in.topic, in.partition);
  return body(wire::CreateFetch(to, &partition, in.offset.value, in.max_bytes, in.max_wait_ms,
                                in.leader_epoch));
}
Body write(FlatBufferBuilder& to, const CommitOffsets& in) {
  const auto offsets = committed_offsets(to, in.offsets);
  const auto member = optional_string(to, in.member);
  return body(wire::CreateCommitOffsets(to, string(to, in.group), offsets, member, in.epoch));
}
Body write(FlatBufferBuilder& to, const FetchOffsets& in) {
  const auto partitions = partition_refs(to, in.partitions);
  return body(wire::CreateFetchOffsets(to, string(to, in.group), partitions));
}
Body write(FlatBufferBuilder& to, const InitProducer& in) {
  return body(wire::CreateInitProducer(to, in.producer_id, in.epoch));
}
Body write(FlatBufferBuilder& to, const FindOffset& in) {
  const auto partition = partition_ref(in.partition.topic, in.partition.partition);
  return body(wire::CreateFindOffset(to, &partition, in.timestamp_ms));
}

Body write(FlatBufferBuilder& to, const ConfigureTopic& in) {
  const auto name = string(to, in.name);
  wire::ConfigureTopicBuilder topic(to);
  topic.add_name(name);
  add_config(topic, in.config);
  return body(topic.Finish());
}
Body write(FlatBufferBuilder& to, const DeleteRecords& in) {
  const auto partition = partition_ref(in.partition.topic, in.partition.partition);
  return body(wire::CreateDeleteRecords(to, &partition, in.before.value));
}

// ---- replies ----

Body write(FlatBufferBuilder& to, const ErrorReply& in) {
  const auto detail = optional_string(to, in.detail);
  return body(wire::CreateErrorReply(to, static_cast<std::uint16_t>(in.code), detail));
}
Body write(FlatBufferBuilder& to, const HelloReply& in) {
  const auto name = optional_string(to, in.server_name);
  return body(wire::CreateHelloReply(to, in.version, name, in.max_envelope_bytes,
                                     in.max_payload_bytes, in.max_batch_bytes));
}
Body write(FlatBufferBuilder& to, const Pong&) {
  return body(wire::CreatePong(to));
}
Body write(FlatBufferBuilder& to, const TopicReply& in) {
  return body(wire::CreateTopicReply(to, topic_state(to, in.topic)));
}
Body write(FlatBufferBuilder& to, const DeleteTopicReply&) {
  return body(wire::CreateDeleteTopicReply(to));
}
Body write(FlatBufferBuilder& to, const ResetReply&) {
  return body(wire::CreateResetReply(to));
}

Body write(FlatBufferBuilder& to, const SnapshotReply& in) {
  return body(wire::CreateSnapshotReply(to, string(to, in.path)));
}
Body write(FlatBufferBuilder& to, const TopicsReply& in) {
  std::vector<flatbuffers::Offset<wire::TopicState>> topics;
  topics.reserve(in.topics.size());
  for (const TopicState& topic : in.topics) topics.push_back(topic_state(to, topic));
  return body(wire::CreateTopicsReply(to, to.CreateVector(topics)));
}
Body write(FlatBufferBuilder& to, const ProduceReply& in) {
  flatbuffers::Offset<flatbuffers::Vector<const wire::KnownRecords*>> known;  // none: absent
  if (!in.known.empty()) {
    std::vector<wire::KnownRecords> ranges;
    ranges.reserve(in.known.size());
    for (const KnownRecords& range : in.known)
      ranges.emplace_back(range.index, range.records, range.offset.value);
    known = to.CreateVectorOfStructs(ranges);
  }
  return body(wire::CreateProduceReply(
      to, in.base_offset.value, static_cast<std::uint8_t>(in.durability), in.duplicate, known));
}
Body write(FlatBufferBuilder& to, const SourcePositionsReply& in) {
  std::vector<wire::SourcePosition> positions;
  positions.reserve(in.positions.size());
  for (const SourcePosition& position : in.positions)
    positions.push_back(source_position(position));
  return body(wire::CreateSourcePositionsReply(to, to.CreateVectorOfStructs(positions),
                                               static_cast<std::uint8_t>(in.durability)));
}
Body write(FlatBufferBuilder& to, const FetchReply& in) {
  return body(wire::CreateFetchReply(to, in.log_start.value, in.high_watermark.value));
}
Body write(FlatBufferBuilder& to, const CommitOffsetsReply&) {
  return body(wire::CreateCommitOffsetsReply(to));
}
Body write(FlatBufferBuilder& to, const FetchOffsetsReply& in) {
  return body(wire::CreateFetchOffsetsReply(to, committed_offsets(to, in.offsets)));
}

Body write(FlatBufferBuilder& to, const InitProducerReply& in) {
  return body(wire::CreateInitProducerReply(to, in.producer_id, in.epoch));
}
Body write(FlatBufferBuilder& to, const FindOffsetReply& in) {
  return body(wire::CreateFindOffsetReply(to, in.offset.value, in.timestamp_ms));
}
Body write(FlatBufferBuilder& to, const DeleteRecordsReply& in) {
  return body(wire::CreateDeleteRecordsReply(to, in.log_start.value));
}

// ---- frames ----

const Bytes* payload_of(const Request& request) {
  const auto* produce = std::get_if<Produce>(&request);
  return produce == nullptr ? nullptr : &produce->batch;
}
const Bytes* payload_of(const Reply& reply) {
  if (const auto* fetch = std::get_if<FetchReply>(&reply)) return &fetch->batches;
  if (const auto* push = std::get_if<Push>(&reply)) return &push->batches;
  if (const auto* delivery = std::get_if<Delivery>(&reply)) return &delivery->batches;
  return nullptr;
}

void append_head(Bytes envelope, std::size_t payload_bytes, std::vector<std::byte>& out) {
  LEAT_ASSERT(payload_bytes <= std::numeric_limits<std::uint32_t>::max());
  const FrameHeader header{.envelope_bytes = static_cast<std::uint32_t>(envelope.size()),
                           .payload_bytes = static_cast<std::uint32_t>(payload_bytes)};
  const std::size_t at = out.size();
  out.resize(at + header.payload_at());  // zeros, so padding too
  write_frame_header(std::span<std::byte, kFrameHeaderBytes>(out.data() + at, kFrameHeaderBytes),
                     header);
  std::memcpy(out.data() + at + kFrameHeaderBytes, envelope.data(), envelope.size());
}

template <class Message>
void write_head(CorrelationId correlation, const Message& message, std::size_t payload_bytes,
                std::vector<std::byte>& out) {
  LEAT_ASSERT(payload_bytes == 0 || payload_of(message) != nullptr);
  EnvelopeAllocator allocator;
  FlatBufferBuilder builder(EnvelopeAllocator::kFirstBytes, &allocator);
  const Body written =
      std::visit([&](const auto& alternative) { return write(builder, alternative); }, message);
  builder.Finish(wire::CreateEnvelope(builder, correlation.value, written.type, written.table));
  append_head({reinterpret_cast<const std::byte*>(builder.GetBufferPointer()), builder.GetSize()},
              payload_bytes, out);
}

template <class Message>
void write_frame(CorrelationId correlation, const Message& message, std::vector<std::byte>& out) {
  const Bytes* const place = payload_of(message);
  const Bytes payload = place == nullptr ? Bytes() : *place;
  write_head(correlation, message, payload.size(), out);
  const std::size_t padding = payload_padding(payload.size());
  const std::size_t whole = out.size() + payload.size() + padding;
  // Once for both, or the padding would double a large frame; and never less than twice.
  if (whole > out.capacity()) out.reserve(std::max(whole, out.size() * 2));
  out.insert(out.end(), payload.begin(), payload.end());
  out.resize(out.size() + padding);
}

}  // namespace

void encode(CorrelationId correlation, const Request& request, std::vector<std::byte>& out) {
  write_frame(correlation, request, out);
}
void encode(CorrelationId correlation, const Reply& reply, std::vector<std::byte>& out) {
  write_frame(correlation, reply, out);
}
void encode_head(CorrelationId correlation, const Request& request, std::size_t payload_bytes,
                 std::vector<std::byte>& out) {
  write_head(correlation, request, payload_bytes, out);
}
void encode_head(CorrelationId correlation, const Reply& reply, std::size_t payload_bytes,
                 std::vector<std::byte>& out) {
  write_head(correlation, reply, payload_bytes, out);
}

}  // namespace leat::native
