#include "storage/retention/retention.h"

namespace leat::storage {

Offset first_kept(const Extents& extents, Offset log_start, Offset end, const Retention& retention,
                  WallTime now) {
  const std::int64_t oldest_ms = now.time_since_epoch().count() - retention.time.count();
  std::uint64_t bytes = extents.bytes();
  Offset kept = log_start;
  for (const Extent& extent : extents.all()) {
    if (extent.next > end) break;
    const bool too_old = retention.time.count() >= 0 && extent.max_timestamp_ms < oldest_ms;
    const bool too_much =
        retention.bytes >= 0 && bytes - extent.bytes >= static_cast<std::uint64_t>(retention.bytes);
    const bool too_many =
        retention.records >= 0 && end.value - extent.next.value >= retention.records;
    if (!too_old && !too_much && !too_many) break;
    bytes -= extent.bytes;
    kept = extent.next;
  }
  return kept;
}

}  // namespace leat::storage
