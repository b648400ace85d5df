#include "server/broker/produces.h"

#include <set>

#include "protocol/base/assert.h"
#include "protocol/record_batch.h"
#include "server/broker/partitions.h"

namespace leat::broker {
namespace {

constexpr std::size_t kWaitingBytes = 512;  // what a batch costs beside its own bytes

bool is_compressed(Bytes bytes) {
  const auto batch = RecordBatchView::parse(bytes);
  return batch && batch->compression() != Compression::kNone;
}

}  // namespace

Result<> check_records(Bytes bytes, std::size_t max_decompressed_bytes) {
  auto batch = RecordBatchView::parse(bytes);
  if (!batch) return fail(batch.error());
  if (batch->bytes().size() != bytes.size())
    return fail(ErrorCode::kInvalidBatch, "more than one batch in a produce request");
  return batch->validate(max_decompressed_bytes);
}

// ---- in ----

bool Produces::takes(const TopicId& topic, PartitionIndex partition, Bytes batch) {
  const std::size_t bytes = batch.size() + kWaitingBytes;
  if (waiting_bytes_ == 0 || waiting_bytes_ + bytes <= options_.checking_bytes) return true;
  const auto found = find_partition(storage_, topic, partition);
  if (!found || (!partitions_.contains(found->id) && !is_compressed(batch))) return true;
  refused_ = true;
  return false;
}

void Produces::produce(const RequestId& id, const TopicId& topic, PartitionIndex partition,
                       Bytes batch) {
  const auto found = find_partition(storage_, topic, partition);
  if (!found) return answer(id, found.error());
  auto checked = check_in_place(batch);
  if (checked && !*checked) return answer(id, checked->error());
  if (checked && !partitions_.contains(found->id)) {
    auto [reply, visible] = append(topic, partition, batch);
    answer(id, std::move(reply));
    if (visible) visible_(found->id);
    return;
  }
  auto waiting = std::make_shared<Waiting>();
  waiting->topic = topic;
  waiting->index = partition;
  waiting->batch = std::make_shared<OwnedBatch>(batch.begin(), batch.end());
  waiting->bytes = batch.size() + kWaitingBytes;
  waiting->checked = std::move(checked);
  waiting->connection = id.connection;
  wait({id, std::nullopt, waiting, found->id}, waiting);
}

// None: that would take too long here. What a header declares counts only where it is too much;
// what comes out is counted.
std::optional<Result<>> Produces::check_in_place(Bytes batch) const {
  if (batch.size() > options_.batch_bytes)
    return fail(ErrorCode::kBatchTooLarge, std::to_string(batch.size()) + " bytes; at most " +
                                               std::to_string(options_.batch_bytes));
  if (!is_compressed(batch)) return check_records(batch, options_.decompressed_bytes);
  if (batch.size() > kCheckedInPlaceBytes) return std::nullopt;
  const std::size_t in_place =
      std::min(kCheckedInPlaceDecompressedBytes, options_.decompressed_bytes);
  auto checked = check_records(batch, in_place);
  const bool too_much = !checked && checked.error().code == ErrorCode::kBatchTooLarge;
  if (too_much && in_place < options_.decompressed_bytes) return std::nullopt;
  return checked;
}

void Produces::wait(Slot slot, std::shared_ptr<Waiting> waiting) {
  const PartitionId partition = slot.partition;
  auto& slots = connections_[waiting->connection];
  waiting->slot = slots.insert(slots.end(), std::move(slot));
  waiting_bytes_ += waiting->bytes;
  partitions_[partition].push_back(waiting);
  if (waiting->checked) return;
  const CheckTicket ticket = next_ticket_++;
  const std::weak_ptr<const OwnedBatch> batch = waiting->batch;
  checking_.emplace(ticket, Checking{partition, std::move(waiting)});
  checker_.check(ticket, batch, options_.decompressed_bytes);
}

// ---- out ----

Produces::Outcome Produces::append(const TopicId& topic, PartitionIndex partition, Bytes bytes) {
  const auto found = find_partition(storage_, topic, partition);
  if (!found) return {found.error()};  // deleted while the batch was being checked
  if (options_.max_stored_bytes > 0 &&
      storage_.stored_bytes() + bytes.size() > options_.max_stored_bytes)
    return {Error(ErrorCode::kNoSpace, std::to_string(storage_.stored_bytes()) + " of " +
                                           std::to_string(options_.max_stored_bytes) +
                                           " bytes are in use; records are refused until some go")};
  const TopicConfig& config = found->topic->config;
  const auto batch = RecordBatchView::parse(bytes);
  if (batch->producer_id() >= 0) {
    auto stored = storage_.check_sequence(found->id, *batch);
    if (!stored) return {stored.error()};
    // A retry waits for the original as every reply does.
    if (*stored) return {Produced{**stored, config.durability, true}};
  }
  auto appended = storage_.append(found->id, config, bytes);
  if (!appended) return {appended.error()};
  return {Produced{appended->base, config.durability, false},
          config.durability != Durability::kSync};
}

void Produces::answer(const RequestId& id, Reply reply) {
  const auto it = connections_.find(id.connection);
  if (it == connections_.end()) return replies_.reply(id, std::move(reply));
  it->second.push_back({id, std::move(reply), nullptr, PartitionId()});
}

// What is checked goes in, up to the first that is not. Without room in storage it stays here.
void Produces::advance(PartitionId partition) {
  const auto it = partitions_.find(partition);
  if (it == partitions_.end()) return;
  auto& queue = it->second;
  while (!queue.empty()) {
    const std::shared_ptr<Waiting> first = queue.front();
    if (!first->dropped && (!first->checked || !storage_.has_room())) return;
    queue.pop_front();
    if (first->dropped) continue;
    auto outcome = *first->checked ? append(first->topic, first->index, *first->batch)
                                   : Outcome{first->checked->error()};
    decide(*first, std::move(outcome.reply));
    if (outcome.visible) visible_(partition);
  }
  partitions_.erase(it);
}

void Produces::decide(const Waiting& waiting, Reply reply) {
  const auto it = connections_.find(waiting.connection);
  auto& slots = it->second;
  waiting.slot->reply = std::move(reply);
  waiting.slot->waiting.reset();
  release(waiting);
  while (!slots.empty() && slots.front().reply) {
    Slot ready = std::move(slots.front());
    slots.pop_front();
    replies_.reply(ready.request, std::move(*ready.reply));
  }
  if (slots.empty()) connections_.erase(it);
}

// ---- events ----

void Produces::on_checked(CheckTicket ticket, Result<> result) {
  auto node = checking_.extract(ticket);
  LEAT_ASSERT(!node.empty());
  const auto& [partition, waiting] = node.mapped();
  waiting->checked = std::move(result);
  if (waiting->dropped) release(*waiting);
  advance(partition);
  tell_room();
}

void Produces::on_room() {
  std::vector<PartitionId> partitions;
  for (const auto& [id, queue] : partitions_) partitions.push_back(id);
  for (const PartitionId id : partitions) advance(id);
  tell_room();
}

void Produces::on_connection_closed(ConnectionId connection) {
  const auto node = connections_.extract(connection);
  if (node.empty()) return;
  std::set<PartitionId> partitions;
  for (Slot& slot : node.mapped()) {
    if (!slot.waiting) continue;
    slot.waiting->dropped = true;
    slot.waiting->batch.reset();
    // A checker may hold the bytes until it has told.
    if (slot.waiting->checked) release(*slot.waiting);
    partitions.insert(slot.partition);
  }
  for (const PartitionId partition : partitions) advance(partition);
  tell_room();
}

// Rule 2: what was stored and not told by now may be lost.
void Produces::on_failed(const Error& error) {
  for (auto& [id, slots] : connections_)
    for (Slot& slot : slots)
      if (slot.reply && std::holds_alternative<Produced>(*slot.reply))
        slot.reply = Error(ErrorCode::kOutcomeUnknown, error.detail);
}

void Produces::release(const Waiting& waiting) {
  waiting_bytes_ -= waiting.bytes;
}

// Not for every batch that goes: each time all that is held back is looked at again.
void Produces::tell_room() {
  if (!refused_ || waiting_bytes_ > options_.checking_bytes / 2) return;
  refused_ = false;
  sink_.on_room();
}

}  // namespace leat::broker
