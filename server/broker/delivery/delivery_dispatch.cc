// What a group's members are given: who is next, of what, and what nobody can have any more.
#include <algorithm>

#include "server/broker/delivery/delivery_group.h"
#include "server/broker/delivery/read_span.h"

namespace leat::broker {
namespace {

// Where little waits, it is shared out; but not so finely that each member gets the whole batch for
// a record or two of it.
constexpr std::uint64_t kLeastShare = 16;
// Of what came back, or was delayed, the neighbours are seldom wanted.
constexpr std::size_t kReturnedBytes = 64 << 10;

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
  note_idle(now);
  if (!anybody_may_have_more()) return;
  give_parked(now);
  for (std::size_t in_vain = 0; in_vain < turn_.size();) {
    Queue& queue = *turn_.front();
    turn_.pop_front();
    if (queue.stopped || !ready_to_read(queue, now)) {
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
  follow_log_start(queue);
  for (const auto& [key, member] : queue.readers)
    while (may_have_more(*member) && queue.records.has_parked(key)) {
      Taker one = taker(key, *member, now);
      DeliveredBatches delivered = queue.records.take_parked(one, acks(queue));
      if (delivered.ranges.empty()) break;
      deliver(queue, one, std::move(delivered));
    }
  queue.records.see_who_waits(idle_since(queue), now);
  list(queue);
  const auto high_watermark = house_.storage.bounds(queue.records.place().id).high_watermark;
  const bool reads_on = queue.records.has_something(high_watermark, acks(queue));
  if (any_idle_ || !reads_on)
    if (const Takers all = takers(queue, now); all.anybody_may_take())
      queue.records.free_parked(all, reads_on);
  mark(queue);
}

bool DeliveryGroup::ready_to_read(Queue& queue, Now now) {
  follow_log_start(queue);
  queue.records.refill(now);
  if (!queue.rescan_at && !queue.reading_delayed && queue.records.rescan_from(now))
    queue.rescan_at = now.monotonic;
  list(queue);
  return queue.records.ahead().has_at_hand() || reads_something(queue);
}

bool DeliveryGroup::reads_something(Queue& queue) const {
  const auto bounds = house_.storage.bounds(queue.records.place().id);
  return !queue.reading && queue.records.has_something(bounds.high_watermark, acks(queue));
}

void DeliveryGroup::follow_log_start(Queue& queue) {
  const Offset log_start = house_.storage.bounds(queue.records.place().id).log_start;
  if (log_start > queue.trimmed) trim(queue, log_start);
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

// Deliveries end it: who settled all it had, and got more, did not idle meanwhile.
void DeliveryGroup::note_idle(Now now) {
  any_idle_ = false;
  for (auto& [key, member] : members_) {
    if (member.leased > 0) continue;
    if (!member.idle_since) member.idle_since = now.monotonic;
    any_idle_ = true;
  }
}

// Of whoever has nothing and may have something of the queue, the longest.
std::optional<MonotonicTime> DeliveryGroup::idle_since(const Queue& queue) const {
  std::optional<MonotonicTime> first;
  if (!any_idle_) return first;
  for (const auto& [key, member] : queue.readers)
    if (member->idle_since && may_have_more(*member))
      first = first ? std::min(*first, *member->idle_since) : member->idle_since;
  return first;
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
  all.reserve(queue.readers.size());
  for (const auto& [key, member] : queue.readers) {
    Taker one = taker(key, *member, now);
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
  bool any = queue.records.ahead().has_at_hand() && give_at_hand(queue, now);
  if (!queue.stopped && reads_something(queue)) any = read_and_give(queue, now) || any;
  return any;
}

bool DeliveryGroup::read_and_give(Queue& queue, Now now) {
  queue.records.see_who_waits(idle_since(queue), now);
  if (!queue.records.may_take()) {
    list(queue);
    return false;
  }
  Takers takers = this->takers(queue, now);
  if (takers.size() == 0) return false;
  const Offset from = queue.records.read_from(acks(queue));
  const std::size_t bytes = bytes_for(takers);
  if (!read(queue, from < queue.records.next() ? std::min(bytes, kReturnedBytes) : bytes))
    return false;
  // It brings along what will be due soon.
  queue.records.ahead().keep(*queue.fetched);
  auto taken = queue.records.take(
      {*queue.fetched, acks(queue), settings_.max_deliveries, times(queue), now}, takers);
  const bool any = hand_out(queue, takers, std::move(taken), now);
  return any || queue.records.read_from(acks(queue)) != from;
}

// What was taken out of the queue, also in vain.
bool DeliveryGroup::hand_out(Queue& queue, Takers& takers, Result<DeliveryQueue::Taken> taken,
                             Now now) {
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
  return any;
}

void DeliveryGroup::deliver(const Queue& queue, const Taker& taker, DeliveredBatches delivered) {
  Member& member = members_.at(taker.member);
  delivered.partition = queue.records.place().partition;
  delivered.topic = queue.records.place().topic;
  redelivered_ += delivered.redelivered;
  delivered.subscription = taker.member.subscription;
  delivered.number = member.deliveries = taker.delivery;
  member.sent.records += delivered.records;
  member.sent.bytes += delivered.bytes;
  member.leased += delivered.records;
  member.idle_since.reset();
  member.served = ++servings_;
  member.outbox_bytes += delivered.bytes;
  member.outbox.push_back(std::move(delivered));
  ++house_.deliveries;
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
  if (queue->reading_ahead == token) {
    queue->reading_ahead.reset();
    if (result) queue->records.ahead().keep(*result);  // else it is read, and told of, when due
    return list(*queue);
  }
  if (queue->reading_delayed == token) {
    queue->reading_delayed.reset();
    if (result)
      queue->fetched_delayed = std::move(*result);
    else if (result.error() != ErrorCode::kOffsetOutOfRange)
      queue->stopped = true;  // storage has told what is damaged
    return;                   // dispatch() sees that it goes on
  }
  if (dead) {
    queue->fetched_dead = std::move(result);
  } else if (result) {
    queue->fetched = std::move(*result);
  } else if (result.error() != ErrorCode::kOffsetOutOfRange) {
    queue->stopped = true;  // storage has told what is damaged
  }
}

// ---- what a connection takes ----

std::optional<DeliveredBatches> DeliveryGroup::next(const MemberKey& key) {
  const auto it = members_.find(key);
  while (it != members_.end() && !it->second.outbox.empty()) {
    Member& member = it->second;
    DeliveredBatches delivered = std::move(member.outbox.front());
    member.outbox.pop_front();
    member.outbox_bytes -= delivered.bytes;
    // The connection may have had no room for longer than the lease held. Until it has, what is
    // lost counts as sent: who takes nothing gets no more.
    const Grants before{delivered.records, delivered.bytes};
    Queue* queue = find(delivered.partition);
    const bool any = queue && queue->records.keep_leased(delivered, key);
    member.sent.records -= any ? before.records - delivered.records : before.records;
    member.sent.bytes -= any ? before.bytes - delivered.bytes : before.bytes;
    if (any) return delivered;
  }
  return std::nullopt;
}

}  // namespace leat::broker
