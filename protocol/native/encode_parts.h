// What the files of the encoder share.
#pragma once

#include <string_view>
#include <vector>

#include "native_generated.h"
#include "protocol/native/messages.h"

namespace leat::native {

using flatbuffers::FlatBufferBuilder;

// A message as the envelope's union wants it.
struct Body {
  wire::Message type;
  flatbuffers::Offset<void> table;
};

template <class Table>
Body body(flatbuffers::Offset<Table> table) {
  return {wire::MessageTraits<Table>::enum_value, table.Union()};
}

inline flatbuffers::Offset<flatbuffers::String> string(FlatBufferBuilder& to,
                                                       std::string_view text) {
  return to.CreateString(text.data(), text.size());
}

// Left out when empty.
inline flatbuffers::Offset<flatbuffers::String> optional_string(FlatBufferBuilder& to,
                                                                std::string_view text) {
  if (text.empty()) return 0;
  return string(to, text);
}

inline wire::TopicId topic_id(const TopicId& id) {
  return wire::TopicId(flatbuffers::span<const std::uint8_t, 16>(id.bytes));
}

inline wire::PartitionRef partition_ref(const TopicId& topic, PartitionIndex partition) {
  return wire::PartitionRef(topic_id(topic), partition.value);
}

inline auto partition_refs(FlatBufferBuilder& to, const std::vector<PartitionRef>& partitions) {
  std::vector<wire::PartitionRef> refs;
  refs.reserve(partitions.size());
  for (const PartitionRef& ref : partitions)
    refs.push_back(partition_ref(ref.topic, ref.partition));
  return to.CreateVectorOfStructs(refs);
}

inline auto strings(FlatBufferBuilder& to, const std::vector<std::string_view>& texts) {
  std::vector<flatbuffers::Offset<flatbuffers::String>> all;
  all.reserve(texts.size());
  for (const std::string_view text : texts) all.push_back(string(to, text));
  return to.CreateVector(all);
}

// Groups and push: encode_groups.cc.
Body write(FlatBufferBuilder& to, const JoinGroup& in);
Body write(FlatBufferBuilder& to, const SyncGroup& in);
Body write(FlatBufferBuilder& to, const LeaveGroup& in);
Body write(FlatBufferBuilder& to, const ListGroups& in);
Body write(FlatBufferBuilder& to, const DescribeGroup& in);
Body write(FlatBufferBuilder& to, const DeleteGroup& in);
Body write(FlatBufferBuilder& to, const Subscribe& in);
Body write(FlatBufferBuilder& to, const Grant& in);
Body write(FlatBufferBuilder& to, const Unsubscribe& in);
Body write(FlatBufferBuilder& to, const GroupAssignment& in);
Body write(FlatBufferBuilder& to, const LeaveGroupReply& in);
Body write(FlatBufferBuilder& to, const ListGroupsReply& in);
Body write(FlatBufferBuilder& to, const DescribeGroupReply& in);
Body write(FlatBufferBuilder& to, const DeleteGroupReply& in);
Body write(FlatBufferBuilder& to, const SubscribeReply& in);
Body write(FlatBufferBuilder& to, const UnsubscribeReply& in);
Body write(FlatBufferBuilder& to, const Push& in);
Body write(FlatBufferBuilder& to, const PushEnd& in);

// Delivery with acknowledgements: encode_deliveries.cc.
Body write(FlatBufferBuilder& to, const Attach& in);
Body write(FlatBufferBuilder& to, const Settle& in);
Body write(FlatBufferBuilder& to, const AttachReply& in);
Body write(FlatBufferBuilder& to, const SettleReply& in);
Body write(FlatBufferBuilder& to, const Delivery& in);

}  // namespace leat::native
