// What is put together while records are taken out of a DeliveryQueue: its own files' alone.
#pragma once

#include <algorithm>
#include <limits>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "protocol/batch_parts.h"
#include "server/broker/delivery/delivery_queue.h"

namespace leat::broker {

inline constexpr MonotonicTime kDueNow = MonotonicTime::min();
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
  to.records += count(range);
  if (attempt > 1) to.redelivered += count(range);
}

// By key: records from the first to the last of the range, so many.
inline void add_span(DeliveredBatches& to, OffsetRange range, std::uint64_t records,
                     std::uint32_t attempt) {
  if (!to.ranges.empty() && to.ranges.back().attempt == attempt)
    to.ranges.back().range.last = range.last;
  else
    to.ranges.push_back({range, attempt});
  to.records += records;
  if (attempt > 1) to.redelivered += records;
}

// By key: the delivery without these records, ascending, which are not all that it has; the others
// are framed anew.
void leave_out(const std::vector<Offset>& lost, DeliveredBatches& delivered);

struct DeliveryQueue::Cut {
  Cut(const Asked& asks, Takers& all) : asked(asks), takers(all) {
    taken.delivered.resize(all.size());
  }
  // Why a record that failed so often dies; null: it does not.
  const char* dead(std::uint32_t attempts) const {
    if (attempts == kDeadAttempts) return "rejected";
    return asked.max_deliveries > 0 && attempts >= asked.max_deliveries ? "max_deliveries"
                                                                        : nullptr;
  }
  // These two ask storage once for many records, which come in order.
  bool is_done(Offset offset) {
    if (!asked.acks || offset < open_until) return false;
    if (asked.acks->is_done(offset)) return true;
    open_until = asked.acks->next_done(offset).value_or(Offset(INT64_MAX));
    return false;
  }
  std::uint32_t attempts(Offset offset) {
    if (offset < tried_from || offset > tried_until) {
      std::tie(tried_until, tried) = attempts_at(offset, Offset(INT64_MAX), asked.acks);
      tried_from = offset;
    }
    return tried;
  }
  // By key: what each taker got of the batch.
  void give_parts() {
    for (std::size_t i = 0; i < takers.size(); ++i)
      if (parts->count(i) == batch->record_count() && parts->count(i) > 0)
        add_batch(taken.delivered[i], stored->owner, batch->bytes());
      else if (parts->count(i) > 0)
        add_part(taken.delivered[i], parts->take(i));
  }

  const Asked& asked;
  Takers& takers;
  Taken taken;
  const storage::StoredBatches* stored = nullptr;  // that the batch lies in
  bool ends = false;

  // By key.
  const RecordBatchView* batch = nullptr;
  BatchParts* parts = nullptr;           // of it, for each taker
  std::vector<std::uint32_t> loans;      // of each taker, once it has one
  std::vector<char> parked;              // whether something is for them
  std::vector<std::uint32_t> parked_in;  // of each, the loan that what is parked of the batch joins
  bool any_idle = false;                 // in the beginning
  bool may_expire = false;               // the record at hand: it is not kept
  std::size_t held_before = 0;
  Offset open_until{0};
  Offset tried_from{0}, tried_until{-1};
  std::uint32_t tried = 0;
};

}  // namespace leat::broker
