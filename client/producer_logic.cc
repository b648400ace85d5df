#include "client/producer_logic.h"

#include <algorithm>

namespace leat {

bool ProducerLogic::append(PartitionIndex index, const RecordData& record,
                           std::int64_t timestamp_ms, AckHandler handler, MonotonicTime now) {
  Partition& partition = partitions_[index];
  const std::size_t size = RecordBatchBuilder::max_record_size(record);
  bool changed = false;
  if (!partition.batches.empty() && !partition.batches.back().closed &&
      partition.batches.back().builder.size() + size > options_.batch_bytes)
    close(partition.batches.back());
  if (partition.batches.empty() || partition.batches.back().closed) {
    Batch& fresh = partition.batches.emplace_back();
    fresh.id = ++last_id_;
    fresh.created = now;
    ++batches_;
    sticky_done_ = true;
    changed = true;
  }
  Batch& batch = partition.batches.back();
  const std::size_t before = batch.builder.size();
  batch.builder.append(record, timestamp_ms);
  const std::size_t grown = batch.builder.size() - before;
  batch.charge += grown;
  buffered_bytes_ += grown;
  batch.handlers.push_back(std::move(handler));
  return changed || batch.builder.size() >= options_.batch_bytes;
}

bool ProducerLogic::done_through(BatchId id) const {
  for (const auto& [index, partition] : partitions_)
    if (!partition.batches.empty() && partition.batches.front().id <= id) return false;
  return true;
}

PartitionIndex ProducerLogic::sticky_partition(std::int32_t partitions) {
  const auto it = partitions_.find(PartitionIndex(sticky_));
  const bool open =
      it != partitions_.end() && !it->second.batches.empty() && !it->second.batches.back().closed;
  if (!open && std::exchange(sticky_done_, false)) sticky_ += 1;
  sticky_ %= partitions;
  return PartitionIndex(sticky_);
}

void ProducerLogic::close(Batch& batch) {
  batch.bytes = batch.builder.take(options_.compression);
  batch.closed = true;
}

std::vector<ProducerLogic::Outgoing> ProducerLogic::ready(MonotonicTime now) {
  std::vector<Outgoing> outgoing;
  for (auto& [index, partition] : partitions_) {
    std::size_t in_flight = 0;
    for (Batch& batch : partition.batches) {
      if (in_flight >= options_.max_in_flight) break;
      ++in_flight;
      if (batch.sent) continue;
      const bool due = batch.id <= flush_through_ || batch.created + options_.linger <= now ||
                       batch.builder.size() >= options_.batch_bytes;
      if (!batch.closed && !due) break;
      if (!batch.closed) close(batch);
      batch.sent = true;
      outgoing.push_back({batch.id, index, batch.bytes});
    }
  }
  return outgoing;
}

void ProducerLogic::settle(PartitionIndex index, std::size_t at, const Result<Offset>& base,
                           std::vector<Outcome>& outcomes) {
  auto& batches = partitions_.at(index).batches;
  Batch& batch = batches[at];
  for (std::size_t i = 0; i < batch.handlers.size(); ++i) {
    if (!batch.handlers[i]) continue;
    Result<Ack> result = fail(ErrorCode::kInternal);
    if (base)
      result = Ack{index, *base + static_cast<std::int64_t>(i)};
    else
      result = fail(base.error());
    outcomes.push_back({std::move(batch.handlers[i]), std::move(result)});
  }
  buffered_bytes_ -= batch.charge;
  batches.erase(batches.begin() + static_cast<std::ptrdiff_t>(at));
  --batches_;
}

template <class Settle>
void ProducerLogic::find(BatchId id, Settle settle) {
  for (auto& [index, partition] : partitions_)
    for (std::size_t at = 0; at < partition.batches.size(); ++at)
      if (partition.batches[at].id == id) return settle(index, at);
}

void ProducerLogic::acknowledged(BatchId id, Offset base, std::vector<Outcome>& outcomes) {
  find(id, [&](PartitionIndex index, std::size_t at) { settle(index, at, base, outcomes); });
}

void ProducerLogic::failed(BatchId id, const Error& error, std::vector<Outcome>& outcomes) {
  find(id, [&](PartitionIndex index, std::size_t at) { settle(index, at, fail(error), outcomes); });
}

void ProducerLogic::disconnected() {
  for (auto& [index, partition] : partitions_)
    for (Batch& batch : partition.batches) batch.sent = false;
}

void ProducerLogic::expire(MonotonicTime now, std::vector<Outcome>& outcomes) {
  for (auto& [index, partition] : partitions_)
    while (!partition.batches.empty() &&
           partition.batches.front().created + options_.delivery_timeout <= now)
      settle(index, 0,
             fail(ErrorCode::kTimedOut,
                  "not acknowledged within the delivery timeout; whether it "
                  "was stored is unknown"),
             outcomes);
}

void ProducerLogic::fail_all(const Error& error, std::vector<Outcome>& outcomes) {
  for (auto& [index, partition] : partitions_)
    while (!partition.batches.empty()) settle(index, 0, fail(error), outcomes);
}

std::optional<MonotonicTime> ProducerLogic::next_deadline(MonotonicTime now) const {
  std::optional<MonotonicTime> next;
  const auto earlier = [&](MonotonicTime when) { next = next ? std::min(*next, when) : when; };
  for (const auto& [index, partition] : partitions_) {
    if (partition.batches.empty()) continue;
    earlier(partition.batches.front().created + options_.delivery_timeout);
    const Batch& last = partition.batches.back();
    if (!last.closed && last.created + options_.linger > now)
      earlier(last.created + options_.linger);
  }
  return next;
}

}  // namespace leat
