// How ConsumerLogic hands records out.
#include <algorithm>
#include <utility>

#include "client/consumer_logic.h"

namespace leat {

// ---- handing out ----

bool ConsumerLogic::holds_something() const {
  if (current_ && current_->next < current_->records.size()) return true;
  if (!errors_.empty()) return true;
  return std::ranges::any_of(partitions_, [](const auto& entry) {
    return !entry.second.held.empty() && !entry.second.paused;
  });
}

// An error comes behind what its partition had delivered before it.
std::optional<Error> ConsumerLogic::take_error() {
  if (current_ && current_->next < current_->records.size()) return std::nullopt;
  for (auto it = errors_.begin(); it != errors_.end(); ++it) {
    const auto partition = partitions_.find(it->first);
    if (partition != partitions_.end() && !partition->second.held.empty()) continue;
    Error error = std::move(it->second);
    errors_.erase(it);
    return error;
  }
  return std::nullopt;
}

void ConsumerLogic::came_for_more() {
  if (!handed_out_) return;
  Partition& partition = partitions_.at(*std::exchange(handed_out_, std::nullopt));
  partition.settled = partition.position;
}

// True: current_ has records.
bool ConsumerLogic::refill() {
  if (current_ && current_->next < current_->records.size()) return true;
  current_.reset();
  for (std::size_t left = partitions_.size(); left > 0;) {
    auto it = partitions_.upper_bound(turn_);
    if (it == partitions_.end()) it = partitions_.begin();
    turn_ = it->first;
    if (it->second.held.empty() || it->second.paused) {
      --left;
      continue;
    }
    if (auto ok = decode(it->first, it->second); !ok) {
      drop_held(it->first, it->second);
      stop(it->first, it->second, ok.error());
    }
    if (current_) return true;
  }
  return false;
}

// An error leaves what was not decoded where it is, if there is something to hand out before it.
Result<> ConsumerLogic::decode(const PartitionKey& key, Partition& partition) {
  made_room_ = true;
  Held& held = partition.held.front();
  Current current{key, std::make_shared<Decoded>(), {}, 0, partition.position};
  current.owner->from = held;
  current.owner->topic = partition.topic;
  current.owner->topic_id = key.topic;
  const Offset first = held.first;
  std::size_t decompressed = 0;
  do {
    const auto batch = RecordBatchView::parse(held.rest);
    auto reader = RecordReader::open(*batch, options_.decompressed_bytes);
    if (!reader && current.records.empty()) return fail(reader.error());
    if (!reader) break;
    decompressed += reader->decompressed_bytes();
    for (const RecordView& record : *reader) {
      // The batch began before it.
      if (record.offset < std::max(partition.position.offset, first)) continue;
      current.records.push_back({key.partition, record.offset, record.timestamp_ms, record.key,
                                 record.value, record.headers, *partition.topic, 1,
                                 batch->leader_epoch().value, &current.owner->topic_id});
    }
    current.owner->readers.push_back(std::move(*reader));
    current.end = {batch->last_offset() + 1, batch->leader_epoch().value};
    partition.held_bytes -= batch->bytes().size();
    held.rest = held.rest.subspan(batch->bytes().size());
  } while (!held.rest.empty() && decompressed < options_.prefetch_bytes);
  if (held.rest.empty()) partition.held.pop_front();
  // Further on, where something was jumped over.
  if (partition.held.empty() && partition.next.offset > current.end.offset)
    current.end = partition.next;
  if (current.records.empty())
    partition.position = current.end;
  else
    current_ = std::move(current);
  return {};
}

// What was decoded and not handed out waits with the rest.
void ConsumerLogic::put_back() {
  Partition& partition = partitions_.at(current_->key);
  Held& from = current_->owner->from;
  if (current_->next < current_->records.size()) {
    if (!partition.held.empty() && partition.held.front().bytes == from.bytes) {
      partition.held_bytes -= partition.held.front().rest.size();
      partition.held.pop_front();
    }
    partition.held_bytes += from.rest.size();
    partition.held.push_front(from);
  }
  current_.reset();
}

Result<SharedRecords> ConsumerLogic::take() {
  if (auto error = take_error()) return fail(std::move(*error));
  if (!refill()) {
    if (auto error = take_error()) return fail(std::move(*error));
    return SharedRecords();
  }
  SharedRecords given{std::move(current_->records), current_->owner};
  given.records.erase(given.records.begin(),
                      given.records.begin() + static_cast<std::ptrdiff_t>(current_->next));
  partitions_.at(current_->key).position = current_->end;
  handed_out_ = current_->key;
  current_.reset();
  return given;
}

Result<std::optional<SharedRecord>> ConsumerLogic::next() {
  if (auto error = take_error()) return fail(std::move(*error));
  if (!refill()) {
    if (auto error = take_error()) return fail(std::move(*error));
    return std::optional<SharedRecord>();
  }
  SharedRecord record{current_->records[current_->next++], current_->owner};
  const bool last = current_->next == current_->records.size();
  Partition& partition = partitions_.at(current_->key);
  partition.position =
      last ? current_->end : Position{record.offset + 1, current_->end.leader_epoch};
  handed_out_ = current_->key;
  return std::optional(std::move(record));
}

// ---- looking ----

bool ConsumerLogic::resolved() const {
  return std::ranges::all_of(partitions_, [](const auto& entry) {
    return entry.second.phase == Phase::kActive || entry.second.phase == Phase::kStopped;
  });
}

std::vector<ConsumerLogic::PartitionPosition> ConsumerLogic::positions(bool settled) const {
  std::vector<PartitionPosition> all;
  for (const auto& [key, partition] : partitions_)
    if (partition.started) {
      const Position at = settled ? partition.settled : partition.position;
      all.push_back({key, partition.topic, at, at.offset != partition.began});
    }
  return all;
}

std::vector<std::pair<PartitionKey, TopicName>> ConsumerLogic::assigned() const {
  std::vector<std::pair<PartitionKey, TopicName>> all;
  for (const auto& [key, partition] : partitions_) all.emplace_back(key, partition.topic);
  return all;
}

}  // namespace leat
