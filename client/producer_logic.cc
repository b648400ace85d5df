#include "client/producer_logic.h"

#include <algorithm>

#include "protocol/record_extras.h"

namespace leat {
namespace {

// The broker remembers that many batches of a producer and partition.
constexpr std::size_t kIdempotentWindow = 5;
constexpr std::size_t kMostSpares = 8;

ProducerOptions bounded(ProducerOptions options) {
  if (options.source) options.idempotent = false;  // instead
  if (options.idempotent)
    options.max_in_flight = std::min(options.max_in_flight, kIdempotentWindow);
  options.max_in_flight = std::max<std::size_t>(options.max_in_flight, 1);
  return options;
}

}  // namespace

ProducerLogic::ProducerLogic(const ProducerOptions& options)
    : options_(bounded(options)), identity_wanted_(options_.idempotent) {}

// ---- gathering ----

bool ProducerLogic::append(Target target, const RecordData& record, std::int64_t timestamp_ms,
                           AckHandler handler, MonotonicTime now, Number number,
                           const std::optional<SourcePosition>& position) {
  Partition& partition = partitions_[target];
  if (position) {
    partition.last = *position;
    if (*position <= stored(target)) {
      stored_already_.push_back({std::move(handler), Ack{target.partition, Offset(-1),
                                                         sources_[target.topic].durability, true}});
      return true;
    }
  }
  const std::size_t size = RecordBatchBuilder::max_record_size(record);
  bool changed = false;
  if (!partition.batches.empty() && !partition.batches.back().closed &&
      (partition.batches.back().builder.size() + size > options_.batch_bytes ||
       partition.batches.back().handlers.size() >= kMaxIdsInBatch))
    close(partition.batches.back());
  if (partition.batches.empty() || partition.batches.back().closed) {
    Batch& fresh = partition.batches.emplace_back(take_spare());
    fresh.number = number;
    fresh.created = now;
    ++batches_;
    sticky_[target.topic].done = true;
    changed = true;
  }
  Batch& batch = partition.batches.back();
  const std::size_t before = batch.builder.size();
  batch.builder.append(record, timestamp_ms);
  const std::size_t grown = batch.builder.size() - before;
  batch.charge += grown;
  buffered_bytes_ += grown;
  if (position) {
    if (batch.handlers.empty()) batch.first = *position;
    batch.to = *position;
  }
  batch.handlers.push_back(std::move(handler));
  return changed || batch.builder.size() >= options_.batch_bytes;
}

std::vector<std::byte> ProducerLogic::take_spare() {
  if (spares_.empty()) return {};
  std::vector<std::byte> spare = std::move(spares_.back());
  spares_.pop_back();
  return spare;
}

void ProducerLogic::keep_spare(std::vector<std::byte> buffer) {
  if (batches_ == 0) spares_.clear();
  if (batches_ > 0 && spares_.size() < kMostSpares) spares_.push_back(std::move(buffer));
}

PartitionIndex ProducerLogic::sticky_partition(std::uint32_t topic, std::int32_t partitions) {
  Sticky& sticky = sticky_[topic];
  const auto it = partitions_.find({topic, PartitionIndex(sticky.partition)});
  const bool open =
      it != partitions_.end() && !it->second.batches.empty() && !it->second.batches.back().closed;
  if (!open && std::exchange(sticky.done, false)) sticky.partition += 1;
  sticky.partition %= partitions;
  return PartitionIndex(sticky.partition);
}

void ProducerLogic::close(Batch& batch) {
  batch.records = batch.builder.record_count();
  batch.bytes = batch.builder.take(options_.compression);
  batch.closed = true;
}

bool ProducerLogic::done_through(Number number) const {
  if (!stored_already_.empty()) return false;
  for (const auto& [target, partition] : partitions_)
    if (!partition.batches.empty() && partition.batches.front().number <= number) return false;
  return true;
}

// ---- sending ----

bool ProducerLogic::due(const Batch& batch, MonotonicTime now) const {
  return batch.closed || batch.number <= flush_through_ || batch.created + options_.linger <= now ||
         batch.builder.size() >= options_.batch_bytes;
}

std::vector<ProducerLogic::Outgoing> ProducerLogic::ready(MonotonicTime now) {
  std::vector<Outgoing> outgoing;
  for (auto& [target, partition] : partitions_) {
    if (gone_.contains(target.topic)) continue;
    std::size_t in_flight = 0;
    for (Batch& batch : partition.batches) {
      if (in_flight++ >= options_.max_in_flight) break;
      if (batch.in_flight || (partition.gap && !named(batch))) continue;
      if (!due(batch, now)) break;
      if (!batch.closed) close(batch);
      if (!named(batch) && !name(target, partition, batch)) break;
      batch.in_flight = true;
      ++batch.sendings;
      outgoing.push_back({{target, batch.number}, batch.bytes});
      if (batch.from) outgoing.back().source = {*options_.source, *batch.from, batch.to};
    }
  }
  return outgoing;
}

// By which the broker knows a batch that comes again.
bool ProducerLogic::named(const Batch& batch) const {
  if (options_.source) return batch.from.has_value();
  return !options_.idempotent || batch.sequence;
}

bool ProducerLogic::name(Target target, Partition& partition, Batch& batch) {
  if (!options_.source) return number(partition, batch);
  if (!partition.reached) partition.reached = stored(target);
  // Where another producer of the name was at work meanwhile, the broker is to say so.
  batch.from = *partition.reached < batch.first ? *partition.reached : SourcePosition();
  partition.reached = batch.to;
  return true;
}

// False: there is no identity to number it under, so far.
bool ProducerLogic::number(Partition& partition, Batch& batch) {
  if (!partition.identity) {
    if (!identity_) {
      identity_wanted_ = true;
      return false;
    }
    partition.identity = identity_;
    partition.next_sequence = 0;
  }
  batch.sequence = partition.next_sequence;
  partition.next_sequence = next_sequence(partition.next_sequence, batch.records);
  assign_producer(batch.bytes, *partition.identity, *batch.sequence);
  return true;
}

bool ProducerLogic::wants_identity() {
  return std::exchange(identity_wanted_, false) && !identity_;
}

// ---- answers ----

std::optional<std::pair<ProducerLogic::Partitions::iterator, std::size_t>> ProducerLogic::find(
    const BatchName& name) {
  const auto it = partitions_.find(name.target);
  if (it == partitions_.end()) return std::nullopt;
  auto& batches = it->second.batches;
  const auto at = std::ranges::lower_bound(batches, name.number, {}, &Batch::number);
  if (at == batches.end() || at->number != name.number) return std::nullopt;
  return std::pair(it, static_cast<std::size_t>(at - batches.begin()));
}

void ProducerLogic::settle(Partitions::iterator at, std::size_t index, const Result<Ack>& first,
                           std::vector<Outcome>& outcomes, KnownRecords known) {
  auto& batches = at->second.batches;
  Batch& batch = batches[index];
  for (std::size_t i = 0; i < batch.handlers.size(); ++i) {
    while (!known.empty() && i >= std::uint64_t{known.front().index} + known.front().records)
      known = known.subspan(1);
    if (!batch.handlers[i]) continue;
    Result<Ack> result = first;
    if (result) {
      result->partition = at->first.partition;
      if (!known.empty() && i >= known.front().index) {
        result->offset = known.front().offset + static_cast<std::int64_t>(i - known.front().index);
        result->duplicate = true;
      } else if (first->offset.value >= 0) {
        result->offset = first->offset + static_cast<std::int64_t>(i);
      }
    }
    outcomes.push_back({std::move(batch.handlers[i]), std::move(result)});
  }
  buffered_bytes_ -= batch.charge;
  if (!first && batch.sequence) at->second.gap = true;
  std::vector<std::byte> buffer = std::move(batch.bytes);
  batches.erase(batches.begin() + static_cast<std::ptrdiff_t>(index));
  --batches_;
  keep_spare(std::move(buffer));
  close_gap(at->second);
}

void ProducerLogic::not_stored(Partition& partition, Batch& batch) {
  batch.in_flight = false;
  batch.sequence.reset();
  batch.from.reset();
  batch.sendings = 0;
  partition.gap = true;
}

// Once nothing is on its way under the old identity, the rest may be numbered anew.
void ProducerLogic::close_gap(Partition& partition) {
  if (!partition.gap) return;
  for (const Batch& batch : partition.batches)
    if (batch.sequence || batch.from) return;
  partition.gap = false;
  partition.reached.reset();
  if (identity_ == partition.identity) identity_.reset();
  partition.identity.reset();
}

void ProducerLogic::acknowledged(const BatchName& name, const Ack& first,
                                 std::vector<Outcome>& outcomes, KnownRecords known) {
  if (const auto at = find(name)) settle(at->first, at->second, first, outcomes, known);
}

void ProducerLogic::refused(const BatchName& name, const Error& error,
                            std::vector<Outcome>& outcomes) {
  const auto at = find(name);
  if (!at) return;
  Partition& partition = at->first->second;
  Batch& batch = partition.batches[at->second];
  const bool unknown = error.code == ErrorCode::kUnknownProducer;
  if (error.code == ErrorCode::kDuplicateSequence) {
    const Ack stored{name.target.partition, Offset(-1), Durability::kSync, true};
    settle(at->first, at->second, stored, outcomes);
  } else if (error.code == ErrorCode::kProducerFenced) {
    fenced_ = error;
    fail_all(error, outcomes);
  } else if (batch.sequence &&
             (error.code == ErrorCode::kOutOfSequence || (unknown && batch.sendings == 1))) {
    not_stored(partition, batch);
    close_gap(partition);
  } else if (unknown) {
    // An earlier sending may have been stored before the broker forgot: not for us to repeat.
    fail_batch(at->first, at->second,
               {ErrorCode::kOutcomeUnknown, "the broker forgot the producer meanwhile"}, outcomes);
  } else {
    fail_batch(at->first, at->second, error, outcomes);
  }
}

// Of a source all that follows fails, too, or there would be a gap.
void ProducerLogic::fail_batch(Partitions::iterator at, std::size_t index, const Error& error,
                               std::vector<Outcome>& outcomes) {
  if (options_.source && !at->second.broken) {
    at->second.broken = error;
    while (at->second.batches.size() > index) settle(at, index, fail(error), outcomes);
  } else {
    settle(at, index, fail(error), outcomes);
  }
}

void ProducerLogic::topic_gone(const BatchName& name) {
  gone_.insert(name.target.topic);
  const auto at = find(name);
  if (!at) return;
  Partition& partition = at->first->second;
  Batch& batch = partition.batches[at->second];
  not_stored(partition, batch);
  close_gap(partition);
}

void ProducerLogic::disconnected() {
  if (options_.idempotent && !identity_) identity_wanted_ = true;
  for (auto& [target, partition] : partitions_)
    for (Batch& batch : partition.batches) batch.in_flight = false;
}

// ---- giving up ----

void ProducerLogic::expire(MonotonicTime now, std::vector<Outcome>& outcomes) {
  for (auto it = partitions_.begin(); it != partitions_.end(); ++it)
    while (!it->second.batches.empty() &&
           it->second.batches.front().created + options_.delivery_timeout <= now)
      fail_batch(it, 0,
                 {ErrorCode::kTimedOut,
                  it->second.batches.front().sendings == 0
                      ? "not sent within the delivery timeout: it was not stored"
                      : "not acknowledged within the delivery timeout; whether it was stored is "
                        "unknown"},
                 outcomes);
}

void ProducerLogic::settle_all(Partitions::iterator at, const Error& error,
                               std::vector<Outcome>& outcomes) {
  while (!at->second.batches.empty()) fail_batch(at, 0, error, outcomes);
}

void ProducerLogic::fail_topic(std::uint32_t topic, const Error& error,
                               std::vector<Outcome>& outcomes) {
  gone_.erase(topic);
  for (auto it = partitions_.begin(); it != partitions_.end(); ++it)
    if (it->first.topic == topic) settle_all(it, error, outcomes);
}

void ProducerLogic::fail_all(const Error& error, std::vector<Outcome>& outcomes) {
  for (auto it = partitions_.begin(); it != partitions_.end(); ++it)
    settle_all(it, error, outcomes);
}

// ---- a source ----

void ProducerLogic::learned(std::uint32_t topic, std::vector<SourcePosition> stored,
                            Durability durability) {
  sources_[topic] = {std::move(stored), durability};
}

SourcePosition ProducerLogic::stored(Target target) const {
  const auto it = sources_.find(target.topic);
  const auto at = static_cast<std::size_t>(target.partition.value);
  if (it == sources_.end() || at >= it->second.positions.size()) return {};
  return it->second.positions[at];
}

Result<> ProducerLogic::admit(Target target, const std::optional<SourcePosition>& position) const {
  if (!options_.source && !position) return {};
  if (!options_.source || !position)
    return fail(ErrorCode::kInvalidRequest,
                options_.source
                    ? "a record without source_position, by a producer that has a source"
                    : "a record with source_position; name ProducerOptions::source, too");
  const auto it = partitions_.find(target);
  if (it != partitions_.end() && it->second.broken) return fail(*it->second.broken);
  const SourcePosition last = it == partitions_.end() ? SourcePosition() : it->second.last;
  if (*position > last) return {};
  return fail(ErrorCode::kInvalidRequest,
              "source_position " + text_of(*position) + " behind one at " + text_of(last) +
                  " in partition " + std::to_string(target.partition.value) +
                  "; positions rise from one record of a partition to the next");
}

void ProducerLogic::take_stored(std::vector<Outcome>& outcomes) {
  std::ranges::move(stored_already_, std::back_inserter(outcomes));
  stored_already_.clear();
}

std::optional<MonotonicTime> ProducerLogic::next_deadline(MonotonicTime now) const {
  std::optional<MonotonicTime> next;
  const auto earlier = [&](MonotonicTime when) { next = next ? std::min(*next, when) : when; };
  for (const auto& [target, partition] : partitions_) {
    if (partition.batches.empty()) continue;
    earlier(partition.batches.front().created + options_.delivery_timeout);
    const Batch& last = partition.batches.back();
    if (!last.closed && last.created + options_.linger > now)
      earlier(last.created + options_.linger);
  }
  return next;
}

}  // namespace leat
