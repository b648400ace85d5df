// What a storage gives to readers.
#include <algorithm>

#include "storage/disk_storage.h"

namespace leat::storage {

std::uint64_t DiskStorage::stored_bytes(PartitionId partition) const {
  const auto it = logs_.find(partition);
  return it == logs_.end() ? 0 : it->second.extents().bytes();
}

PartitionBounds DiskStorage::bounds(PartitionId partition) const {
  const auto it = logs_.find(partition);
  return it == logs_.end() ? PartitionBounds{} : it->second.bounds();
}

ReadOutcome DiskStorage::read(PartitionId partition, Offset from, std::size_t max_bytes,
                              ReadToken token) {
  const PartitionLog* log = find_log(partition);
  if (!log || from >= log->bounds().high_watermark) return ReadResult{};
  if (auto cached = log->read(from, max_bytes)) return std::move(*cached);
  return cold_reads_.read(partition, from, max_bytes, token);
}

// Nothing behind what is cached, nor what is not visible, is read ahead.
ColdReads::Range DiskStorage::cold_range(PartitionId partition) {
  const PartitionLog* log = find_log(partition);
  if (!log) return ColdReads::kGone;
  const auto [start, high_watermark] = log->bounds();
  return {start, std::min(high_watermark, log->first_cached().value_or(high_watermark))};
}

// The newest records and what is read ahead share one budget.
void DiskStorage::evict() {
  tail_.evict(applied_, cold_reads_.bytes(), [this](PartitionId partition) {
    if (PartitionLog* log = find_log(partition)) log->drop_oldest_cached();
  });
  if (tail_.bytes() + cold_reads_.bytes() > shares_.newest_records) cold_reads_.drop_kept();
}

KnownIdsOutcome DiskStorage::find_ids(PartitionId partition, IdWindow window,
                                      std::span<const IdHash> ids, WallTime now, ReadToken token) {
  IdSearch search = state_.ids.find(partition, window, ids, now);
  if (search.looks.empty()) return std::move(search.known);
  read_thread_->search(std::move(search), token);
  return ReadLater{};
}

Offset DiskStorage::end_of_epoch(PartitionId partition, LeaderEpoch epoch) const {
  const auto it = logs_.find(partition);
  const Offset end = it == logs_.end() ? Offset(0) : it->second.next_offset();
  return state_.epochs.end_of(partition, epoch).value_or(end);
}

}  // namespace leat::storage
