#include "storage/retention/extents.h"

#include <algorithm>

namespace leat::storage {

void Extents::add(const Extent& batch) {
  const std::uint64_t most = std::clamp(bytes_ / kShare, kSmallest, kLargest);
  if (extents_.empty() || extents_.back().segment != batch.segment ||
      extents_.back().bytes + batch.bytes > most)
    return load(batch);
  Extent& last = extents_.back();
  last.next = batch.next;
  last.bytes += batch.bytes;
  last.max_timestamp_ms = std::max(last.max_timestamp_ms, batch.max_timestamp_ms);
  bytes_ += batch.bytes;
}

void Extents::load(const Extent& extent) {
  extents_.push_back(extent);
  bytes_ += extent.bytes;
}

std::deque<Extent>::const_iterator Extents::at(Offset offset) const {
  return std::ranges::partition_point(
      extents_, [offset](const Extent& extent) { return extent.next <= offset; });
}

}  // namespace leat::storage
