#include "client/consumer_logic.h"

#include <algorithm>
#include <utility>

namespace leat {
namespace {

constexpr std::size_t kLeastShare = 256 << 10;

Error in_partition(const PartitionKey& key, const std::string& topic, const Error& error) {
  std::string where = "partition " + std::to_string(key.partition.value) + " of '" + topic + "'";
  if (!error.detail.empty()) where += ": " + error.detail;
  return {error.code, std::move(where)};
}

}  // namespace

// ---- which partitions ----

void ConsumerLogic::assign(const PartitionKey& key, TopicName topic) {
  const auto [it, fresh] = partitions_.try_emplace(key);
  if (!fresh) return;
  it->second.topic = std::move(topic);
  it->second.start = options_.start;
  if (!options_.group || options_.ignore_committed) begin(it->second);
}

void ConsumerLogic::remove(const PartitionKey& key) {
  const auto it = partitions_.find(key);
  if (it == partitions_.end()) return;
  if (current_ && current_->key == key) current_.reset();
  if (handed_out_ == key) handed_out_.reset();
  unsubscribe(it->second);
  partitions_.erase(it);
}

std::optional<PartitionKey> ConsumerLogic::find(const TopicPartition& wanted) const {
  for (const auto& [key, partition] : partitions_)
    if (key.partition == wanted.partition && *partition.topic == wanted.topic) return key;
  return std::nullopt;
}

void ConsumerLogic::unsubscribe(Partition& partition) {
  if (partition.subscription == 0) return;
  subscriptions_.erase(partition.subscription);
  if (push_) to_unsubscribe_.push_back(partition.subscription);
  partition.subscription = 0;
}

void ConsumerLogic::report(const PartitionKey& key, const Partition& partition, const Error& why) {
  // A member whose topic was deleted hears from its group what else to read.
  if (options_.joins() && why == ErrorCode::kUnknownTopic) return;
  errors_.emplace_back(key, in_partition(key, *partition.topic, why));
}

void ConsumerLogic::stop(const PartitionKey& key, Partition& partition, const Error& why) {
  partition.phase = Phase::kStopped;
  unsubscribe(partition);
  report(key, partition, why);
}

void ConsumerLogic::disconnected() {
  subscriptions_.clear();
  to_unsubscribe_.clear();
  for (auto& [key, partition] : partitions_) {
    partition.asked = false;
    partition.subscription = 0;
  }
}

void ConsumerLogic::seek(const PartitionKey& key, Offset to) {
  Partition& partition = partitions_.at(key);
  unsubscribe(partition);
  partition.asked = false;
  drop_held(key, partition);
  start_at(partition, {to, -1});
}

void ConsumerLogic::drop_held(const PartitionKey& key, Partition& partition) {
  if (current_ && current_->key == key) current_.reset();
  partition.held.clear();
  partition.held_bytes = 0;
}

void ConsumerLogic::pause(const PartitionKey& key, bool paused) {
  partitions_.at(key).paused = paused;
  if (paused && current_ && current_->key == key) put_back();
}

// ---- asking ----

std::size_t ConsumerLogic::share() const {
  const std::size_t partitions = std::max<std::size_t>(partitions_.size(), 1);
  return std::max(options_.prefetch_bytes / partitions,
                  std::min(kLeastShare, options_.prefetch_bytes));
}

ConsumerLogic::Wanted ConsumerLogic::wanted() {
  Wanted wanted;
  wanted.unsubscribe = std::exchange(to_unsubscribe_, {});
  for (auto& [key, partition] : partitions_) {
    if (partition.phase == Phase::kActive) want_delivery(key, partition, wanted);
    if (partition.asked || partition.phase == Phase::kStopped) continue;
    if (partition.phase == Phase::kActive) continue;
    partition.asked = true;
    if (partition.phase == Phase::kCommitted)
      wanted.committed.push_back(key);
    else if (partition.phase == Phase::kTime)
      wanted.times.push_back({key, partition.start.value});
    else
      wanted.bounds.emplace(key.topic, partition.topic);
  }
  return wanted;
}

void ConsumerLogic::want_delivery(const PartitionKey& key, Partition& partition, Wanted& wanted) {
  const std::size_t bound = share();
  const std::uint64_t room = partition.held_bytes < bound ? bound - partition.held_bytes : 0;
  if (!push_) {
    if (partition.subscription != 0 || partition.paused || room == 0) return;
    partition.subscription = next_number_();
    subscriptions_.emplace(partition.subscription, key);
    wanted.fetch.push_back({partition.subscription, key, partition.next});
  } else if (partition.subscription == 0) {
    if (partition.paused) return;
    partition.subscription = next_number_();
    partition.received_bytes = 0;
    partition.granted_bytes = room;
    subscriptions_.emplace(partition.subscription, key);
    wanted.subscribe.push_back({partition.subscription, key, partition.next, room});
  } else if (!partition.paused) {
    // Half of the share at a time, so that a grant is worth its frame.
    const std::uint64_t grant = partition.received_bytes + room;
    if (grant < partition.granted_bytes + std::max<std::uint64_t>(bound / 2, 1)) return;
    partition.granted_bytes = grant;
    wanted.grants.push_back({partition.subscription, grant});
  }
}

// ---- where to begin ----

void ConsumerLogic::start_at(Partition& partition, Position position) {
  partition.began = position.offset;
  partition.position = partition.settled = partition.next = position;
  partition.phase = Phase::kActive;
  partition.started = true;
}

void ConsumerLogic::begin(Partition& partition) {
  partition.phase = partition.start.kind == StartFrom::Kind::kTime ? Phase::kTime : Phase::kBounds;
}

// From where it was, as on_reset says. What is held already comes first: it was there to be read.
void ConsumerLogic::jump(const PartitionKey& key, Partition& partition, Offset to) {
  const Position from = partition.next;
  const bool half_given =
      current_ && current_->key == key && current_->next < current_->records.size();
  if (to < from.offset) drop_held(key, partition);
  if (to < from.offset || (partition.held.empty() && !half_given)) start_at(partition, {to, -1});
  skipped_ += std::max<std::int64_t>(to - from.offset, 0);
  partition.next = {to, -1};
  partition.phase = Phase::kActive;
  if (half_given && partition.held.empty() && current_) current_->end = partition.next;
}

void ConsumerLogic::committed(const std::vector<PartitionKey>& asked,
                              const std::vector<std::pair<PartitionKey, Position>>& found) {
  for (const PartitionKey& key : asked) {
    const auto it = partitions_.find(key);
    if (it == partitions_.end() || it->second.phase != Phase::kCommitted) continue;
    it->second.asked = false;
    const auto at = std::ranges::find(found, key, &std::pair<PartitionKey, Position>::first);
    if (at != found.end())
      start_at(it->second, at->second);
    else
      begin(it->second);
  }
}

Result<Offset> ConsumerLogic::first_offset(const Partition& partition, const Bounds& bounds) const {
  const StartFrom& start = partition.start;
  switch (start.kind) {
    case StartFrom::Kind::kEarliest:
    case StartFrom::Kind::kTime:
      break;
    case StartFrom::Kind::kLatest:
      return bounds.high_watermark;
    case StartFrom::Kind::kOffset:
      if (start.value >= bounds.log_start.value && start.value <= bounds.high_watermark.value)
        return Offset(start.value);
      return fail(ErrorCode::kOffsetOutOfRange, std::to_string(start.value) + "; it holds " +
                                                    std::to_string(bounds.log_start.value) +
                                                    " to " +
                                                    std::to_string(bounds.high_watermark.value));
    case StartFrom::Kind::kLast:
      return std::max(bounds.log_start, bounds.high_watermark + -start.value);
  }
  return bounds.log_start;
}

void ConsumerLogic::bounds(TopicId topic, const std::vector<Bounds>& bounds) {
  for (auto& [key, partition] : partitions_) {
    const bool waits = partition.phase == Phase::kBounds || partition.phase == Phase::kTruncated;
    if (key.topic != topic || !waits || !partition.asked) continue;
    partition.asked = false;
    const auto index = static_cast<std::size_t>(key.partition.value);
    if (index >= bounds.size()) {
      stop(key, partition, ErrorCode::kUnknownPartition);
    } else if (partition.phase == Phase::kTruncated) {
      // What the broker no longer holds cannot be read: at the latest, on from the end it has.
      start_at(partition, {std::min(partition.position.offset, bounds[index].high_watermark), -1});
    } else if (auto first = first_offset(partition, bounds[index]); first && partition.started) {
      jump(key, partition, *first);
    } else if (first) {
      start_at(partition, {*first, -1});
    } else {
      stop(key, partition, first.error());
    }
  }
}

void ConsumerLogic::found(const PartitionKey& key, Offset offset) {
  const auto it = partitions_.find(key);
  if (it == partitions_.end() || it->second.phase != Phase::kTime) return;
  it->second.asked = false;
  start_at(it->second, {offset, -1});
}

void ConsumerLogic::refused(const PartitionKey& key, const Error& why) {
  const auto it = partitions_.find(key);
  if (it == partitions_.end() || why == ErrorCode::kDisconnected) return;
  Partition& partition = it->second;
  partition.asked = false;
  subscriptions_.erase(std::exchange(partition.subscription, 0));
  if (why == ErrorCode::kUnsupportedRequest && partition.phase == Phase::kActive && push_) {
    push_ = false;
  } else if (why == ErrorCode::kOffsetOutOfRange && options_.on_reset != OnReset::kError) {
    partition.start =
        options_.on_reset == OnReset::kEarliest ? StartFrom::earliest() : StartFrom::latest();
    partition.phase = Phase::kBounds;
  } else if (why == ErrorCode::kLogTruncated) {
    // What was not handed out so far may be what was cut.
    drop_held(key, partition);
    partition.phase = Phase::kTruncated;
    report(key, partition, why);
  } else {
    stop(key, partition, why);
  }
}

// ---- deliveries ----

void ConsumerLogic::subscribed(std::uint32_t subscription, Offset high_watermark) {
  const auto it = subscriptions_.find(subscription);
  if (it != subscriptions_.end()) partitions_.at(it->second).high_watermark = high_watermark;
}

void ConsumerLogic::pushed(std::uint32_t subscription, Bytes batches, Offset high_watermark) {
  const auto it = subscriptions_.find(subscription);
  if (it == subscriptions_.end()) return;
  const PartitionKey key = it->second;
  Partition& partition = partitions_.at(key);
  partition.received_bytes += batches.size();
  if (auto ok = keep(partition, batches, high_watermark); !ok) stop(key, partition, ok.error());
}

void ConsumerLogic::fetched(std::uint32_t subscription, Bytes batches, Offset high_watermark) {
  const auto it = subscriptions_.find(subscription);
  if (it == subscriptions_.end()) return;
  partitions_.at(it->second).subscription = 0;
  pushed(subscription, batches, high_watermark);
  subscriptions_.erase(subscription);
}

void ConsumerLogic::ended(std::uint32_t subscription, const Error& why) {
  const auto it = subscriptions_.find(subscription);
  if (it != subscriptions_.end()) refused(PartitionKey(it->second), why);
}

Result<> ConsumerLogic::keep(Partition& partition, Bytes batches, Offset high_watermark) {
  partition.high_watermark = high_watermark;
  const Offset asked = partition.next.offset;
  Position next = partition.next;
  for (Bytes rest = batches; !rest.empty();) {
    auto batch = RecordBatchView::parse(rest);
    if (!batch) return fail(batch.error());
    if (auto ok = batch->check(); !ok) return ok;
    const bool first = rest.size() == batches.size();
    if (batch->base_offset() > next.offset || (!first && batch->base_offset() != next.offset) ||
        batch->last_offset() < next.offset)
      return fail(ErrorCode::kInvalidBatch, "batches that were delivered do not adjoin");
    next = {batch->last_offset() + 1, batch->leader_epoch().value};
    rest = rest.subspan(batch->bytes().size());
  }
  if (batches.empty()) return {};
  partition.next = next;
  partition.held_bytes += batches.size();
  auto bytes = std::make_shared<const std::vector<std::byte>>(batches.begin(), batches.end());
  const Bytes rest(*bytes);
  partition.held.push_back({std::move(bytes), rest, asked});
  return {};
}

}  // namespace leat
