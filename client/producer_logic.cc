#include "client/producer_logic.h"

#include <algorithm>

namespace leat {
namespace {

constexpr std::size_t kRemembered = 5;  // batches that the broker knows again

// Says that the broker has not stored the batch because it misses the one before, or its producer.
bool is_gap(ErrorCode code) {
  return code == ErrorCode::kOutOfSequence || code == ErrorCode::kUnknownProducer ||
         code == ErrorCode::kProducerFenced;
}

}  // namespace

ProducerLogic::ProducerLogic(const ProducerOptions& options) : options_(options) {
  if (options_.idempotent) options_.max_in_flight = std::min(options_.max_in_flight, kRemembered);
}

// ---- identity ----

bool ProducerLogic::Partition::under_way() const {
  return std::ranges::any_of(batches, &Batch::sent);
}

bool ProducerLogic::needs_identity() const {
  if (!options_.idempotent) return false;
  if (!identity_) return true;
  return std::ranges::any_of(partitions_, [](const auto& entry) {
    return entry.second.in_doubt && !entry.second.batches.empty() && !entry.second.under_way();
  });
}

void ProducerLogic::set_identity(ProducerIdentity identity) {
  if (!identity_) {
    identity_ = identity;
    return;
  }
  for (auto& [index, partition] : partitions_)
    if (partition.in_doubt && !partition.under_way()) renumber(partition, identity);
}

void ProducerLogic::renumber(Partition& partition, ProducerIdentity identity) {
  partition.identity = identity;
  partition.next_sequence = 0;
  partition.in_doubt = false;
  for (Batch& batch : partition.batches) {
    batch.sequence.reset();
    if (batch.closed) number(partition, batch);
  }
}

// Gives a closed batch its place behind all before it.
void ProducerLogic::number(Partition& partition, Batch& batch) {
  if (!options_.idempotent || batch.sequence || !identity_ || partition.in_doubt) return;
  if (!partition.identity) partition.identity = identity_;
  batch.sequence = partition.next_sequence;
  const auto records = static_cast<std::int32_t>(batch.handlers.size());
  partition.next_sequence = next_sequence(partition.next_sequence, records);
  assign_producer(batch.bytes, *partition.identity, *batch.sequence);
}

// ---- records ----

bool ProducerLogic::append(PartitionIndex index, const RecordData& record,
                           std::int64_t timestamp_ms, AckHandler handler, MonotonicTime now) {
  Partition& partition = partitions_[index];
  const std::size_t size = RecordBatchBuilder::max_record_size(record);
  bool changed = false;
  if (!partition.batches.empty() && !partition.batches.back().closed &&
      partition.batches.back().builder.size() + size > options_.batch_bytes)
    close(partition, partition.batches.back());
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

void ProducerLogic::close(Partition& partition, Batch& batch) {
  const bool numbered =
      options_.idempotent && identity_ && !partition.in_doubt &&
      (partition.batches.size() == 1 || partition.batches[partition.batches.size() - 2].sequence);
  if (numbered) {  // what number() would do, without a second checksum
    if (!partition.identity) partition.identity = identity_;
    batch.sequence = partition.next_sequence;
    partition.next_sequence = next_sequence(partition.next_sequence, batch.builder.record_count());
    batch.builder.set_producer(*partition.identity, *batch.sequence);
  }
  batch.bytes = batch.builder.take(options_.compression);
  batch.closed = true;
}

bool ProducerLogic::may_send(const Partition& partition) const {
  return !options_.idempotent || (identity_ && !partition.in_doubt);
}

std::vector<ProducerLogic::Outgoing> ProducerLogic::ready(MonotonicTime now) {
  std::vector<Outgoing> outgoing;
  for (auto& [index, partition] : partitions_) {
    if (!may_send(partition)) continue;
    std::size_t in_flight = 0;
    for (Batch& batch : partition.batches) {
      if (in_flight >= options_.max_in_flight) break;
      ++in_flight;
      if (batch.sent) continue;
      const bool due = batch.id <= flush_through_ || batch.created + options_.linger <= now ||
                       batch.builder.size() >= options_.batch_bytes;
      if (!batch.closed && !due) break;
      if (!batch.closed) close(partition, batch);
      number(partition, batch);
      batch.sent = true;
      outgoing.push_back({batch.id, index, batch.bytes});
    }
  }
  return outgoing;
}

void ProducerLogic::settle(PartitionIndex index, std::size_t at, const Told& told,
                           std::vector<Outcome>& outcomes) {
  auto& batches = partitions_.at(index).batches;
  Batch& batch = batches[at];
  for (std::size_t i = 0; i < batch.handlers.size(); ++i) {
    if (!batch.handlers[i]) continue;
    Result<Ack> result = fail(ErrorCode::kInternal);
    if (!told)
      result = fail(told.error());
    else if (told->base_offset.value < 0)
      result = Ack{index, Offset(-1), told->durability, told->duplicate};
    else
      result = Ack{index, told->base_offset + static_cast<std::int64_t>(i), told->durability,
                   told->duplicate};
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

void ProducerLogic::acknowledged(BatchId id, const native::ProduceReply& reply,
                                 std::vector<Outcome>& outcomes) {
  find(id, [&](PartitionIndex index, std::size_t at) { settle(index, at, reply, outcomes); });
}

void ProducerLogic::failed(BatchId id, const Error& error, std::vector<Outcome>& outcomes) {
  find(id, [&](PartitionIndex index, std::size_t at) {
    Partition& partition = partitions_.at(index);
    Batch& batch = partition.batches[at];
    const bool numbered = batch.sequence.has_value();
    if (numbered && error.code == ErrorCode::kDuplicateSequence)
      return settle(index, at, native::ProduceReply{.base_offset = Offset(-1), .duplicate = true},
                    outcomes);
    if (numbered) partition.in_doubt = true;
    batch.sent = false;
    if (numbered && is_gap(error.code)) return;  // sent again under another id
    settle(index, at, fail(error), outcomes);
  });
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
