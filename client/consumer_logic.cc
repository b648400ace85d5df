#include "client/consumer_logic.h"

#include <utility>

namespace leat {

std::vector<ConsumerLogic::Fetch> ConsumerLogic::wanted() {
  std::vector<Fetch> fetches;
  for (auto& [index, partition] : partitions_) {
    if (partition.in_flight || partition.held_bytes >= prefetch_bytes_) continue;
    partition.in_flight = true;
    fetches.push_back({index, partition.fetch_from});
  }
  return fetches;
}

Result<> ConsumerLogic::fetched(PartitionIndex index, Bytes batches, Offset high_watermark) {
  Partition& partition = partitions_.at(index);
  partition.in_flight = false;
  partition.high_watermark = high_watermark;
  Offset next = partition.fetch_from;
  for (Bytes rest = batches; !rest.empty();) {
    auto batch = RecordBatchView::parse(rest);
    if (!batch) return fail(batch.error());
    if (auto ok = batch->validate(); !ok) return ok;
    const bool first = rest.size() == batches.size();
    if (batch->base_offset() > next || (!first && batch->base_offset() != next) ||
        batch->last_offset() < next)
      return fail(ErrorCode::kInvalidBatch, "fetched batches do not adjoin");
    next = batch->last_offset() + 1;
    rest = rest.subspan(batch->bytes().size());
  }
  if (batches.empty()) return {};
  partition.fetch_from = next;
  partition.held_bytes += batches.size();
  partition.held.emplace_back(batches.begin(), batches.end());
  return {};
}

bool ConsumerLogic::holds_records() const {
  for (const auto& [index, partition] : partitions_)
    if (!partition.held.empty()) return true;
  return false;
}

ConsumerLogic::Records ConsumerLogic::take() {
  Records records;
  auto it = partitions_.upper_bound(turn_);
  for (std::size_t i = 0; i < partitions_.size(); ++i, ++it) {
    if (it == partitions_.end()) it = partitions_.begin();
    Partition& partition = it->second;
    if (partition.held.empty()) continue;
    turn_ = it->first;
    given_ = std::move(partition.held.front());
    partition.held.pop_front();
    partition.held_bytes -= given_.size();
    for (Bytes rest(given_); !rest.empty();) {
      const auto batch = RecordBatchView::parse(rest);
      for (const RecordView& record : *batch) {
        if (record.offset < partition.position) continue;  // the batch began before the position
        records.push_back({it->first, record.offset, record.timestamp_ms, record.key, record.value,
                           record.headers});
      }
      partition.position = batch->last_offset() + 1;
      rest = rest.subspan(batch->bytes().size());
    }
    break;
  }
  return records;
}

std::vector<std::pair<PartitionIndex, Offset>> ConsumerLogic::positions() const {
  std::vector<std::pair<PartitionIndex, Offset>> all;
  for (const auto& [index, partition] : partitions_) all.emplace_back(index, partition.position);
  return all;
}

}  // namespace leat
