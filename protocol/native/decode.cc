// The reading half of codec.h.
#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "native_generated.h"
#include "protocol/native/codec.h"

namespace leat::native {
namespace {

constexpr flatbuffers::uoffset_t kMaxDepth = 8;
constexpr std::size_t kMaxTables = 32'768;
constexpr std::size_t kMinTableBytes = 4;
constexpr auto kFirstReply = static_cast<std::uint8_t>(128);

tl::unexpected<Error> malformed(std::string what) {
  return fail(ErrorCode::kMalformedFrame, std::move(what));
}

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

std::string_view text(const flatbuffers::String* string) {
  return string == nullptr ? std::string_view() : std::string_view(string->c_str(), string->size());
}

TopicId topic_id(const wire::TopicId& id) {
  TopicId out;
  std::copy_n(id.bytes()->data(), out.bytes.size(), out.bytes.begin());
  return out;
}

PartitionRef partition_ref(const wire::PartitionRef& ref) {
  return {.topic = topic_id(ref.topic()), .partition = PartitionIndex(ref.partition())};
}

// The verifier does not look at the alignment of a vector's elements, so they are copied out.
template <class Struct>
Struct element(const flatbuffers::Vector<const Struct*>& vector, flatbuffers::uoffset_t i) {
  Struct out;
  std::memcpy(static_cast<void*>(&out), vector.Data() + i * sizeof(Struct), sizeof out);
  return out;
}

Result<> check_entries(std::size_t entries) {
  if (entries <= kMaxListEntries) return {};
  return malformed("a list of " + std::to_string(entries) + " entries, the limit is " +
                   std::to_string(kMaxListEntries));
}

CommittedOffset committed_offset(const wire::CommittedOffset& in) {
  const PartitionRef ref = partition_ref(*in.partition());
  return {.topic = ref.topic,
          .partition = ref.partition,
          .offset = Offset(in.offset()),
          .metadata = text(in.metadata())};
}

using CommittedOffsets = flatbuffers::Vector<flatbuffers::Offset<wire::CommittedOffset>>;

Result<std::vector<CommittedOffset>> committed_offsets(const CommittedOffsets& in) {
  if (auto ok = check_entries(in.size()); !ok) return fail(std::move(ok.error()));
  std::vector<CommittedOffset> out;
  out.reserve(in.size());
  for (const wire::CommittedOffset* entry : in) out.push_back(committed_offset(*entry));
  return out;
}

Result<TopicState> topic_state(const wire::TopicState& in) {
  const auto& partitions = *in.partitions();
  if (auto ok = check_entries(partitions.size()); !ok) return fail(std::move(ok.error()));
  TopicState out{.id = topic_id(*in.id()),
                 .name = text(in.name()),
                 .created_ms = in.created_ms(),
                 .partitions = {}};
  out.partitions.reserve(partitions.size());
  for (flatbuffers::uoffset_t i = 0; i < partitions.size(); ++i) {
    const auto state = element(partitions, i);
    out.partitions.push_back(
        {.log_start = Offset(state.log_start()), .high_watermark = Offset(state.high_watermark())});
  }
  return out;
}

// ---- requests ----

Result<Request> read(const wire::Hello& in) {
  return Hello{.min_version = in.min_version(),
               .max_version = in.max_version(),
               .client_name = text(in.client_name())};
}
Result<Request> read(const wire::Ping&) {
  return Ping{};
}
Result<Request> read(const wire::CreateTopic& in) {
  return CreateTopic{
      .name = text(in.name()), .partitions = in.partitions(), .if_not_exists = in.if_not_exists()};
}
Result<Request> read(const wire::DeleteTopic& in) {
  return DeleteTopic{.name = text(in.name())};
}
Result<Request> read(const wire::ListTopics&) {
  return ListTopics{};
}
Result<Request> read(const wire::DescribeTopic& in) {
  return DescribeTopic{.name = text(in.name()), .auto_create = in.auto_create()};
}
Result<Request> read(const wire::Produce& in) {
  const PartitionRef ref = partition_ref(*in.partition());
  return Produce{.topic = ref.topic, .partition = ref.partition, .batch = {}};
}
Result<Request> read(const wire::Fetch& in) {
  const PartitionRef ref = partition_ref(*in.partition());
  return Fetch{.topic = ref.topic,
               .partition = ref.partition,
               .offset = Offset(in.offset()),
               .max_bytes = in.max_bytes(),
               .max_wait_ms = in.max_wait_ms()};
}
Result<Request> read(const wire::CommitOffsets& in) {
  auto offsets = committed_offsets(*in.offsets());
  if (!offsets) return fail(std::move(offsets.error()));
  return CommitOffsets{.group = text(in.group()), .offsets = std::move(*offsets)};
}
Result<Request> read(const wire::FetchOffsets& in) {
  const auto& partitions = *in.partitions();
  if (auto ok = check_entries(partitions.size()); !ok) return fail(std::move(ok.error()));
  FetchOffsets out{.group = text(in.group()), .partitions = {}};
  out.partitions.reserve(partitions.size());
  for (flatbuffers::uoffset_t i = 0; i < partitions.size(); ++i)
    out.partitions.push_back(partition_ref(element(partitions, i)));
  return out;
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
Result<Reply> read(const wire::TopicReply& in) {
  auto topic = topic_state(*in.topic());
  if (!topic) return fail(std::move(topic.error()));
  return TopicReply{.topic = std::move(*topic)};
}
Result<Reply> read(const wire::DeleteTopicReply&) {
  return DeleteTopicReply{};
}
Result<Reply> read(const wire::ProduceReply& in) {
  return ProduceReply{.base_offset = Offset(in.base_offset())};
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

// Offsets in a FlatBuffer may point at the same list again and again; what the copies add up to is
// held to what an honest envelope of this size can carry.
Result<Reply> read_topics(const wire::TopicsReply& in, std::size_t envelope_bytes) {
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
      return read_topics(*envelope.body_as_TopicsReply(), envelope_bytes);
    case Message::ProduceReply:
      return read(*envelope.body_as_ProduceReply());
    case Message::FetchReply:
      return read(*envelope.body_as_FetchReply());
    case Message::CommitOffsetsReply:
      return read(*envelope.body_as_CommitOffsetsReply());
    case Message::FetchOffsetsReply:
      return read(*envelope.body_as_FetchOffsetsReply());
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
  auto* fetch = std::get_if<FetchReply>(&reply);
  return fetch == nullptr ? nullptr : &fetch->batches;
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
