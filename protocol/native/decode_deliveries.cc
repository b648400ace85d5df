// The reading half of codec.h: delivery with acknowledgements.
#include "protocol/native/decode_parts.h"

namespace leat::native {
namespace {

Result<std::vector<SettledRange>> settled(
    const flatbuffers::Vector<const wire::SettledRange*>& in) {
  if (auto ok = check_entries(in.size()); !ok) return fail(std::move(ok.error()));
  std::vector<SettledRange> out;
  out.reserve(in.size());
  for (flatbuffers::uoffset_t i = 0; i < in.size(); ++i) {
    const wire::SettledRange range = element(in, i);
    out.push_back({.partition = partition_ref(range.partition()),
                   .outcome = static_cast<Outcome>(range.outcome()),
                   .delay_ms = range.delay_ms(),
                   .first = Offset(range.first()),
                   .last = Offset(range.last()),
                   .delivery = range.delivery()});
  }
  return out;
}

}  // namespace

// ---- requests ----

Result<Request> read(const wire::Attach& in) {
  auto topics = strings(*in.topics());
  if (!topics) return fail(std::move(topics.error()));
  return Attach{.subscription = in.subscription(),
                .group = text(in.group()),
                .kind = static_cast<GroupKind>(in.kind()),
                .topics = std::move(*topics),
                .client_name = text(in.client_name()),
                .records = in.records(),
                .bytes = in.bytes(),
                .max_bytes = in.max_bytes(),
                .latest = in.latest(),
                .ack_timeout_ms = in.ack_timeout_ms(),
                .max_deliveries = in.max_deliveries(),
                .dead_letter = text(in.dead_letter()),
                .min_backoff_ms = in.min_backoff_ms(),
                .max_backoff_ms = in.max_backoff_ms(),
                .dead_letter_expired = in.dead_letter_expired()};
}
Result<Request> read(const wire::Settle& in) {
  auto ranges = settled(*in.ranges());
  if (!ranges) return fail(std::move(ranges.error()));
  return Settle{
      .subscription = in.subscription(), .ranges = std::move(*ranges), .reason = text(in.reason())};
}

// ---- replies ----

Result<Reply> read(const wire::AttachReply&) {
  return AttachReply{};
}
Result<Reply> read(const wire::SettleReply& in) {
  auto refused = settled(*in.refused());
  if (!refused) return fail(std::move(refused.error()));
  return SettleReply{.refused = std::move(*refused)};
}
Result<Reply> read(const wire::Delivery& in) {
  if (auto ok = check_entries(in.ranges()->size()); !ok) return fail(std::move(ok.error()));
  Delivery out{.subscription = in.subscription(),
               .partition = partition_ref(*in.partition()),
               .topic = text(in.topic()),
               .ranges = {},
               .batches = {},
               .number = in.number()};
  out.ranges.reserve(in.ranges()->size());
  for (flatbuffers::uoffset_t i = 0; i < in.ranges()->size(); ++i) {
    const wire::DeliveredRange range = element(*in.ranges(), i);
    out.ranges.push_back({Offset(range.first()), Offset(range.last()), range.attempt()});
  }
  return out;
}

}  // namespace leat::native
