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
auto place_of(const SettledRange& range) {
  return std::tuple(range.outcome != Outcome::kExtend, range.delivery, range.partition.partition,
                    range.outcome, range.delay_ms, range.first);
}

std::uint32_t delay_of(const Settlement& settlement) {
  if (settlement.outcome != Outcome::kNack) return 0;
  if (!settlement.delay) return SettledRange::kBackoff;
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(settlement.delay->count(), 0, SettledRange::kBackoff - 1));
}

// How many runs they come to.
std::size_t runs_in(std::span<const Numbered> records) {
  std::size_t runs = 1;
  for (std::size_t i = 1; i < records.size(); ++i)
    runs += records[i].number != records[i - 1].number + 1;
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
  const auto in_place = [](const Run& run) { return place_of(run.range); };
  std::vector<Run> sorted;
  const bool are_sorted = std::ranges::is_sorted(runs_, {}, in_place);
  if (!are_sorted) {
    sorted = runs_;
    std::ranges::sort(sorted, {}, in_place);
  }
  std::vector<SettledRange> merged;
  std::uint64_t last_number = 0;
  for (const Run& run : are_sorted ? runs_ : sorted) {
    const bool joins = !merged.empty() && run.first_number <= last_number + 1 &&
                       are_alike(run.range, merged.back());
    if (joins) {
      merged.back().last = std::max(merged.back().last, run.range.last);
      last_number = std::max(last_number, run.last_number);
    } else {
      merged.push_back(run.range);
      last_number = run.last_number;
    }
  }
  return merged;
}

// `refused` is sorted by subject and offset, and does not overlap.
bool Parcel::refused_of(const Waiter& waiter, const std::vector<SettledRange>& refused) const {
  for (std::size_t run = waiter.first_run; run <= waiter.last_run; ++run) {
    SettledRange part = runs_[run].range;
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

void Parcel::append(const Run& run) {
  if (!runs_.empty() && run.first_number == runs_.back().last_number + 1 &&
      are_alike(run.range, runs_.back().range)) {
    runs_.back().range.last = run.range.last;
    runs_.back().last_number = run.last_number;
  } else {
    runs_.push_back(run);
  }
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
                      const Settlement& settlement, std::span<const Numbered> records,
                      Completion<> done) {
  Parcel& parcel = parcel_for(settlement, runs_in(records));
  Parcel::Run run{{.partition = partition,
                   .outcome = settlement.outcome,
                   .delay_ms = delay_of(settlement),
                   .delivery = delivery},
                  0,
                  0};
  std::optional<std::size_t> first_run;
  for (const auto& [offset, number] : records) {
    run.range.first = run.range.last = offset;
    run.first_number = run.last_number = number;
    parcel.append(run);
    if (!first_run) first_run = parcel.runs_.size() - 1;
  }
  if (done)
    parcel.waiters_.push_back({*first_run, parcel.runs_.size() - 1, records.front().offset,
                               records.back().offset, std::move(done)});
}

void Settlements::add_range(native::PartitionRef partition, std::uint64_t delivery,
                            native::Outcome outcome, Offset first, Offset last) {
  parcel_for({}, 1).append({{.partition = partition,
                             .outcome = outcome,
                             .first = first,
                             .last = last,
                             .delivery = delivery},
                            static_cast<std::uint64_t>(first.value),
                            static_cast<std::uint64_t>(last.value)});
}

std::optional<Parcel> Settlements::take() {
  if (parcels_.empty()) return std::nullopt;
  Parcel parcel = std::move(parcels_.front());
  parcels_.pop_front();
  return parcel;
}

}  // namespace leat
