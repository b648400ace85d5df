// What a group's members are given: who is next, of what, and what nobody can have any more.
#include <algorithm>

#include "server/broker/delivery/dead_letters.h"
#include "server/broker/delivery/delivery_group.h"

namespace leat::broker {
namespace {

// Where little waits, it is shared out; but not so finely that each member gets the whole batch for
// a record or two of it.
constexpr std::uint64_t kLeastShare = 16;
// Of what came back, or was delayed, the neighbours are seldom wanted.
constexpr std::size_t kReturnedBytes = 64 << 10;
constexpr std::size_t kRescanBytes = 1 << 20;
constexpr auto kBuryAgain = std::chrono::seconds(1);

std::uint64_t records_in(const std::vector<DeliveredRange>& ranges) {
  std::uint64_t records = 0;
  for (const auto& [range, attempt] : ranges) records += count(range);
  return records;
}

Offset last_offset_of(const storage::ReadResult& read) {
  Offset last{-1};
  if (!read.batches.empty())
    for (Bytes rest = read.batches.back().bytes; !rest.empty();) {
      const auto batch = RecordBatchView::parse(rest);
      if (!batch) break;
      last = batch->last_offset();
      rest = rest.subspan(batch->bytes().size());
    }
  return last;
}

Offset first_offset_of(const storage::ReadResult& read) {
  const auto batch = read.batches.empty() ? fail(ErrorCode::kInvalidBatch)
                                          : RecordBatchView::parse(read.batches.front().bytes);
  return batch ? batch->base_offset() : Offset(INT64_MAX);
}

// Batches adjoin.
bool covers(const storage::ReadResult& read, Offset offset) {
  return first_offset_of(read) <= offset && offset <= last_offset_of(read);
}

}  // namespace

void DeliveryGroup::mark(Queue& queue) {
  if (queue.records.has_dying()) burying_.insert(queue.records.place().id);
  if (queue.in_turn) return;
  queue.in_turn = true;
  turn_.push_back(&queue);
}

void DeliveryGroup::on_high_watermark(PartitionId partition) {
  if (Queue* queue = find(partition)) mark(*queue);
}

// Partitions in turn, until no member may have more or nothing is left.
void DeliveryGroup::dispatch(Now now) {
  for (const PartitionId partition : std::exchange(burying_, {}))
    if (Queue* queue = find(partition)) bury(*queue, now);
  if (!anybody_may_have_more()) return;
  give_parked(now);
  for (std::size_t in_vain = 0; in_vain < turn_.size();) {
    Queue& queue = *turn_.front();
    turn_.pop_front();
    const bool waits = queue.reading || queue.stopped;
    if (waits || !ready_to_read(queue, now)) {
      queue.in_turn = false;
      continue;
    }
    turn_.push_back(&queue);
    in_vain = serve(queue, now) ? 0 : in_vain + 1;
  }
}

// First of all, for it came first; partitions in turn.
void DeliveryGroup::give_parked(Now now) {
  for (std::size_t left = parking_.size(); left > 0; --left) {
    Queue& queue = *parking_.front();
    parking_.pop_front();
    give_parked(queue, now);
    queue.parks = queue.records.has_parked();
    if (queue.parks) parking_.push_back(&queue);
  }
}

void DeliveryGroup::give_parked(Queue& queue, Now now) {
  Takers takers = this->takers(queue, now);
  for (std::size_t i = 0; i < takers.size(); ++i) {
    Taker& one = takers[i];
    while (one.most_records > 0) {
      DeliveredBatches delivered = queue.records.take_parked(one, acks(queue));
      if (delivered.ranges.empty()) break;
      deliver(queue, one, std::move(delivered));
      one = taker(one.member, members_.at(one.member), now);
    }
  }
  list(queue);
  if (takers.anybody_may_take()) queue.records.free_parked(takers);
  mark(queue);
}

bool DeliveryGroup::ready_to_read(Queue& queue, Now now) {
  const auto bounds = house_.storage.bounds(queue.records.place().id);
  if (bounds.log_start > queue.trimmed) trim(queue, bounds.log_start);
  queue.records.refill(now);
  queue.rescans = queue.rescans || queue.records.rescan_from(now);
  list(queue);
  return queue.records.has_something(bounds.high_watermark, acks(queue));
}

// Below the log start nobody can ack: it counts as done, or the floor would stay there.
void DeliveryGroup::trim(Queue& queue, Offset log_start) {
  queue.records.trim(log_start);
  const auto& partition = queue.records.place().partition;
  const auto committed = house_.storage.committed(name_, partition.topic, partition.partition);
  const Offset floor = committed ? committed->offset : Offset(0);
  const storage::AcksChange change{name_, partition, {{floor, log_start + -1}}, {}};
  if (floor >= log_start || house_.storage.change_acks(change)) queue.trimmed = log_start;
}

bool DeliveryGroup::may_have_more(const Member& member) const {
  return member.sent.records < member.granted.records && member.sent.bytes < member.granted.bytes &&
         member.leased < house_.options.leases_per_member && member.outbox_bytes < member.max_bytes;
}

bool DeliveryGroup::anybody_may_have_more() const {
  return std::ranges::any_of(members_,
                             [this](const auto& entry) { return may_have_more(entry.second); });
}

Taker DeliveryGroup::taker(const MemberKey& key, const Member& member, Now now) const {
  Taker one{.member = key,
            .delivery = member.deliveries + 1,
            .deadline = now.monotonic + member.ack_timeout,
            .idle = member.leased == 0};
  if (!may_have_more(member)) return one;
  one.most_records = std::min(member.granted.records - member.sent.records,
                              house_.options.leases_per_member - member.leased);
  one.most_bytes = static_cast<std::size_t>(
      std::min<std::uint64_t>(member.max_bytes, member.granted.bytes - member.sent.bytes));
  return one;
}

// By key all who read the topic; else whoever has least, and of those who waited longest. Empty:
// nobody may have more.
Takers DeliveryGroup::takers(const Queue& queue, Now now) const {
  std::vector<Taker> all;
  bool any = false;
  for (const auto& [key, member] : members_) {
    if (!member.topics.contains(queue.records.place().topic)) continue;
    Taker one = taker(key, member, now);
    any = any || one.most_records > 0;
    if (one.most_records > 0 || kind_ == GroupKind::kKeyShared) all.push_back(one);
  }
  if (!any) return Takers({});
  if (kind_ == GroupKind::kKeyShared) return Takers(std::move(all));
  return choose(queue, std::move(all));
}

Takers DeliveryGroup::choose(const Queue& queue, std::vector<Taker> could) const {
  const auto has = [this](const Taker& taker) {
    const Member& member = members_.at(taker.member);
    return std::pair(member.leased, member.served);
  };
  Taker chosen = *std::ranges::min_element(could, {}, has);
  const auto high_watermark = house_.storage.bounds(queue.records.place().id).high_watermark;
  const std::uint64_t share = queue.records.available(high_watermark) / could.size() + 1;
  if (could.size() > 1)
    chosen.most_records = std::min(chosen.most_records, std::max(share, kLeastShare));
  return Takers({chosen});
}

std::size_t DeliveryGroup::bytes_for(Takers& takers) {
  std::size_t most = 1;
  for (std::size_t i = 0; i < takers.size(); ++i) most = std::max(most, takers[i].most_bytes);
  return most;
}

// False: nothing came of it.
bool DeliveryGroup::serve(Queue& queue, Now now) {
  Takers takers = this->takers(queue, now);
  if (takers.size() == 0) return false;
  const Offset from = queue.records.read_from(acks(queue));
  const std::size_t bytes = bytes_for(takers);
  if (!read(queue, from < queue.records.next() ? std::min(bytes, kReturnedBytes) : bytes))
    return false;
  auto taken = queue.records.take(
      {*queue.fetched, acks(queue), settings_.max_deliveries, times(queue), now}, takers);
  queue.records.refill(now);
  list(queue);
  if (!taken) {
    queue.stopped = true;
    house_.sink.on_storage_damaged(taken.error());
    return false;
  }
  bool any = false;
  for (std::size_t i = 0; i < takers.size(); ++i) {
    DeliveredBatches& delivered = taken->delivered[i];
    if (delivered.ranges.empty()) continue;
    any = true;
    deliver(queue, takers[i], std::move(delivered));
  }
  // What cannot be written down comes back.
  [[maybe_unused]] const auto ok = make(queue, {.done = std::move(taken->gone), .retries = {}});
  bury(queue, now);
  if (queue.records.has_parked() && !std::exchange(queue.parks, true)) parking_.push_back(&queue);
  return any || queue.records.read_from(acks(queue)) != from;
}

void DeliveryGroup::deliver(const Queue& queue, const Taker& taker, DeliveredBatches delivered) {
  Member& member = members_.at(taker.member);
  delivered.partition = queue.records.place().partition;
  delivered.topic = queue.records.place().topic;
  const std::uint64_t records = records_in(delivered.ranges);
  for (const auto& [range, attempt] : delivered.ranges)
    if (attempt > 1) redelivered_ += count(range);
  delivered.subscription = taker.member.subscription;
  delivered.number = member.deliveries = taker.delivery;
  member.sent.records += records;
  member.sent.bytes += delivered.bytes;
  member.leased += records;
  member.served = ++servings_;
  member.outbox_bytes += delivered.bytes;
  member.outbox.push_back(std::move(delivered));
  house_.sink.on_push_ready(taker.member.connection);
}

// What comes next, at hand; false: later, or not.
bool DeliveryGroup::read(Queue& queue, std::size_t bytes) {
  const PartitionId id = queue.records.place().id;
  const Offset from = queue.records.read_from(acks(queue));
  if (queue.fetched && first_offset_of(*queue.fetched) <= from &&
      from <= last_offset_of(*queue.fetched))
    return true;
  queue.fetched.reset();
  if (from >= house_.storage.bounds(id).high_watermark) return false;
  const storage::ReadToken token = new_token(id);
  auto outcome = house_.storage.read(id, from, bytes, token);
  if (auto* result = std::get_if<storage::ReadResult>(&outcome)) {
    house_.reads.erase(token);
    queue.fetched = std::move(*result);
    return !queue.fetched->batches.empty();
  }
  queue.reading = token;
  return false;
}

storage::ReadToken DeliveryGroup::new_token(PartitionId partition) {
  const storage::ReadToken token = ++house_.last_token | kTokenBit;
  house_.reads[token] = {this, partition};
  return token;
}

void DeliveryGroup::on_read(storage::ReadToken token, PartitionId partition,
                            Result<storage::ReadResult> result) {
  Queue* queue = find(partition);
  if (!queue) return;
  const bool dead = queue->reading_dead == token;
  if (dead) queue->reading_dead.reset();
  if (queue->reading == token) queue->reading.reset();
  mark(*queue);
  if (queue->reading_delayed == token) {
    queue->reading_delayed.reset();
    if (result)
      queue->fetched_delayed = std::move(*result);
    else if (result.error() != ErrorCode::kOffsetOutOfRange)
      queue->stopped = true;  // storage has told what is damaged
    return list(*queue);      // goes on in on_time()
  }
  if (dead) {
    queue->fetched_dead = std::move(result);
  } else if (result) {
    queue->fetched = std::move(*result);
  } else if (result.error() != ErrorCode::kOffsetOutOfRange) {
    queue->stopped = true;  // storage has told what is damaged
  }
}

// ---- what is delayed ----

RecordTimes DeliveryGroup::times(const Queue& queue) const {
  const storage::Topic* topic = house_.storage.find_topic(queue.records.place().partition.topic);
  if (!topic) return {};
  const TopicConfig& config = topic->config;
  return {.any = config.timed_records || config.ttl.count() >= 0,
          .ttl = config.ttl,
          .dead_letters = settings_.dead_letter_expired};
}

// A piece at a time, so that everything else goes on meanwhile.
void DeliveryGroup::rescan(Queue& queue, Now now) {
  queue.rescans = false;
  if (queue.reading_delayed || queue.stopped) return;
  const auto from = queue.records.rescan_from(now);
  if (!from || !read_delayed(queue, *from)) return;
  const auto read = std::exchange(queue.fetched_delayed, std::nullopt);
  if (auto ok = queue.records.rescan(*read, acks(queue), now); !ok) {
    queue.stopped = true;
    house_.sink.on_storage_damaged(ok.error());
    return;
  }
  queue.records.refill(now);
  queue.rescans = queue.records.rescan_from(now).has_value();
}

bool DeliveryGroup::read_delayed(Queue& queue, Offset from) {
  if (queue.fetched_delayed && covers(*queue.fetched_delayed, from)) return true;
  queue.fetched_delayed.reset();
  const PartitionId id = queue.records.place().id;
  const auto bounds = house_.storage.bounds(id);
  if (from < bounds.log_start) trim(queue, bounds.log_start);
  if (from < bounds.log_start) {
    queue.rescans = true;
    return false;
  }
  const storage::ReadToken token = new_token(id);
  auto outcome = house_.storage.read(id, from, kRescanBytes, token);
  queue.rescans = true;
  if (std::holds_alternative<storage::ReadLater>(outcome)) {
    queue.reading_delayed = token;
    return false;
  }
  house_.reads.erase(token);
  queue.fetched_delayed = std::move(std::get<storage::ReadResult>(outcome));
  return covers(*queue.fetched_delayed, from);
}

// ---- what a connection takes ----

std::optional<DeliveredBatches> DeliveryGroup::next(const MemberKey& key) {
  const auto it = members_.find(key);
  if (it == members_.end() || it->second.outbox.empty()) return std::nullopt;
  Member& member = it->second;
  DeliveredBatches delivered = std::move(member.outbox.front());
  member.outbox.pop_front();
  member.outbox_bytes -= delivered.bytes;
  return delivered;
}

// ---- dead letters ----

// One after the other; the record must be read once more for it.
void DeliveryGroup::bury(Queue& queue, Now now) {
  while (!queue.reading_dead && !queue.bury_at) {
    const auto dying = queue.records.first_dying();
    if (!dying) return;
    const auto& [offset, reason] = *dying;
    const auto read = read_dead(queue, offset);
    if (queue.reading_dead) return;
    if (read && bury_one(queue, offset, *reason, *read, now)) continue;
    queue.bury_at = now.monotonic + kBuryAgain;
    list(queue);
  }
}

// The batch of the record, or nothing where retention has it; nullopt also when it comes later.
std::optional<storage::ReadResult> DeliveryGroup::read_dead(Queue& queue, Offset offset) {
  const PartitionId id = queue.records.place().id;
  auto fetched = std::exchange(queue.fetched_dead, std::nullopt);
  if (offset < house_.storage.bounds(id).log_start) return storage::ReadResult();
  if (fetched && !*fetched) return std::nullopt;
  // Another, before it, may have begun to die meanwhile.
  if (fetched && covers(**fetched, offset)) return std::move(**fetched);
  const storage::ReadToken token = new_token(id);
  auto outcome = house_.storage.read(id, offset, 1, token);
  if (std::holds_alternative<storage::ReadLater>(outcome)) {
    queue.reading_dead = token;
    return std::nullopt;
  }
  house_.reads.erase(token);
  auto& result = std::get<storage::ReadResult>(outcome);
  if (!covers(result, offset)) return std::nullopt;
  return std::move(result);
}

// A record that compaction or retention has taken needs no letter.
bool DeliveryGroup::bury_one(Queue& queue, Offset offset, const std::string& reason,
                             const storage::ReadResult& read, Now now) {
  const storage::AcksChange change{name_, queue.records.place().partition, {{offset, offset}}, {}};
  bool made = false;
  for (const storage::StoredBatches& stored : read.batches)
    for (Bytes rest = stored.bytes; !rest.empty();) {
      const auto batch = RecordBatchView::parse(rest);
      if (!batch) return false;
      rest = rest.subspan(batch->bytes().size());
      if (batch->base_offset() > offset || batch->last_offset() < offset) continue;
      const auto reader = RecordReader::open(*batch);
      if (!reader) return false;
      for (const RecordView& record : *reader) {
        if (record.offset != offset) continue;
        if (!write_letter(queue, record, reason, change, now)) return false;
        made = true;
      }
    }
  if (!made && !house_.storage.change_acks(change)) return false;
  queue.records.died(offset);
  return true;
}

Result<> DeliveryGroup::write_letter(Queue& queue, const RecordView& record,
                                     const std::string& reason, const storage::AcksChange& change,
                                     Now now) {
  const DeliveryQueue::Place& place = queue.records.place();
  auto topic = house_.dead_letter_topic(
      settings_.dead_letter.empty() ? place.topic + ".dlq" : settings_.dead_letter, now);
  if (!topic) return fail(topic.error());
  const auto retry = acks(queue) ? acks(queue)->retry(record.offset) : std::nullopt;
  const bool counted = retry && retry->attempts != kDeadAttempts;
  const std::uint32_t uncounted = reason == kExpired ? 0 : 1;
  const auto letter = dead_letter(record, {.reason = reason,
                                           .group = name_,
                                           .topic = place.topic,
                                           .partition = place.partition.partition,
                                           .attempts = counted ? retry->attempts : uncounted,
                                           .at = now.wall});
  const auto& partitions = (*topic)->partitions;
  const auto to = dead_letter_partition(record, place.partition.partition, partitions.size());
  auto written = house_.storage.dead_letter(partitions[static_cast<std::size_t>(to.value)],
                                            (*topic)->config, letter, change);
  if (!written) return fail(written.error());
  ++dead_;
  return {};
}

}  // namespace leat::broker
