#include "server/broker/delivery/delayed_records.h"

#include <algorithm>
#include <functional>

namespace leat::broker {
namespace {

constexpr std::size_t kMostFarRanges = 1'000;
// Ranges are read again so long before their first record is due: many may have to be read.
constexpr std::int64_t kScanAheadMs = 10'000;

}  // namespace

std::optional<std::int64_t> DelayedRecords::next_look_ms(std::int64_t now_ms) const {
  std::optional<std::int64_t> next;
  const std::int64_t scan_ms = horizon_.due_ms() - kScanAheadMs;
  if (!known_.empty() && known_.front().due_ms() > now_ms) next = known_.front().due_ms();
  if (!far_.empty() && scan_ms > now_ms) next = std::min(next.value_or(scan_ms), scan_ms);
  return next;
}

std::optional<std::int64_t> DelayedRecords::first_due_ms() const {
  if (known_.empty()) return std::nullopt;
  return known_.front().due_ms();
}

// Down the heap, as far as it is near enough.
DelayedRecords::Near DelayedRecords::near(Entry from, Entry until, std::size_t most) const {
  // Of those being read again some may not have been found yet.
  Near near{{}, std::min({until, horizon_, scan_.empty() ? never() : scan_from_})};
  const auto keep_first = [&] {
    const auto behind = near.records.begin() + static_cast<std::ptrdiff_t>(most);
    std::ranges::nth_element(near.records, behind);
    near.until = *behind;
    near.records.erase(behind, near.records.end());
  };
  if (from >= near.until) return near;
  std::vector<std::size_t> open{0};
  while (!open.empty()) {
    const std::size_t at = open.back();
    open.pop_back();
    if (at >= known_.size() || known_[at] >= near.until) continue;
    if (known_[at] >= from) near.records.push_back(known_[at]);
    if (near.records.size() > 2 * most) keep_first();
    open.push_back(2 * at + 1);
    open.push_back(2 * at + 2);
  }
  if (near.records.size() > most) keep_first();
  return near;
}

std::optional<DelayedRecords::Delayed> DelayedRecords::take_due(std::int64_t now_ms) {
  if (known_.empty() || known_.front().due_ms() > now_ms) return std::nullopt;
  std::ranges::pop_heap(known_, std::greater());
  const Delayed record{known_.back().offset(), known_.back().position()};
  known_.pop_back();
  if (known_.empty()) known_.shrink_to_fit();
  return record;
}

void DelayedRecords::put(Entry entry) {
  if (entry >= horizon_) return put_far(entry.offset());
  if (known_.size() == most_known_) {
    forget_half();
    if (entry >= horizon_) return put_far(entry.offset());
  }
  // Never more room than the bound asks for.
  if (known_.size() == known_.capacity())
    known_.reserve(std::min(most_known_, std::max<std::size_t>(64, 2 * known_.size())));
  known_.push_back(entry);
  std::ranges::push_heap(known_, std::greater());
}

// Those due last are from now on known by their range alone.
void DelayedRecords::forget_half() {
  const auto middle = known_.begin() + static_cast<std::ptrdiff_t>(known_.size() / 2);
  std::ranges::nth_element(known_, middle);
  horizon_ = *middle;
  std::vector<Entry> forgotten(middle, known_.end());
  known_.erase(middle, known_.end());
  std::ranges::make_heap(known_, std::greater());
  std::ranges::sort(forgotten, {}, &Entry::offset);
  for (const Entry& entry : forgotten) put_far(entry.offset());
}

void DelayedRecords::put_far(Offset offset) {
  ++far_count_;
  auto next = far_.upper_bound(offset);
  if (next != far_.begin()) {
    auto& [first, range] = *std::prev(next);
    if (offset - range.last <= gap_) {
      range.last = std::max(range.last, offset);
      ++range.count;
      return;
    }
  }
  far_.emplace_hint(next, offset, Far{offset, 1});
  if (far_.size() > kMostFarRanges) thin_out();
}

// Fewer ranges, in which more lies that is not wanted.
void DelayedRecords::thin_out() {
  while (far_.size() > kMostFarRanges / 2) {
    gap_ *= 2;
    for (auto it = far_.begin(); it != far_.end();) {
      const auto next = std::next(it);
      if (next == far_.end() || next->first - it->second.last > gap_) {
        it = next;
        continue;
      }
      it->second.last = std::max(it->second.last, next->second.last);
      it->second.count += next->second.count;
      far_.erase(next);
    }
  }
}

std::uint64_t DelayedRecords::trim(Ranges& ranges, Offset log_start) {
  std::uint64_t gone = 0;
  while (!ranges.empty() && ranges.begin()->first < log_start) {
    const auto [first, range] = *ranges.begin();
    ranges.erase(ranges.begin());
    if (range.last >= log_start)
      ranges.emplace(log_start, range);
    else
      gone += range.count;
  }
  return gone;
}

void DelayedRecords::trim(Offset log_start) {
  const auto gone = [&](const Entry& entry) { return entry.offset() < log_start; };
  if (std::erase_if(known_, gone) > 0) std::ranges::make_heap(known_, std::greater());
  far_count_ -= trim(far_, log_start);
  scan_count_ -= trim(scan_, log_start);
}

// ---- reading again ----

std::optional<storage::OffsetRange> DelayedRecords::to_scan(std::int64_t now_ms) {
  // Reading them leaves at least half of what may be known, so that this ends.
  const bool few = known_.size() <= most_known_ / 4;
  const bool soon = known_.size() < most_known_ / 2 && horizon_.due_ms() - kScanAheadMs <= now_ms;
  if (scan_.empty() && !far_.empty() && (few || soon)) {
    scan_ = std::exchange(far_, {});
    scan_count_ = std::exchange(far_count_, 0);
    scan_from_ = std::exchange(horizon_, never());
    gap_ = kLeastGap;
  }
  if (scan_.empty()) return std::nullopt;
  return storage::OffsetRange{scan_.begin()->first, scan_.begin()->second.last};
}

void DelayedRecords::found(const Delayed& record, std::int64_t due_ms) {
  const Entry entry(due_ms, record);
  if (entry < scan_from_) return;  // known already, or gone its way
  if (scan_count_ > 0) --scan_count_;
  put(entry);
}

void DelayedRecords::scanned(Offset next) {
  while (!scan_.empty() && scan_.begin()->first < next) {
    const Far range = scan_.begin()->second;
    scan_.erase(scan_.begin());
    if (range.last >= next) scan_.emplace(next, range);
  }
  if (scan_.empty()) scan_count_ = 0;
}

}  // namespace leat::broker
