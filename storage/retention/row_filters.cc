#include "storage/retention/row_filters.h"

#include <algorithm>
#include <utility>

#include "protocol/record_batch.h"
#include "storage/keys.h"

namespace leat::storage {
namespace {
std::string text(const keys::RecordKey& key) {
  return std::string(keys::view(key));
}
}  // namespace

std::string LiveRows::next_kept(std::string_view key) {
  const std::uint32_t segment = keys::segment_of(key);
  const PartitionId partition = keys::partition_of(key);
  if (partition == keys::kFooterPartition) {
    if (!index_.dead(segment, segment, persisted_)) return std::string(key);
    gone_.insert(segment);
    return text(keys::record(segment + 1, PartitionId(0), Offset(0)));
  }
  const auto start = starts_.find(partition);
  if (start == starts_.end()) return text(keys::record(segment, partition + 1, Offset(0)));
  if (keys::last_offset_of(key) >= start->second) return std::string(key);
  return text(keys::record(segment, partition, start->second));
}

std::optional<std::string> LiveRows::replaced(std::string_view key, std::string_view value) {
  if (keys::partition_of(key) != keys::kFooterPartition) return taken_in(key, value);
  const std::uint32_t segment = keys::segment_of(key);
  auto footer = Footer::decode(value, segment);
  if (!footer || !settle(*footer, segment)) return std::nullopt;
  return footer->encode();
}

// What fails its checksum is copied as it is: who reads it is to know.
std::optional<std::string> LiveRows::taken_in(std::string_view key, std::string_view value) {
  const auto ref = takes_in_ ? LargeRef::decode(value) : std::nullopt;
  if (!ref) return std::nullopt;
  const auto batch = reader_.read(keys::partition_of(key), *ref);
  if (batch) return std::string(as_text(*batch));
  left_[keys::segment_of(key)].insert(ref->file);
  return std::nullopt;
}

bool LiveRows::settle(Footer& footer, std::uint32_t segment) const {
  if (!takes_in_ || segment < first_whole_ || segment > last_whole_) return false;
  const auto left = left_.find(segment);
  return std::erase_if(footer.large, [&](const LargeShare& share) {
           return left == left_.end() || !left->second.contains(share.file);
         }) > 0;
}

std::optional<std::string> CompactedRows::replaced(std::string_view key, std::string_view value) {
  const PartitionId partition = keys::partition_of(key);
  if (partition == keys::kFooterPartition) return footer(keys::segment_of(key), value);
  auto batch = taken_in(key, value);
  const auto to = to_.find(partition);
  if (to == to_.end()) return batch;
  const std::string_view whole = batch ? std::string_view(*batch) : value;
  auto smaller =
      keys::last_offset_of(key) < to->second ? compacted(partition, whole) : std::nullopt;
  const auto ref = LargeRef::decode(whole);
  const std::uint64_t size = ref ? ref->batch_bytes() : whole.size();
  rows_.push_back({partition, keys::last_offset_of(key), smaller ? smaller->size() : size});
  return smaller ? smaller : batch;
}

// A batch that fails its checksum stays as it is: who reads it is to know.
std::optional<std::string> CompactedRows::compacted(PartitionId partition, std::string_view value) {
  const auto batch = RecordBatchView::parse(as_bytes(value));
  if (!batch || !batch->check()) return std::nullopt;
  auto filtered =
      filter_records(*batch, [&](const RecordView& record) { return keeps(partition, record); });
  if (!filtered || !filtered->changed) return std::nullopt;
  return std::string(as_text(filtered->bytes));
}

bool CompactedRows::keeps(PartitionId partition, const RecordView& record) {
  if (!record.key) return true;
  const auto newest = keys_.newest(partition, *record.key);
  if (newest && *newest > record.offset) return false;
  return record.value ||
         WallTime(std::chrono::milliseconds(record.timestamp_ms)) >= deletions_before_;
}

// The rows of a segment come before its footer. A segment of which a part lies in another file has
// rows that were not seen: it stays as it is.
std::optional<std::string> CompactedRows::footer(std::uint32_t segment, std::string_view value) {
  const std::vector<Row> rows = std::exchange(rows_, {});
  auto footer = Footer::decode(value, segment);
  if (!footer) return std::nullopt;
  bool changed = settle(*footer, segment);
  for (auto& [partition, extent] : footer->ranges) {
    if (!to_.contains(partition)) continue;
    std::uint64_t bytes = 0;
    auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& at) {
      return at.partition == partition && at.last >= extent.first;
    });
    for (; row != rows.end() && row->partition == partition && row->last < extent.next; ++row)
      bytes += row->bytes;
    if (bytes == 0 || bytes >= extent.bytes) continue;
    shrunk_.push_back({partition, extent, bytes});
    extent.bytes = bytes;
    changed = true;
  }
  if (!changed) return std::nullopt;
  return footer->encode();
}

}  // namespace leat::storage
