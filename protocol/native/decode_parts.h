// What the files of the decoder share.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "native_generated.h"
#include "protocol/native/codec.h"

namespace leat::native {

inline tl::unexpected<Error> malformed(std::string what) {
  return fail(ErrorCode::kMalformedFrame, std::move(what));
}

inline std::string_view text(const flatbuffers::String* string) {
  return string == nullptr ? std::string_view() : std::string_view(string->c_str(), string->size());
}

inline TopicId topic_id(const wire::TopicId& id) {
  TopicId out;
  std::copy_n(id.bytes()->data(), out.bytes.size(), out.bytes.begin());
  return out;
}

inline PartitionRef partition_ref(const wire::PartitionRef& ref) {
  return {.topic = topic_id(ref.topic()), .partition = PartitionIndex(ref.partition())};
}

// The verifier does not look at the alignment of a vector's elements, so they are copied out.
template <class Struct>
Struct element(const flatbuffers::Vector<const Struct*>& vector, flatbuffers::uoffset_t i) {
  Struct out;
  std::memcpy(static_cast<void*>(&out), vector.Data() + i * sizeof(Struct), sizeof out);
  return out;
}

inline Result<> check_entries(std::size_t entries) {
  if (entries <= kMaxListEntries) return {};
  return malformed("a list of " + std::to_string(entries) + " entries, the limit is " +
                   std::to_string(kMaxListEntries));
}

inline Result<std::vector<PartitionRef>> partition_refs(
    const flatbuffers::Vector<const wire::PartitionRef*>& in) {
  if (auto ok = check_entries(in.size()); !ok) return fail(std::move(ok.error()));
  std::vector<PartitionRef> out;
  out.reserve(in.size());
  for (flatbuffers::uoffset_t i = 0; i < in.size(); ++i)
    out.push_back(partition_ref(element(in, i)));
  return out;
}

inline Result<std::vector<std::string_view>> strings(
    const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>& in) {
  if (auto ok = check_entries(in.size()); !ok) return fail(std::move(ok.error()));
  std::vector<std::string_view> out;
  out.reserve(in.size());
  for (const flatbuffers::String* entry : in) out.push_back(text(entry));
  return out;
}

// Batches, and what became of them: decode_produce.cc.
Result<Request> read(const wire::Produce& in);
Result<Request> read(const wire::SourcePositions& in);
Result<Reply> read(const wire::SourcePositionsReply& in);
Result<Reply> read(const wire::ProduceReply& in);

// Topics: decode_topics.cc. `envelope_bytes` as below.
Result<Request> read(const wire::CreateTopic& in);
Result<Request> read(const wire::DeleteTopic& in);
Result<Request> read(const wire::AddPartitions& in);
Result<Request> read(const wire::ListTopics& in);
Result<Request> read(const wire::DescribeTopic& in);
Result<Request> read(const wire::ConfigureTopic& in);
Result<Request> read(const wire::DeleteRecords& in);
Result<Reply> read(const wire::TopicReply& in);
Result<Reply> read(const wire::DeleteTopicReply& in);
Result<Reply> read(const wire::DeleteRecordsReply& in);
Result<Reply> read(const wire::TopicsReply& in, std::size_t envelope_bytes);

// Groups and push: decode_groups.cc. `envelope_bytes` bounds what lists inside lists may add up to.
Result<Request> read(const wire::JoinGroup& in);
Result<Request> read(const wire::SyncGroup& in);
Result<Request> read(const wire::LeaveGroup& in);
Result<Request> read(const wire::ListGroups& in);
Result<Request> read(const wire::DescribeGroup& in);
Result<Request> read(const wire::DeleteGroup& in);
Result<Request> read(const wire::Subscribe& in);
Result<Request> read(const wire::Grant& in);
Result<Request> read(const wire::Unsubscribe& in);
Result<Reply> read(const wire::GroupAssignment& in, std::size_t envelope_bytes);
Result<Reply> read(const wire::LeaveGroupReply& in);
Result<Reply> read(const wire::ListGroupsReply& in, std::size_t envelope_bytes);
Result<Reply> read(const wire::DescribeGroupReply& in, std::size_t envelope_bytes);
Result<Reply> read(const wire::DeleteGroupReply& in);
Result<Reply> read(const wire::SubscribeReply& in);
Result<Reply> read(const wire::UnsubscribeReply& in);
Result<Reply> read(const wire::Push& in);
Result<Reply> read(const wire::PushEnd& in);

// Delivery with acknowledgements: decode_deliveries.cc.
Result<Request> read(const wire::Attach& in);
Result<Request> read(const wire::Settle& in);
Result<Reply> read(const wire::AttachReply& in);
Result<Reply> read(const wire::SettleReply& in);
Result<Reply> read(const wire::Delivery& in);

}  // namespace leat::native
