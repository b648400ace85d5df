// Acknowledgements as sets of offsets: too simple to be wrong.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "storage/state/partition_acks.h"

namespace leat::test {

struct NaiveAcks {
  std::int64_t floor = 0;
  std::set<std::int64_t> done = {};
  std::map<std::int64_t, storage::Retry> retries = {};

  void apply(const storage::AcksChange& change) {
    for (const auto& [first, last] : change.done)
      for (std::int64_t i = std::max(first.value, floor); i <= last.value; ++i) {
        done.insert(i);
        retries.erase(i);
      }
    for (const auto& [tried, retry] : change.retries)
      for (std::int64_t i = std::max(tried.first.value, floor); i <= tried.last.value; ++i)
        if (!done.contains(i)) retries[i] = retry;
    while (done.erase(floor) > 0) ++floor;
  }
  std::int64_t next_open(std::int64_t from) const {
    from = std::max(from, floor);
    while (done.contains(from)) ++from;
    return from;
  }
};

// How they differ, looked at run by run; empty: not at all.
inline std::string difference(const NaiveAcks& model, const storage::PartitionAcks& acks) {
  if (acks.floor() != Offset(model.floor))
    return "the floor is " + std::to_string(acks.floor().value) + " instead of " +
           std::to_string(model.floor);
  if (acks.done_above_floor() != model.done.size()) return "another number of offsets is done";
  Offset behind{0};
  for (auto it = model.done.begin(); it != model.done.end();) {
    if (acks.next_done(behind) != Offset(*it)) return std::to_string(*it) + " is not done next";
    behind = acks.next_open(Offset(*it));
    for (std::int64_t i = *it; i < behind.value; ++i, ++it)
      if (it == model.done.end() || *it != i) return std::to_string(i) + " is done";
  }
  if (acks.next_done(behind)) return std::to_string(acks.next_done(behind)->value) + " is done";
  auto it = model.retries.begin();
  const storage::PartitionAcks::Run* before = nullptr;
  for (const auto& [first, run] : acks.retries()) {
    if (before && before->last + 1 == first && before->retry == run.retry)
      return "two runs that are one meet at " + std::to_string(first.value);
    for (std::int64_t i = first.value; i <= run.last.value; ++i, ++it)
      if (it == model.retries.end() || it->first != i || it->second != run.retry)
        return std::to_string(i) + " was tried otherwise";
    before = &run;
  }
  return it == model.retries.end() ? "" : std::to_string(it->first) + " was tried";
}

}  // namespace leat::test
