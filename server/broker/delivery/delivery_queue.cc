#include "server/broker/delivery/delivery_queue.h"

#include <algorithm>

#include "server/broker/delivery/delivery_cut.h"

namespace leat::broker {

// ---- what there is ----

void DeliveryQueue::begin(Offset floor, const storage::PartitionAcks* acks, Now now) {
  next_ = floor;
  if (!acks || by_key_) return;  // by key they are found when their keys are seen
  for (const auto& [first, run] : acks->retries()) {
    const MonotonicTime due = due_of(run.retry, now);
    auto& place = due == kDueNow ? ready_ : waiting_;
    place.add({first, run.last}, due, {});
  }
}

void DeliveryQueue::trim(Offset log_start) {
  next_ = std::max(next_, log_start);
  if (log_start.value == 0) return;
  log_start_ = log_start;
  const OffsetRange below{Offset(0), log_start + -1};
  ready_.cut(below);
  waiting_.cut(below);
  keyed_.trim(log_start);
  let_go();
  delayed_.trim(log_start);
  ahead_.trim(log_start);
}

std::uint64_t DeliveryQueue::available(Offset high_watermark) const {
  const std::int64_t fresh = is_full() ? 0 : high_watermark - next_;
  return ready_.offsets() + ahead_.at_hand() +
         static_cast<std::uint64_t>(std::max<std::int64_t>(fresh, 0));
}

Offset DeliveryQueue::read_from(const storage::PartitionAcks* acks) {
  if (acks) next_ = acks->next_open(next_);
  if (ready_.empty()) return next_;
  const Offset ready = ready_.first(sweep_).value_or(*ready_.first());
  return std::min(ready, next_);
}

// ---- what comes back ----

// Below the log start nothing can be read, and all counts as done.
void DeliveryQueue::make_ready(OffsetRange range, std::uint32_t position) {
  if (range.last < log_start_) return end(range);
  ready_.add(range, kDueNow, position);
}

// What is below the log start ends by that, and may let go of more.
void DeliveryQueue::let_go() {
  for (auto offsets = keyed_.let_go(); !offsets.empty(); offsets = keyed_.let_go())
    for (const Offset offset : offsets)
      if (offset < log_start_)
        keyed_.end(offset);
      else
        ready_.add({offset, offset}, kDueNow, {});
}

// By key, ranges are of one record.
void DeliveryQueue::end(OffsetRange range) {
  if (!by_key_) return;
  keyed_.end(range.first);
  let_go();
}

DeliveryQueue::Pieces DeliveryQueue::pieces_of(const std::vector<KeyedRecords::Leased>& leased) {
  Pieces pieces;
  pieces.reserve(leased.size());
  for (const auto& [offset, member, delivery] : leased)
    pieces.push_back({{offset, offset}, kDueNow, {member, delivery}});
  let_go();
  return pieces;
}

DeliveryQueue::Pieces DeliveryQueue::leased(OffsetRange range, const MemberKey& member,
                                            std::uint64_t delivery, bool any) {
  if (by_key_) return pieces_of(keyed_.cut(range, member, delivery));
  return leases_.cut(range, [&](const Lease& lease) {
    return lease.member == member && (any || lease.delivery == delivery);
  });
}

DeliveryQueue::Pieces DeliveryQueue::leased_by(const MemberKey& member) {
  if (by_key_) return pieces_of(keyed_.cut(member));
  return leases_.cut_if([&](const Lease& lease) { return lease.member == member; });
}

DeliveryQueue::Pieces DeliveryQueue::expired(MonotonicTime now) {
  return by_key_ ? pieces_of(keyed_.cut_due(now)) : leases_.take_due(now);
}

void DeliveryQueue::extend(const Pieces& pieces, MonotonicTime deadline) {
  for (const auto& piece : pieces) leases_.add(piece.range, deadline, piece.value);
}

std::vector<OffsetRange> DeliveryQueue::returned(OffsetRange range) {
  std::vector<OffsetRange> returned;
  if (by_key_) return returned;
  for (auto* ranges : {&ready_, &waiting_})
    for (const auto& piece : ranges->cut(range)) returned.push_back(piece.range);
  for (const Offset offset : ahead_.forget(range)) returned.push_back({offset, offset});
  return returned;
}

void DeliveryQueue::done(const TimedRanges<Lease>::Piece& piece) {
  end(piece.range);
}

std::uint64_t DeliveryQueue::failed(const TimedRanges<Lease>::Piece& piece, MonotonicTime due,
                                    MonotonicTime now) {
  keyed_.block(piece.range.first);
  const std::uint64_t revoked = keyed_.revoke_behind(piece.range.first);
  if (due <= now)
    make_ready(piece.range);
  else
    waiting_.add(piece.range, due, {});
  let_go();
  return revoked;
}

void DeliveryQueue::give_back(const TimedRanges<Lease>::Piece& piece) {
  keyed_.block(piece.range.first);
  make_ready(piece.range);
  let_go();
}

// It has no place in its key's order any more: nobody gets it.
void DeliveryQueue::dying(const TimedRanges<Lease>::Piece& piece, Reason reason) {
  for (Offset at = piece.range.first; at <= piece.range.last; at = at + 1) dying_[at] = reason;
  end(piece.range);
}

std::optional<std::pair<Offset, Reason>> DeliveryQueue::first_dying() const {
  if (dying_.empty()) return std::nullopt;
  return *dying_.begin();
}

void DeliveryQueue::died(Offset offset) {
  dying_.erase(offset);
}

// ---- time ----

void DeliveryQueue::on_time(Now now) {
  for (const auto& piece : waiting_.take_due(now.monotonic)) make_ready(piece.range);
  patience_.on_time(now.monotonic);
  refill(now);
}

std::optional<MonotonicTime> DeliveryQueue::next_deadline() const {
  std::optional<MonotonicTime> next;
  for (const auto& due : {leases_.next_due(), keyed_.next_deadline(), waiting_.next_due(), look_at_,
                          patience_.until()})
    if (due) next = next ? std::min(*next, *due) : due;
  return next;
}

void DeliveryQueue::shift(Duration gap) {
  leases_.shift(gap);
  keyed_.shift(gap);
  waiting_.shift(gap);
  patience_.shift(gap);
}

}  // namespace leat::broker
