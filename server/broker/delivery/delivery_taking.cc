// How the records of a partition are divided among those who may take them.
#include <algorithm>

#include "protocol/batch_cursor.h"
#include "protocol/batch_parts.h"
#include "server/broker/delivery/delivery_cut.h"

namespace leat::broker {
namespace {
// Of a larger batch, of whose records less than this share goes out, they are framed anew.
constexpr std::size_t kReframedBytes = 4 << 10;
constexpr std::uint64_t kReframedShare = 4;
}  // namespace

Result<DeliveryQueue::Taken> DeliveryQueue::take(const Asked& asked, Takers& takers) {
  Cut cut(asked, takers);
  if (by_key_) begin_by_key(cut);
  for (const storage::StoredBatches& stored : asked.read.batches) {
    cut.stored = &stored;
    for (Bytes rest = stored.bytes; !rest.empty() && !cut.ends;) {
      const auto batch = RecordBatchView::parse(rest);
      if (!batch) return fail(batch.error());
      rest = rest.subspan(batch->bytes().size());
      auto ok = by_key_ ? take_by_key(*batch, cut) : take_batch(*batch, cut);
      if (!ok) return fail(ok.error());
      if (!cut.ends) sweep_ = batch->last_offset() + 1;
    }
  }
  return std::move(cut.taken);
}

// What of a batch is new and not done.
std::vector<OffsetRange> DeliveryQueue::open_in(OffsetRange batch,
                                                const storage::PartitionAcks* acks) const {
  std::vector<OffsetRange> open;
  for (Offset at = std::max(batch.first, next_); at <= batch.last;) {
    if (acks) at = acks->next_open(at);
    if (at > batch.last) break;
    const auto done = acks ? acks->next_done(at) : std::nullopt;
    const Offset last = done ? std::min(*done + -1, batch.last) : batch.last;
    for (const OffsetRange ready : ready_.missing({at, last}))
      for (const OffsetRange part : waiting_.missing(ready)) open.push_back(part);
    at = last + 1;
  }
  return open;
}

Result<> DeliveryQueue::take_batch(const RecordBatchView& batch, Cut& cut) {
  const OffsetRange whole{batch.base_offset(), batch.last_offset()};
  std::vector<Open> open;
  for (const OffsetRange range : open_in(whole, cut.asked.acks)) open.push_back({range, true});
  for (const auto& piece : ready_.cut(whole)) open.push_back({piece.range, false, piece.value});
  std::ranges::sort(open, {}, &Open::range);
  return take_open(batch, open, whole.last + 1, cut);
}

// Everything below `behind` has been looked at then.
Result<> DeliveryQueue::take_open(const RecordBatchView& batch, const std::vector<Open>& open,
                                  Offset behind, Cut& cut) {
  const auto ranges = deliverable(batch, open, cut);
  for (const Open& part : open)
    if (!ranges && !part.fresh) make_ready(part.range, part.position);
  if (!ranges) return fail(ranges.error());
  next_ = std::max(next_, behind);
  std::vector<OffsetRange> leased;
  for (OffsetRange range : *ranges) {
    const std::uint64_t most = cut.takers[0].most_records;
    OffsetRange part = range;
    if (count(part) > most) part.last = part.first + static_cast<std::int64_t>(most) + -1;
    if (most > 0 && lease(part, cut)) leased.push_back(part);
    if (most > 0) range.first = part.last + 1;
    if (range.first <= range.last) make_ready(range);
  }
  cut.ends = cut.takers[0].most_records == 0;
  if (leased.empty()) return {};
  return add_leased(batch, open, leased, cut);
}

// The batch as it lies there; but where little of much is delivered, that alone.
Result<> DeliveryQueue::add_leased(const RecordBatchView& batch, const std::vector<Open>& open,
                                   const std::vector<OffsetRange>& leased, Cut& cut) {
  DeliveredBatches& delivered = cut.taken.delivered[0];
  std::uint64_t records = 0;
  for (const OffsetRange range : leased) records += count(range);
  if (batch.bytes().size() < kReframedBytes ||
      records * kReframedShare > static_cast<std::uint64_t>(batch.record_count())) {
    add_batch(delivered, cut.stored->owner, batch.bytes());
    return {};
  }
  BatchPart part;
  part.reserve(batch_layout::kHeaderBytes +
               records *
                   (batch.bytes().size() / static_cast<std::size_t>(batch.record_count()) + 1));
  auto cursor = BatchCursor::open(batch);
  if (!cursor) return fail(cursor.error());
  auto known = open.begin();
  for (const OffsetRange range : leased) {
    while (known != open.end() && known->range.first < range.first) ++known;
    const bool here = known != open.end() && known->range.first == range.first;
    for (cursor->seek(range.first, here ? known->position : 0); cursor->at_most(range.last);
         cursor->next())
      part.add(batch, cursor->record());
  }
  if (cursor->broken()) return fail(ErrorCode::kInvalidBatch, "records of a batch do not fit");
  if (part.count() > 0) add_part(delivered, part.take());
  return {};
}

// Somebody else may have it by now, or it was acked: it must not go out again.
bool DeliveryQueue::keep_leased(DeliveredBatches& delivered, const MemberKey& member) {
  if (by_key_) {
    if (!keyed_.has_lease(member, delivered.number)) return false;
    // Taken back by a retry that comes first in its key.
    const auto lost = keyed_.take_lost(member, delivered.number);
    if (!lost.empty()) leave_out(lost, delivered);
    return !delivered.ranges.empty();
  }
  DeliveredBatches left;
  for (const auto& [range, attempt] : delivered.ranges)
    for (const OffsetRange part : leases_.present(range, [&](const Lease& lease) {
           return lease.member == member && lease.delivery == delivered.number;
         }))
      add_range(left, part, attempt);
  delivered.ranges = std::move(left.ranges);
  delivered.records = left.records;
  delivered.redelivered = left.redelivered;
  return !delivered.ranges.empty();
}

// What has failed too often dies. False: all of it.
bool DeliveryQueue::lease(OffsetRange range, Cut& cut) {
  Taker& taker = cut.takers[0];
  DeliveredBatches& delivered = cut.taken.delivered[0];
  bool any = false;
  for (Offset at = range.first; at <= range.last;) {
    const auto [last, attempts] = attempts_at(at, range.last, cut.asked.acks);
    const OffsetRange part{at, last};
    at = last + 1;
    if (const char* why = cut.dead(attempts)) {
      dying({part, kDueNow, {}}, std::make_shared<const std::string>(why));
      continue;
    }
    leases_.add(part, taker.deadline, {taker.member, taker.delivery});
    add_range(delivered, part, attempts + 1);
    taker.most_records -= std::min(taker.most_records, count(part));
    if (delivered.ranges.size() >= kMostRanges) taker.most_records = 0;
    any = true;
  }
  return any;
}

}  // namespace leat::broker
