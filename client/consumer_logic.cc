#include "client/consumer_logic.h"

#include <utility>

namespace leat {

void ConsumerLogic::assign(PartitionIndex index, Offset position) {
  const bool paused = assigned(index) && partitions_.at(index).paused;
  Partition& partition = partitions_[index] = {};
  partition.fetch_from = partition.position = position;
  partition.turn = ++turns_;
  partition.paused = paused;
}

std::vector<ConsumerLogic::Fetch> ConsumerLogic::wanted() {
  std::vector<Fetch> fetches;
  for (auto& [index, partition] : partitions_) {
    if (partition.in_flight || partition.held_bytes >= prefetch_bytes_) continue;
    partition.in_flight = true;
    fetches.push_back({index, partition.fetch_from, partition.epoch, partition.turn});
  }
  return fetches;
}

ConsumerLogic::Partition* ConsumerLogic::find(const Fetch& fetch) {
  const auto it = partitions_.find(fetch.partition);
  return it == partitions_.end() || it->second.turn != fetch.turn ? nullptr : &it->second;
}

void ConsumerLogic::lost(const Fetch& fetch) {
  if (Partition* partition = find(fetch)) partition->in_flight = false;
}

Result<> ConsumerLogic::fetched(const Fetch& fetch, Bytes batches, Offset high_watermark) {
  Partition* found = find(fetch);
  if (!found) return {};
  Partition& partition = *found;
  partition.in_flight = false;
  partition.high_watermark = high_watermark;
  Offset next = partition.fetch_from;
  for (Bytes rest = batches; !rest.empty();) {
    auto batch = RecordBatchView::parse(rest);
    if (!batch) return fail(batch.error());
    if (auto ok = batch->check(); !ok) return ok;
    const bool first = rest.size() == batches.size();
    if (batch->base_offset() > next || (!first && batch->base_offset() != next) ||
        batch->last_offset() < next)
      return fail(ErrorCode::kInvalidBatch, "fetched batches do not adjoin");
    next = batch->last_offset() + 1;
    partition.epoch = batch->leader_epoch();
    rest = rest.subspan(batch->bytes().size());
  }
  if (batches.empty()) return {};
  partition.fetch_from = next;
  partition.held_bytes += batches.size();
  auto bytes = std::make_shared<const std::vector<std::byte>>(batches.begin(), batches.end());
  const Bytes rest(*bytes);
  partition.held.push_back({std::move(bytes), rest});
  return {};
}

bool ConsumerLogic::holds_records() const {
  for (const auto& [index, partition] : partitions_)
    if (!partition.held.empty() && !partition.paused) return true;
  return false;
}

Result<ConsumerLogic::Records> ConsumerLogic::take() {
  Records records;
  readers_.clear();
  auto it = partitions_.upper_bound(served_);
  for (std::size_t i = 0; i < partitions_.size(); ++i, ++it) {
    if (it == partitions_.end()) it = partitions_.begin();
    if (it->second.held.empty() || it->second.paused) continue;
    served_ = it->first;
    if (auto ok = take_from(it->first, it->second, records); !ok && records.empty())
      return fail(ok.error());
    break;
  }
  return records;
}

// An error leaves what was not taken where it is: the next call meets it first.
Result<> ConsumerLogic::take_from(PartitionIndex index, Partition& partition, Records& records) {
  Held& held = partition.held.front();
  given_ = held.bytes;
  std::size_t decompressed = 0;
  do {
    const auto batch = RecordBatchView::parse(held.rest);
    auto reader = RecordReader::open(*batch, decompressed_bytes_);
    if (!reader) return fail(reader.error());
    decompressed += reader->decompressed_bytes();
    for (const RecordView& record : *reader) {
      if (record.offset < partition.position) continue;  // the batch began before the position
      records.push_back(
          {index, record.offset, record.timestamp_ms, record.key, record.value, record.headers});
    }
    readers_.push_back(std::move(*reader));
    partition.position = batch->last_offset() + 1;
    partition.held_bytes -= batch->bytes().size();
    held.rest = held.rest.subspan(batch->bytes().size());
  } while (!held.rest.empty() && decompressed < prefetch_bytes_);
  if (held.rest.empty()) partition.held.pop_front();
  return {};
}

std::vector<std::pair<PartitionIndex, Offset>> ConsumerLogic::positions() const {
  std::vector<std::pair<PartitionIndex, Offset>> all;
  for (const auto& [index, partition] : partitions_) all.emplace_back(index, partition.position);
  return all;
}

}  // namespace leat
