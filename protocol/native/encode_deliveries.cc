// The writing half of codec.h: delivery with acknowledgements.
#include "protocol/native/encode_parts.h"

namespace leat::native {
namespace {

auto settled(FlatBufferBuilder& to, const std::vector<SettledRange>& ranges) {
  std::vector<wire::SettledRange> all;
  all.reserve(ranges.size());
  for (const SettledRange& range : ranges)
    all.emplace_back(partition_ref(range.partition.topic, range.partition.partition),
                     static_cast<std::uint8_t>(range.outcome), range.delay_ms, range.first.value,
                     range.last.value, range.delivery);
  return to.CreateVectorOfStructs(all);
}

}  // namespace

// ---- requests ----

Body write(FlatBufferBuilder& to, const Attach& in) {
  const auto group = string(to, in.group);
  const auto topics = strings(to, in.topics);
  const auto client = optional_string(to, in.client_name);
  const auto dead_letter = optional_string(to, in.dead_letter);
  return body(wire::CreateAttach(to, in.subscription, group, static_cast<std::uint8_t>(in.kind),
                                 topics, client, in.records, in.bytes, in.max_bytes, in.latest,
                                 in.ack_timeout_ms, in.max_deliveries, dead_letter,
                                 in.min_backoff_ms, in.max_backoff_ms, in.dead_letter_expired));
}
Body write(FlatBufferBuilder& to, const Settle& in) {
  const auto ranges = settled(to, in.ranges);
  const auto reason = optional_string(to, in.reason);
  return body(wire::CreateSettle(to, in.subscription, ranges, reason));
}

// ---- replies ----

Body write(FlatBufferBuilder& to, const AttachReply&) {
  return body(wire::CreateAttachReply(to));
}
Body write(FlatBufferBuilder& to, const SettleReply& in) {
  return body(wire::CreateSettleReply(to, settled(to, in.refused)));
}
Body write(FlatBufferBuilder& to, const Delivery& in) {
  const auto topic = string(to, in.topic);
  std::vector<wire::DeliveredRange> ranges;
  ranges.reserve(in.ranges.size());
  for (const DeliveredRange& range : in.ranges)
    ranges.emplace_back(range.first.value, range.last.value, range.attempt);
  const auto delivered = to.CreateVectorOfStructs(ranges);
  const auto ref = partition_ref(in.partition.topic, in.partition.partition);
  return body(wire::CreateDelivery(to, in.subscription, &ref, topic, delivered, in.number));
}

}  // namespace leat::native
