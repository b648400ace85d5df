#include "client/delivery/settlements.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace leat {
namespace {

using native::Outcome;
using native::SettledRange;

// What ranges that are merged have in common. A delivery is of one partition.
bool are_alike(const SettledRange& a, const SettledRange& b) {
  return a.delivery == b.delivery && a.outcome == b.outcome && a.delay_ms == b.delay_ms &&
         a.partition.partition == b.partition.partition && a.partition.topic == b.partition.topic;
}

// In the order in which records come and are worked on, most often: there is little to sort.
bool comes_before(const SettledRange& a, const SettledRange& b) {
  const auto kind = [](const SettledRange& range) {
    return std::tuple(range.outcome != Outcome::kExtend, range.delivery, range.partition.partition,
                      range.outcome, range.delay_ms);
  };
  const auto kind_of_a = kind(a), kind_of_b = kind(b);
  if (kind_of_a != kind_of_b) return kind_of_a < kind_of_b;
  return a.first < b.first;
}

bool follows(const SettledRange& range, const SettledRange& before) {
  return range.first == before.last + 1 && are_alike(range, before);
}

std::uint32_t delay_of(const Settlement& settlement) {
  if (settlement.outcome != Outcome::kNack) return 0;
  if (!settlement.delay) return SettledRange::kBackoff;
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(settlement.delay->count(), 0, SettledRange::kBackoff - 1));
}

// How many runs offsets come to.
std::size_t runs_in(std::span<const Offset> offsets) {
  std::size_t runs = 1;
  for (std::size_t i = 1; i < offsets.size(); ++i) runs += offsets[i] != offsets[i - 1] + 1;
  return runs;
}

// What a refusal names; delays do not matter.
auto subject_of(const SettledRange& range) {
  return std::tuple(range.partition.topic, range.partition.partition, range.outcome,
                    range.delivery);
}

}  // namespace

// ---- one parcel ----

std::vector<SettledRange> Parcel::ranges() const {
  std::vector<SettledRange> sorted;
  const bool are_sorted = std::ranges::is_sorted(runs_, comes_before);
  if (!are_sorted) {
    sorted = runs_;
    std::ranges::sort(sorted, comes_before);
  }
  std::vector<SettledRange> merged;
  merged.reserve(runs_.size());
  for (const SettledRange& range : are_sorted ? runs_ : sorted) {
    const bool joins =
        !merged.empty() && range.first <= merged.back().last + 1 && are_alike(range, merged.back());
    if (joins)
      merged.back().last = std::max(merged.back().last, range.last);
    else
      merged.push_back(range);
  }
  return merged;
}

// `refused` is sorted by subject and offset, and does not overlap.
bool Parcel::refused_of(const Waiter& waiter, const std::vector<SettledRange>& refused) const {
  for (std::size_t run = waiter.first_run; run <= waiter.last_run; ++run) {
    SettledRange part = runs_[run];
    if (run == waiter.first_run) part.first = waiter.first;
    if (run == waiter.last_run) part.last = waiter.last;
    const auto at = std::ranges::partition_point(refused, [&](const SettledRange& range) {
      return std::tuple(subject_of(range), range.last) < std::tuple(subject_of(part), part.first);
    });
    if (at != refused.end() && subject_of(*at) == subject_of(part) && at->first <= part.last)
      return true;
  }
  return false;
}

void Parcel::finish(const std::vector<SettledRange>& refused) {
  std::vector<SettledRange> sorted = refused;
  std::ranges::sort(sorted, [](const SettledRange& a, const SettledRange& b) {
    return std::tuple(subject_of(a), a.last) < std::tuple(subject_of(b), b.last);
  });
  for (Waiter& waiter : std::exchange(waiters_, {})) {
    if (!sorted.empty() && refused_of(waiter, sorted))
      waiter.done(fail(ErrorCode::kLeaseLost,
                       "its lease had ended, and it went to another member or was settled"));
    else
      waiter.done(Result<>());
  }
}

void Parcel::finish(const Error& why) {
  for (Waiter& waiter : std::exchange(waiters_, {})) waiter.done(fail(why));
}

// ---- gathering ----

void Parcel::append(const SettledRange& range) {
  if (!runs_.empty() && follows(range, runs_.back()))
    runs_.back().last = range.last;
  else
    runs_.push_back(range);
}

// A request has room for so many ranges, and one reason for all that it rejects.
Parcel& Settlements::parcel_for(const Settlement& settlement, std::size_t runs) {
  const bool rejects = settlement.outcome == Outcome::kReject;
  const bool fits =
      !parcels_.empty() && parcels_.back().runs_.size() + runs <= Parcel::kMostRanges &&
      (!rejects || parcels_.back().reason_.value_or(settlement.reason) == settlement.reason);
  if (!fits) parcels_.emplace_back();
  if (rejects) parcels_.back().reason_ = settlement.reason;
  return parcels_.back();
}

void Settlements::add(native::PartitionRef partition, std::uint64_t delivery,
                      const Settlement& settlement, std::span<const Offset> offsets,
                      Completion<> done) {
  Parcel& parcel = parcel_for(settlement, runs_in(offsets));
  SettledRange range{.partition = partition,
                     .outcome = settlement.outcome,
                     .delay_ms = delay_of(settlement),
                     .first = offsets.front(),
                     .last = offsets.front(),
                     .delivery = delivery};
  parcel.append(range);
  const std::size_t first_run = parcel.runs_.size() - 1;
  for (const Offset offset : offsets.subspan(1)) {
    range.first = range.last = offset;
    parcel.append(range);
  }
  if (done)
    parcel.waiters_.push_back(
        {first_run, parcel.runs_.size() - 1, offsets.front(), offsets.back(), std::move(done)});
}

void Settlements::add_gap(native::PartitionRef partition, std::uint64_t delivery, Offset first,
                          Offset last) {
  parcel_for({}, 1).append(
      {.partition = partition, .first = first, .last = last, .delivery = delivery});
}

std::optional<Parcel> Settlements::take() {
  if (parcels_.empty()) return std::nullopt;
  Parcel parcel = std::move(parcels_.front());
  parcels_.pop_front();
  return parcel;
}

}  // namespace leat
