#include "server/broker/produces.h"

#include <algorithm>
#include <set>

#include "protocol/base/assert.h"
#include "protocol/record_batch.h"
#include "protocol/record_extras.h"
#include "server/broker/partitions.h"

namespace leat::broker {
namespace {

constexpr std::size_t kWaitingBytes = 512;  // what a batch costs beside its own bytes
constexpr std::uint64_t kSlack = 64;        // so that not every batch makes room anew: 1/64

bool is_compressed(Bytes bytes) {
  const auto batch = RecordBatchView::parse(bytes);
  return batch && batch->compression() != Compression::kNone;
}

}  // namespace

Result<BatchContents> check_records(Bytes bytes, BatchRules rules) {
  auto batch = RecordBatchView::parse(bytes);
  if (!batch) return fail(batch.error());
  if (batch->bytes().size() != bytes.size())
    return fail(ErrorCode::kInvalidBatch, "more than one batch in a produce request");
  const auto reader = batch->validated(rules.max_decompressed_bytes, rules.keys);
  if (!reader) return fail(reader.error());
  BatchContents contents;
  if (!reader->has_headers()) return contents;
  for (const RecordView& record : *reader) {
    const auto extras = read_extras(record.headers);
    if (!extras) return fail(extras.error());
    contents.timed = contents.timed || extras->timed();
  }
  return contents;
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
  const BatchRules rules = rules_for(found->topic->config);
  auto checked = check_in_place(batch, rules);
  if (checked && !*checked) return answer(id, checked->error());
  if (checked && !partitions_.contains(found->id)) {
    auto [reply, visible] = append(topic, partition, batch, **checked);
    answer(id, std::move(reply));
    if (visible) visible_(found->id);
    return;
  }
  auto waiting = std::make_shared<Waiting>();
  waiting->topic = topic;
  waiting->index = partition;
  waiting->batch = std::make_shared<OwnedBatch>(batch.begin(), batch.end());
  waiting->bytes = batch.size() + kWaitingBytes;
  waiting->rules = rules;
  waiting->checked = std::move(checked);
  waiting->connection = id.connection;
  wait({id, std::nullopt, waiting, found->id}, waiting);
}

BatchRules Produces::rules_for(const TopicConfig& config) const {
  return {options_.decompressed_bytes, compacts(config.cleanup)};
}

// None: that would take too long here. What a header declares counts only where it is too much;
// what comes out is counted.
std::optional<Result<BatchContents>> Produces::check_in_place(Bytes batch, BatchRules rules) const {
  if (batch.size() > options_.batch_bytes)
    return fail(ErrorCode::kBatchTooLarge, std::to_string(batch.size()) + " bytes; at most " +
                                               std::to_string(options_.batch_bytes));
  if (!is_compressed(batch)) return check_records(batch, rules);
  if (batch.size() > kCheckedInPlaceBytes) return std::nullopt;
  const std::size_t in_place =
      std::min(kCheckedInPlaceDecompressedBytes, rules.max_decompressed_bytes);
  auto checked = check_records(batch, {in_place, rules.keys});
  const bool too_much = !checked && checked.error().code == ErrorCode::kBatchTooLarge;
  if (too_much && in_place < rules.max_decompressed_bytes) return std::nullopt;
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
  const BatchRules rules = waiting->rules;
  checking_.emplace(ticket, Checking{partition, std::move(waiting)});
  checker_.check(ticket, batch, rules);
}

// ---- out ----

Produces::Outcome Produces::append(const TopicId& topic, PartitionIndex partition, Bytes bytes,
                                   const BatchContents& contents) {
  const auto found = find_partition(storage_, topic, partition);
  if (!found) return {found.error()};  // deleted while the batch was being checked
  const TopicConfig& config = found->topic->config;
  const auto batch = RecordBatchView::parse(bytes);
  if (batch->producer_id() >= 0) {
    auto stored = storage_.check_sequence(found->id, *batch);
    if (!stored) return {stored.error()};
    // A retry waits for the original as every reply does.
    if (*stored) return {Produced{**stored, config.durability, true}};
  }
  if (auto ok = make_room(config, bytes.size()); !ok) return {ok.error()};
  if (auto ok = note_timed(*found->topic, contents); !ok) return {ok.error()};
  auto appended = storage_.append(found->id, config, bytes);
  if (!appended) return {appended.error()};
  return {Produced{appended->base, config.durability, false},
          config.durability != Durability::kSync};
}

// Once in the life of a topic, and in the journal before the record.
Result<> Produces::note_timed(const storage::Topic& topic, const BatchContents& contents) {
  if (!contents.timed || topic.config.timed_records) return {};
  TopicConfig config = topic.config;
  config.timed_records = true;
  const auto position = storage_.configure_topic(topic.id, config);
  if (!position) return fail(position.error());
  return {};
}

// What is stored already needs no room, so this comes behind check_sequence().
Result<> Produces::make_room(const TopicConfig& config, std::size_t bytes) {
  const std::uint64_t most = options_.max_stored_bytes, stored = storage_.stored_bytes();
  if (most == 0 || stored + bytes <= most) return {};
  if (config.on_full == OnFull::kDropOldest && bytes <= most) {
    const std::uint64_t least = stored + bytes - most;
    const std::uint64_t wanted = std::max({least, most / kSlack, std::uint64_t{bytes}});
    if (storage_.drop_oldest(wanted) || storage_.drop_oldest(least)) return {};
  }
  return fail(ErrorCode::kNoSpace, std::to_string(stored) + " of " + std::to_string(most) +
                                       " bytes are in use; records are refused until some go");
}

// By the rules of the topic as it is now: it may have been told to compact meanwhile.
Produces::Outcome Produces::append_checked(const Waiting& waiting) {
  const auto found = find_partition(storage_, waiting.topic, waiting.index);
  const Result<BatchContents>& checked = *waiting.checked;
  if (!checked) return {checked.error()};
  if (found && !waiting.rules.keys && compacts(found->topic->config.cleanup))
    if (auto ok = check_records(*waiting.batch, rules_for(found->topic->config)); !ok)
      return {ok.error()};
  return append(waiting.topic, waiting.index, *waiting.batch, *checked);
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
    auto outcome = append_checked(*first);
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

void Produces::on_checked(CheckTicket ticket, Result<BatchContents> result) {
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
