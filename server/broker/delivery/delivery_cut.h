// What is put together while records are taken out of a DeliveryQueue: its own files' alone.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "server/broker/delivery/delivery_queue.h"

namespace leat::broker {

inline constexpr std::size_t kMostRanges = 4'000;  // of a delivery: they stand in its envelope

// One more batch, and one more record or run of records.
inline void add_batch(DeliveredBatches& to, std::shared_ptr<const void> owner, Bytes bytes) {
  to.bytes += bytes.size();
  auto& all = to.batches;
  const bool adjoins = !all.empty() && all.back().owner == owner &&
                       all.back().bytes.data() + all.back().bytes.size() == bytes.data();
  if (adjoins)
    all.back().bytes = {all.back().bytes.data(), all.back().bytes.size() + bytes.size()};
  else
    all.push_back({std::move(owner), bytes});
}

inline void add_part(DeliveredBatches& to, std::vector<std::byte> part) {
  auto owner = std::make_shared<const std::vector<std::byte>>(std::move(part));
  const Bytes bytes(*owner);
  add_batch(to, std::move(owner), bytes);
}

inline void add_range(DeliveredBatches& to, OffsetRange range, std::uint32_t attempt) {
  const bool adjoins = !to.ranges.empty() && to.ranges.back().attempt == attempt &&
                       to.ranges.back().range.last + 1 == range.first;
  if (adjoins)
    to.ranges.back().range.last = range.last;
  else
    to.ranges.push_back({range, attempt});
}

struct DeliveryQueue::Cut {
  const Asked& asked;
  Takers& takers;
  Taken taken;
  const storage::StoredBatches* stored = nullptr;  // that the batch lies in
  bool ends = false;
};

}  // namespace leat::broker
