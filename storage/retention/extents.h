// What one partition holds, in runs of adjoining batches: enough to say what is old, how much it
// is, and where to look for a time, without keeping a word about each batch. Pure; one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>

#include "protocol/base/ids.h"

namespace leat::storage {

struct Extent {
  std::uint32_t segment = 0;  // of the store (segment_index.h); the shard knows none
  Offset first, next;
  std::uint64_t bytes = 0;
  std::int64_t max_timestamp_ms = -1;

  friend bool operator==(const Extent&, const Extent&) = default;
};

class Extents {
 public:
  // A batch, or a run of them that is kept as it is. It adjoins what is there.
  void add(const Extent& batch);
  void load(const Extent& extent);

  // Forgets what lies below `start`, calling forgotten(segment, bytes, whole); of an extent that
  // holds `start` its share, which is not the whole of it.
  template <class Forgotten>
  void trim(Offset start, Forgotten forgotten);

  // `gone` bytes of what lies in [first, next) are no more; at most what there was.
  // Calls forgotten(segment, bytes, false) as trim() does.
  template <class Forgotten>
  void shrink(Offset first, Offset next, std::uint64_t gone, Forgotten forgotten);

  const std::deque<Extent>& all() const { return extents_; }
  std::uint64_t bytes() const { return bytes_; }
  // The first that reaches beyond `offset`; all().end() when none does.
  std::deque<Extent>::const_iterator at(Offset offset) const;

 private:
  // A small partition is told apart finely, so that what retention keeps too much is little; a
  // large one costs no more than 40 bytes a MiB.
  static constexpr std::uint64_t kSmallest = 4 << 10, kLargest = 1 << 20, kShare = 64;

  std::deque<Extent> extents_;
  std::uint64_t bytes_ = 0;
};

template <class Forgotten>
void Extents::trim(Offset start, Forgotten forgotten) {
  while (!extents_.empty() && extents_.front().next <= start) {
    const Extent gone = extents_.front();
    extents_.pop_front();
    bytes_ -= gone.bytes;
    forgotten(gone.segment, gone.bytes, true);
  }
  if (extents_.empty() || extents_.front().first >= start) return;
  Extent& cut = extents_.front();
  const auto records = static_cast<std::uint64_t>(cut.next.value - cut.first.value);
  const auto gone = static_cast<std::uint64_t>(start.value - cut.first.value);
  const std::uint64_t bytes = cut.bytes / records * gone;
  cut.first = start;
  cut.bytes -= bytes;
  bytes_ -= bytes;
  forgotten(cut.segment, bytes, false);
}

template <class Forgotten>
void Extents::shrink(Offset first, Offset next, std::uint64_t gone, Forgotten forgotten) {
  const auto begin = extents_.begin() + (at(first) - extents_.begin());
  auto end = begin;
  std::uint64_t all = 0;
  for (; end != extents_.end() && end->first < next; ++end) all += end->bytes;
  gone = std::min(gone, all);
  if (gone == 0) return;
  for (auto it = begin; it != end; ++it) {
    const auto share = static_cast<std::uint64_t>(
        static_cast<double>(gone) * static_cast<double>(it->bytes) / static_cast<double>(all));
    it->bytes -= share;
    bytes_ -= share;
    forgotten(it->segment, share, false);
  }
}

}  // namespace leat::storage
