// Batches and deliveries as a broker sends them.
#pragma once

#include <string>
#include <vector>

#include "protocol/batch_parts.h"
#include "protocol/native/delivery_messages.h"
#include "protocol/record_batch.h"

namespace leat::test {

inline const TopicId kTopic{{1}};

inline std::vector<std::byte> batch_at(std::int64_t base, int records) {
  RecordBatchBuilder builder;
  for (int i = 0; i < records; ++i) builder.append({{}, as_bytes(std::to_string(base + i)), {}}, 1);
  auto bytes = builder.take();
  assign_offset(bytes, Offset(base), LeaderEpoch(0));
  return bytes;
}

// Records at these offsets, ascending, as they are framed for a member of a key_shared group.
inline std::vector<std::byte> batch_of(const std::vector<std::int64_t>& offsets) {
  const std::int64_t base = offsets.front();
  const auto whole = batch_at(base, static_cast<int>(offsets.back() - base) + 1);
  const auto view = RecordBatchView::parse(whole);
  BatchPart part;
  auto next = offsets.begin();
  for (auto record = view->begin(); record != view->end(); ++record) {
    if (record->offset != Offset(*next)) continue;
    part.add(*view, record);
    ++next;
  }
  return part.take();
}

inline native::DeliveredRange range(std::int64_t first, std::int64_t last,
                                    std::uint32_t attempt = 1) {
  return {Offset(first), Offset(last), attempt};
}

// "ack 0:3-5 nack(500) 1:7-7": outcome, partition, offsets.
inline std::string text_of(const std::vector<native::SettledRange>& ranges) {
  std::string text;
  for (const native::SettledRange& one : ranges) {
    text += text.empty() ? "" : " ";
    switch (one.outcome) {
      case native::Outcome::kAck:
        text += "ack";
        break;
      case native::Outcome::kNack:
        text += one.delay_ms == native::SettledRange::kBackoff
                    ? "nack"
                    : "nack(" + std::to_string(one.delay_ms) + ")";
        break;
      case native::Outcome::kExtend:
        text += "extend";
        break;
      case native::Outcome::kReject:
        text += "reject";
        break;
    }
    text += " " + std::to_string(one.partition.partition.value) + ":" +
            std::to_string(one.first.value) + "-" + std::to_string(one.last.value);
  }
  return text;
}

}  // namespace leat::test
