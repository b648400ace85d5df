// The reading half of codec.h.
#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "protocol/native/codec.h"
#include "protocol/native/decode_parts.h"

namespace leat::native {
namespace {

constexpr flatbuffers::uoffset_t kMaxDepth = 8;
constexpr std::size_t kMaxTables = 32'768;
constexpr std::size_t kMinTableBytes = 4;
constexpr auto kFirstReply = static_cast<std::uint8_t>(128);

// The envelope's bytes on an 8-byte boundary.
Bytes aligned_bytes(Bytes envelope, AlignedEnvelope& aligned) {
  if (reinterpret_cast<std::uintptr_t>(envelope.data()) % kFrameAlignment == 0) return envelope;
  aligned.storage.resize(round_up(envelope.size(), kFrameAlignment) / kFrameAlignment);
  std::memcpy(aligned.storage.data(), envelope.data(), envelope.size());
  return {reinterpret_cast<const std::byte*>(aligned.storage.data()), envelope.size()};
}

Result<const wire::Envelope*> open(Bytes envelope, AlignedEnvelope& aligned) {
  const Bytes bytes = aligned_bytes(envelope, aligned);
  flatbuffers::Verifier::Options limits;
  limits.max_depth = kMaxDepth;
  limits.max_tables =
      static_cast<flatbuffers::uoffset_t>(std::min(kMaxTables, bytes.size() / kMinTableBytes + 1));
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  flatbuffers::Verifier verifier(data, bytes.size(), limits);
  if (!wire::VerifyEnvelopeBuffer(verifier))
    return malformed("the envelope is not a valid message of this protocol");
  return wire::GetEnvelope(data);
}

// ---- parts ----

CommittedOffset committed_offset(const wire::CommittedOffset& in) {
  const PartitionRef ref = partition_ref(*in.partition());
  return {.topic = ref.topic,
          .partition = ref.partition,
          .offset = Offset(in.offset()),
          .metadata = text(in.metadata()),
          .leader_epoch = in.leader_epoch()};
}

using CommittedOffsets = flatbuffers::Vector<flatbuffers::Offset<wire::CommittedOffset>>;

Result<std::vector<CommittedOffset>> committed_offsets(const CommittedOffsets& in) {
  if (auto ok = check_entries(in.size()); !ok) return fail(std::move(ok.error()));
  std::vector<CommittedOffset> out;
  out.reserve(in.size());
  for (const wire::CommittedOffset* entry : in) out.push_back(committed_offset(*entry));
  return out;
}

using native::read;  // topics, groups and push

// ---- requests ----

Result<Request> read(const wire::Hello& in) {
  return Hello{.min_version = in.min_version(),
               .max_version = in.max_version(),
               .client_name = text(in.client_name())};
}
Result<Request> read(const wire::Ping&) {
  return Ping{};
}
Result<Request> read(const wire::Fetch& in) {
  const PartitionRef ref = partition_ref(*in.partition());
  return Fetch{.topic = ref.topic,
               .partition = ref.partition,
               .offset = Offset(in.offset()),
               .max_bytes = in.max_bytes(),
               .max_wait_ms = in.max_wait_ms(),
               .leader_epoch = in.leader_epoch()};
}
Result<Request> read(const wire::InitProducer& in) {
  return InitProducer{.producer_id = in.producer_id(), .epoch = in.epoch()};
}
Result<Request> read(const wire::FindOffset& in) {
  return FindOffset{.partition = partition_ref(*in.partition()), .timestamp_ms = in.timestamp_ms()};
}
Result<Request> read(const wire::CommitOffsets& in) {
  auto offsets = committed_offsets(*in.offsets());
  if (!offsets) return fail(std::move(offsets.error()));
  return CommitOffsets{.group = text(in.group()),
                       .offsets = std::move(*offsets),
                       .member = text(in.member()),
                       .epoch = in.epoch()};
}
Result<Request> read(const wire::FetchOffsets& in) {
  auto partitions = partition_refs(*in.partitions());
  if (!partitions) return fail(std::move(partitions.error()));
  return FetchOffsets{.group = text(in.group()), .partitions = std::move(*partitions)};
}

Result<Request> read(const wire::CreateSnapshot& in) {
  return CreateSnapshot{.name = text(in.name())};
}

// ---- replies ----

Result<Reply> read(const wire::ErrorReply& in) {
  if (in.code() == 0) return malformed("an error reply without an error");
  return ErrorReply{.code = static_cast<ErrorCode>(in.code()), .detail = text(in.detail())};
}
Result<Reply> read(const wire::HelloReply& in) {
  return HelloReply{.version = in.version(),
                    .server_name = text(in.server_name()),
                    .max_envelope_bytes = in.max_envelope_bytes(),
                    .max_payload_bytes = in.max_payload_bytes(),
                    .max_batch_bytes = in.max_batch_bytes()};
}
Result<Reply> read(const wire::Pong&) {
  return Pong{};
}
Result<Reply> read(const wire::FetchReply& in) {
  return FetchReply{.log_start = Offset(in.log_start()),
                    .high_watermark = Offset(in.high_watermark()),
                    .batches = {}};
}
Result<Reply> read(const wire::CommitOffsetsReply&) {
  return CommitOffsetsReply{};
}
Result<Reply> read(const wire::FetchOffsetsReply& in) {
  auto offsets = committed_offsets(*in.offsets());
  if (!offsets) return fail(std::move(offsets.error()));
  return FetchOffsetsReply{.offsets = std::move(*offsets)};
}

Result<Reply> read(const wire::InitProducerReply& in) {
  return InitProducerReply{.producer_id = in.producer_id(), .epoch = in.epoch()};
}
Result<Reply> read(const wire::FindOffsetReply& in) {
  return FindOffsetReply{.offset = Offset(in.offset()), .timestamp_ms = in.timestamp_ms()};
}

Result<Reply> read(const wire::SnapshotReply& in) {
  return SnapshotReply{.path = text(in.path())};
}

// ---- dispatch ----

tl::unexpected<Error> unknown_message(wire::Message type) {
  return fail(
      ErrorCode::kUnsupportedRequest,
      "message " + std::to_string(static_cast<unsigned>(type)) + " is not known to this version");
}

Result<Request> read_request(const wire::Envelope& envelope) {
  using wire::Message;
  switch (envelope.body_type()) {
    case Message::Hello:
      return read(*envelope.body_as_Hello());
    case Message::Ping:
      return read(*envelope.body_as_Ping());
    case Message::CreateTopic:
      return read(*envelope.body_as_CreateTopic());
    case Message::DeleteTopic:
      return read(*envelope.body_as_DeleteTopic());
    case Message::ListTopics:
      return read(*envelope.body_as_ListTopics());
    case Message::DescribeTopic:
      return read(*envelope.body_as_DescribeTopic());
    case Message::Produce:
      return read(*envelope.body_as_Produce());
    case Message::Fetch:
      return read(*envelope.body_as_Fetch());
    case Message::CommitOffsets:
      return read(*envelope.body_as_CommitOffsets());
    case Message::FetchOffsets:
      return read(*envelope.body_as_FetchOffsets());
    case Message::InitProducer:
      return read(*envelope.body_as_InitProducer());
    case Message::FindOffset:
      return read(*envelope.body_as_FindOffset());
    case Message::JoinGroup:
      return read(*envelope.body_as_JoinGroup());
    case Message::SyncGroup:
      return read(*envelope.body_as_SyncGroup());
    case Message::LeaveGroup:
      return read(*envelope.body_as_LeaveGroup());
    case Message::ListGroups:
      return read(*envelope.body_as_ListGroups());
    case Message::DescribeGroup:
      return read(*envelope.body_as_DescribeGroup());
    case Message::DeleteGroup:
      return read(*envelope.body_as_DeleteGroup());
    case Message::Subscribe:
      return read(*envelope.body_as_Subscribe());
    case Message::Grant:
      return read(*envelope.body_as_Grant());
    case Message::Unsubscribe:
      return read(*envelope.body_as_Unsubscribe());
    case Message::AddPartitions:
      return read(*envelope.body_as_AddPartitions());
    case Message::ConfigureTopic:
      return read(*envelope.body_as_ConfigureTopic());
    case Message::DeleteRecords:
      return read(*envelope.body_as_DeleteRecords());
    case Message::SourcePositions:
      return read(*envelope.body_as_SourcePositions());
    case Message::Reset:
      return Reset{};
    case Message::CreateSnapshot:
      return read(*envelope.body_as_CreateSnapshot());
    case Message::Attach:
      return read(*envelope.body_as_Attach());
    case Message::Settle:
      return read(*envelope.body_as_Settle());
    default:
      return unknown_message(envelope.body_type());
  }
}

Result<Reply> read_reply(const wire::Envelope& envelope, std::size_t envelope_bytes) {
  using wire::Message;
  switch (envelope.body_type()) {
    case Message::ErrorReply:
      return read(*envelope.body_as_ErrorReply());
    case Message::HelloReply:
      return read(*envelope.body_as_HelloReply());
    case Message::Pong:
      return read(*envelope.body_as_Pong());
    case Message::TopicReply:
      return read(*envelope.body_as_TopicReply());
    case Message::DeleteTopicReply:
      return read(*envelope.body_as_DeleteTopicReply());
    case Message::TopicsReply:
      return read(*envelope.body_as_TopicsReply(), envelope_bytes);
    case Message::ProduceReply:
      return read(*envelope.body_as_ProduceReply());
    case Message::SourcePositionsReply:
      return read(*envelope.body_as_SourcePositionsReply());
    case Message::FetchReply:
      return read(*envelope.body_as_FetchReply());
    case Message::CommitOffsetsReply:
      return read(*envelope.body_as_CommitOffsetsReply());
    case Message::FetchOffsetsReply:
      return read(*envelope.body_as_FetchOffsetsReply());
    case Message::InitProducerReply:
      return read(*envelope.body_as_InitProducerReply());
    case Message::FindOffsetReply:
      return read(*envelope.body_as_FindOffsetReply());
    case Message::LeaveGroupReply:
      return read(*envelope.body_as_LeaveGroupReply());
    case Message::DeleteGroupReply:
      return read(*envelope.body_as_DeleteGroupReply());
    case Message::SubscribeReply:
      return read(*envelope.body_as_SubscribeReply());
    case Message::UnsubscribeReply:
      return read(*envelope.body_as_UnsubscribeReply());
    case Message::Push:
      return read(*envelope.body_as_Push());
    case Message::PushEnd:
      return read(*envelope.body_as_PushEnd());
    case Message::DeleteRecordsReply:
      return read(*envelope.body_as_DeleteRecordsReply());
    case Message::ResetReply:
      return ResetReply{};
    case Message::SnapshotReply:
      return read(*envelope.body_as_SnapshotReply());
    case Message::AttachReply:
      return read(*envelope.body_as_AttachReply());
    case Message::SettleReply:
      return read(*envelope.body_as_SettleReply());
    case Message::Delivery:
      return read(*envelope.body_as_Delivery());
    case Message::GroupAssignment:
      return read(*envelope.body_as_GroupAssignment(), envelope_bytes);
    case Message::ListGroupsReply:
      return read(*envelope.body_as_ListGroupsReply(), envelope_bytes);
    case Message::DescribeGroupReply:
      return read(*envelope.body_as_DescribeGroupReply(), envelope_bytes);
    default:
      return unknown_message(envelope.body_type());
  }
}

// Where the message takes the frame's payload; nullptr for the many that have none.
Bytes* payload_place(Request& request) {
  auto* produce = std::get_if<Produce>(&request);
  return produce == nullptr ? nullptr : &produce->batch;
}
Bytes* payload_place(Reply& reply) {
  if (auto* fetch = std::get_if<FetchReply>(&reply)) return &fetch->batches;
  if (auto* push = std::get_if<Push>(&reply)) return &push->batches;
  if (auto* delivery = std::get_if<Delivery>(&reply)) return &delivery->batches;
  return nullptr;
}

template <class Message>
Result<Decoded<Message>> finish(CorrelationId correlation, Result<Message> message, Bytes payload) {
  if (!message) return fail(std::move(message.error()));
  Bytes* const place = payload_place(*message);
  if (place != nullptr)
    *place = payload;
  else if (!payload.empty())
    return malformed("a payload behind a message that has none");
  return Result<Decoded<Message>>(tl::in_place, correlation, std::move(*message));
}

}  // namespace

Result<Decoded<Request>> decode_request(const FrameView& frame, AlignedEnvelope& aligned,
                                        CorrelationId& correlation_out) {
  correlation_out = CorrelationId(0);
  const auto opened = open(frame.envelope, aligned);
  if (!opened) return fail(opened.error());
  const wire::Envelope& envelope = **opened;
  correlation_out = CorrelationId(envelope.correlation());
  const auto type = static_cast<std::uint8_t>(envelope.body_type());
  if (type == 0) return malformed("an envelope without a message");
  if (type >= kFirstReply) return malformed("a reply where a request belongs");
  return finish(correlation_out, read_request(envelope), frame.payload);
}

Result<Decoded<Reply>> decode_reply(const FrameView& frame, AlignedEnvelope& aligned) {
  const auto opened = open(frame.envelope, aligned);
  if (!opened) return fail(opened.error());
  const wire::Envelope& envelope = **opened;
  const auto type = static_cast<std::uint8_t>(envelope.body_type());
  if (type == 0) return malformed("an envelope without a message");
  if (type < kFirstReply) return malformed("a request where a reply belongs");
  return finish(CorrelationId(envelope.correlation()), read_reply(envelope, frame.envelope.size()),
                frame.payload);
}

}  // namespace leat::native
