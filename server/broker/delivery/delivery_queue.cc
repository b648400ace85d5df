#include "server/broker/delivery/delivery_queue.h"

#include <algorithm>

namespace leat::broker {
namespace {

constexpr MonotonicTime kNow = MonotonicTime::min();
constexpr Duration kLongestWait = std::chrono::hours(24 * 30);  // whatever the wall clock says

}  // namespace

MonotonicTime due_of(const storage::Retry& retry, Now now) {
  const auto wait = std::chrono::milliseconds(retry.due_ms - now.wall.time_since_epoch().count());
  if (wait <= wait.zero()) return kNow;
  return now.monotonic + std::min<Duration>(wait, kLongestWait);
}

// ---- what there is ----

void DeliveryQueue::begin(Offset floor, const storage::PartitionAcks* acks, Now now) {
  next_ = floor;
  if (!acks || by_key_) return;  // by key they are found when their keys are seen
  for (const auto& [first, run] : acks->retries()) {
    const MonotonicTime due = due_of(run.retry, now);
    auto& place = due == kNow ? ready_ : waiting_;
    place.add({first, run.last}, due, std::nullopt);
  }
}

void DeliveryQueue::trim(Offset log_start) {
  next_ = std::max(next_, log_start);
  if (log_start.value == 0) return;
  const OffsetRange below{Offset(0), log_start + -1};
  for (auto* ranges : {&ready_, &waiting_})
    for (const auto& piece : ranges->cut(below)) end(piece.range, piece.value);
  delayed_.trim(log_start);
}

std::uint64_t DeliveryQueue::available(Offset high_watermark) const {
  const std::int64_t fresh = is_full() ? 0 : high_watermark - next_;
  return ready_.offsets() + static_cast<std::uint64_t>(std::max<std::int64_t>(fresh, 0));
}

Offset DeliveryQueue::read_from(const storage::PartitionAcks* acks) {
  if (acks) next_ = acks->next_open(next_);
  return std::min(ready_.first().value_or(next_), next_);
}

std::pair<Offset, std::uint32_t> attempts_at(Offset at, Offset last,
                                             const storage::PartitionAcks* acks) {
  if (!acks || acks->retries().empty()) return {last, 0};
  const auto& runs = acks->retries();
  const auto next = runs.upper_bound(at);
  if (next != runs.begin())
    if (const auto& [first, run] = *std::prev(next); run.last >= at)
      return {std::min(last, run.last), run.retry.attempts};
  if (next == runs.end() || next->first > last) return {last, 0};
  return {next->first + -1, 0};
}

// ---- what comes back ----

void DeliveryQueue::make_ready(OffsetRange range, KeyHash key) {
  ready_.add(range, kNow, key);
}

void DeliveryQueue::let_go(const std::vector<Offset>& offsets, KeyHash key) {
  for (const Offset offset : offsets) make_ready({offset, offset}, key);
}

// By key, ranges are of one record.
void DeliveryQueue::end(OffsetRange range, KeyHash key) {
  if (key) let_go(gate_.end(key, range.first), key);
}

DeliveryQueue::Pieces DeliveryQueue::leased(OffsetRange range, const MemberKey& member,
                                            std::uint64_t delivery, bool any) {
  any = any && !by_key_;
  return leases_.cut(range, [&](const Lease& lease) {
    return lease.member == member && (any || lease.delivery == delivery);
  });
}

DeliveryQueue::Pieces DeliveryQueue::leased_by(const MemberKey& member) {
  return leases_.cut_if([&](const Lease& lease) { return lease.member == member; });
}

void DeliveryQueue::extend(const Pieces& pieces, MonotonicTime deadline) {
  for (const auto& piece : pieces) leases_.add(piece.range, deadline, piece.value);
}

std::vector<OffsetRange> DeliveryQueue::returned(OffsetRange range) {
  std::vector<OffsetRange> returned;
  if (by_key_) return returned;
  for (auto* ranges : {&ready_, &waiting_})
    for (const auto& piece : ranges->cut(range)) returned.push_back(piece.range);
  return returned;
}

void DeliveryQueue::done(const TimedRanges<Lease>::Piece& piece) {
  end(piece.range, piece.value.key);
}

std::uint64_t DeliveryQueue::failed(const TimedRanges<Lease>::Piece& piece, MonotonicTime due,
                                    MonotonicTime now) {
  const KeyHash key = piece.value.key;
  gate_.fail(key, piece.range.first);
  std::uint64_t revoked = 0;
  for (const Offset behind : gate_.revoke_behind(key, piece.range.first))
    revoked += leases_.cut({behind, behind}).size();
  if (due <= now)
    make_ready(piece.range, key);
  else
    waiting_.add(piece.range, due, key);
  return revoked;
}

void DeliveryQueue::give_back(const TimedRanges<Lease>::Piece& piece) {
  gate_.fail(piece.value.key, piece.range.first);
  make_ready(piece.range, piece.value.key);
}

void DeliveryQueue::dying(const TimedRanges<Lease>::Piece& piece, Reason reason) {
  for (Offset at = piece.range.first; at <= piece.range.last; at = at + 1)
    dying_[at] = {piece.value.key, reason};
}

std::optional<std::pair<Offset, Reason>> DeliveryQueue::first_dying() const {
  if (dying_.empty()) return std::nullopt;
  return std::pair(dying_.begin()->first, dying_.begin()->second.second);
}

void DeliveryQueue::died(Offset offset) {
  const auto it = dying_.find(offset);
  if (it == dying_.end()) return;
  const KeyHash key = it->second.first;
  dying_.erase(it);
  end({offset, offset}, key);
}

// ---- time ----

void DeliveryQueue::on_time(Now now) {
  for (const auto& piece : waiting_.take_due(now.monotonic)) make_ready(piece.range, piece.value);
  refill(now);
}

std::optional<MonotonicTime> DeliveryQueue::next_deadline() const {
  std::optional<MonotonicTime> next;
  for (const auto& at : {leases_.next_due(), waiting_.next_due(), look_at_})
    if (at) next = std::min(next.value_or(*at), *at);
  return next;
}

void DeliveryQueue::shift(Duration gap) {
  leases_.shift(gap);
  waiting_.shift(gap);
}

}  // namespace leat::broker
