// The reading half of codec.h: batches, and what became of them.
#include "protocol/native/decode_parts.h"
#include "protocol/record_extras.h"

namespace leat::native {
namespace {

// Rising and apart, within a batch; the list is no longer than there may be ids.
Result<std::vector<KnownRecords>> known_records(
    const flatbuffers::Vector<const wire::KnownRecords*>& in) {
  if (in.size() > kMaxIdsInBatch)
    return malformed(std::to_string(in.size()) + " ranges of known records, the limit is " +
                     std::to_string(kMaxIdsInBatch));
  std::vector<KnownRecords> out;
  out.reserve(in.size());
  std::uint64_t end = 0;
  for (flatbuffers::uoffset_t i = 0; i < in.size(); ++i) {
    const wire::KnownRecords range = element(in, i);
    if (range.records() == 0 || range.index() < end || range.offset() < 0)
      return malformed("known records " + std::to_string(range.index()) + " and " +
                       std::to_string(range.records()) + " more, at " +
                       std::to_string(range.offset()));
    end = std::uint64_t{range.index()} + range.records();
    out.push_back({range.index(), range.records(), Offset(range.offset())});
  }
  return out;
}

// Copied out: where it lies need not be aligned.
SourcePosition source_position(const wire::SourcePosition* in) {
  wire::SourcePosition copy;
  if (in != nullptr) std::memcpy(static_cast<void*>(&copy), in, sizeof copy);
  return {copy.high(), copy.low()};
}

}  // namespace

Result<Request> read(const wire::Produce& in) {
  const PartitionRef ref = partition_ref(*in.partition());
  Produce out{.topic = ref.topic, .partition = ref.partition, .batch = {}};
  if (in.source() != nullptr)
    out.source = {text(in.source()), source_position(in.source_from()),
                  source_position(in.source_to())};
  else if (in.source_from() != nullptr || in.source_to() != nullptr)
    return malformed("positions of a source without its name");
  return out;
}

Result<Request> read(const wire::SourcePositions& in) {
  return SourcePositions{.topic = topic_id(*in.topic()), .source = text(in.source())};
}

Result<Reply> read(const wire::SourcePositionsReply& in) {
  const auto& positions = *in.positions();
  if (auto ok = check_entries(positions.size()); !ok) return fail(std::move(ok.error()));
  SourcePositionsReply out{.positions = {}, .durability = static_cast<Durability>(in.durability())};
  out.positions.reserve(positions.size());
  for (flatbuffers::uoffset_t i = 0; i < positions.size(); ++i) {
    const wire::SourcePosition position = element(positions, i);
    out.positions.push_back({position.high(), position.low()});
  }
  return out;
}

Result<Reply> read(const wire::ProduceReply& in) {
  ProduceReply out{.base_offset = Offset(in.base_offset()),
                   .durability = static_cast<Durability>(in.durability()),
                   .duplicate = in.duplicate(),
                   .known = {}};
  if (in.known() == nullptr) return out;
  auto known = known_records(*in.known());
  if (!known) return fail(std::move(known.error()));
  out.known = std::move(*known);
  return out;
}

}  // namespace leat::native
