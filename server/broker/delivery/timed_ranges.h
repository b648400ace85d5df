// Disjoint ranges of offsets, each with a value and a time at which it is due.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "protocol/base/clock.h"
#include "storage/acks.h"

namespace leat::broker {

template <class Value>
class TimedRanges {
 public:
  using Range = storage::OffsetRange;
  struct Piece {
    Range range;
    MonotonicTime due;
    Value value;
  };

  bool empty() const { return ranges_.empty(); }
  std::size_t size() const { return ranges_.size(); }
  std::uint64_t offsets() const { return offsets_; }
  std::optional<Offset> first() const {
    if (ranges_.empty()) return std::nullopt;
    return ranges_.begin()->first;
  }
  // The first offset at or behind `from`.
  std::optional<Offset> first(Offset from) const {
    auto it = at_or_before(from);
    if (it != ranges_.end() && it->second.last >= from) return from;
    it = ranges_.lower_bound(from);
    if (it == ranges_.end()) return std::nullopt;
    return it->first;
  }
  std::optional<MonotonicTime> next_due() const {
    if (due_.empty()) return std::nullopt;
    return due_.begin()->first;
  }
  const Value* find(Offset offset) const {
    const auto it = at_or_before(offset);
    return it != ranges_.end() && it->second.last >= offset ? &it->second.value : nullptr;
  }

  // Nothing of `range` is there.
  void add(Range range, MonotonicTime due, Value value) {
    ranges_.emplace(range.first, Entry{range.last, due, std::move(value)});
    due_.emplace(due, range.first);
    offsets_ += count(range);
  }

  // Takes out, ascending, what lies in `range` and `wanted` says yes to; the rest of what is cut
  // stays.
  template <class Wanted>
  std::vector<Piece> cut(Range range, Wanted wanted) {
    std::vector<Piece> pieces;
    auto it = at_or_before(range.first);
    if (it == ranges_.end() || it->second.last < range.first) it = ranges_.lower_bound(range.first);
    while (it != ranges_.end() && it->first <= range.last) {
      if (!wanted(it->second.value)) {
        ++it;
        continue;
      }
      const Range whole{it->first, it->second.last};
      Entry entry = std::move(it->second);
      it = remove(it);
      const Range inside{std::max(whole.first, range.first), std::min(whole.last, range.last)};
      if (whole.first < inside.first) add({whole.first, inside.first + -1}, entry.due, entry.value);
      if (inside.last < whole.last) {
        add({inside.last + 1, whole.last}, entry.due, entry.value);
        pieces.push_back({inside, entry.due, std::move(entry.value)});
        return pieces;
      }
      pieces.push_back({inside, entry.due, std::move(entry.value)});
    }
    return pieces;
  }
  std::vector<Piece> cut(Range range) {
    return cut(range, [](const Value&) { return true; });
  }
  template <class Wanted>
  std::vector<Piece> cut_if(Wanted wanted) {
    if (ranges_.empty()) return {};
    return cut({ranges_.begin()->first, Offset(INT64_MAX)}, wanted);
  }
  // Takes out what is due.
  std::vector<Piece> take_due(MonotonicTime now) {
    std::vector<Piece> pieces;
    while (!due_.empty() && due_.begin()->first <= now) {
      const auto it = ranges_.find(due_.begin()->second);
      pieces.push_back({{it->first, it->second.last}, it->second.due, std::move(it->second.value)});
      remove(it);
    }
    return pieces;
  }

  // The parts of `range` that are there and `wanted` says yes to, ascending.
  template <class Wanted>
  std::vector<Range> present(Range range, Wanted wanted) const {
    std::vector<Range> parts;
    auto it = at_or_before(range.first);
    if (it == ranges_.end()) it = ranges_.begin();
    for (; it != ranges_.end() && it->first <= range.last; ++it)
      if (it->second.last >= range.first && wanted(it->second.value))
        parts.push_back({std::max(it->first, range.first), std::min(it->second.last, range.last)});
    return parts;
  }
  // The parts of `range` that are not there, ascending.
  std::vector<Range> missing(Range range) const {
    std::vector<Range> parts;
    auto it = at_or_before(range.first);
    if (it == ranges_.end()) it = ranges_.begin();
    Offset from = range.first;
    for (; it != ranges_.end() && it->first <= range.last && from <= range.last; ++it) {
      if (it->second.last < from) continue;
      if (it->first > from) parts.push_back({from, it->first + -1});
      from = it->second.last + 1;
    }
    if (from <= range.last) parts.push_back({from, range.last});
    return parts;
  }

  void shift(Duration gap) {
    std::set<std::pair<MonotonicTime, Offset>> due;
    for (auto& [first, entry] : ranges_) {
      entry.due += gap;
      due.emplace(entry.due, first);
    }
    due_ = std::move(due);
  }

 private:
  struct Entry {
    Offset last;
    MonotonicTime due;
    Value value;
  };
  using Map = std::map<Offset, Entry>;

  static std::uint64_t count(Range range) {
    return static_cast<std::uint64_t>(range.last - range.first) + 1;
  }
  // The range that begins at `offset` or is the last before; end(): none.
  typename Map::const_iterator at_or_before(Offset offset) const {
    const auto it = ranges_.upper_bound(offset);
    return it == ranges_.begin() ? ranges_.end() : std::prev(it);
  }
  typename Map::iterator at_or_before(Offset offset) {
    const auto it = ranges_.upper_bound(offset);
    return it == ranges_.begin() ? ranges_.end() : std::prev(it);
  }
  typename Map::iterator remove(typename Map::iterator it) {
    due_.erase({it->second.due, it->first});
    offsets_ -= count({it->first, it->second.last});
    return ranges_.erase(it);
  }

  Map ranges_;  // by first offset
  std::set<std::pair<MonotonicTime, Offset>> due_;
  std::uint64_t offsets_ = 0;
};

}  // namespace leat::broker
