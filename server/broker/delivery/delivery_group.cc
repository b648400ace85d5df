#include "server/broker/delivery/delivery_group.h"

#include <algorithm>

namespace leat::broker {
namespace {

using std::chrono::milliseconds;

// The parts of `range` that `covered`, ascending, leaves out.
std::vector<OffsetRange> without(OffsetRange range, std::vector<OffsetRange> covered) {
  std::ranges::sort(covered);
  std::vector<OffsetRange> rest;
  for (const OffsetRange part : covered) {
    if (part.first > range.first) rest.push_back({range.first, part.first + -1});
    range.first = part.last + 1;
  }
  if (range.first <= range.last) rest.push_back(range);
  return rest;
}

}  // namespace

DeliveryGroup::~DeliveryGroup() {
  std::erase_if(house_.reads, [this](const auto& read) { return read.second.group == this; });
  std::erase_if(house_.ahead_turns, [this](const auto& turn) { return turn.group == this; });
}

const storage::PartitionAcks* DeliveryGroup::acks(const Queue& queue) const {
  const auto& partition = queue.records.place().partition;
  return house_.storage.acks(name_, partition.topic, partition.partition);
}

// ---- members ----

Result<> DeliveryGroup::attach(const MemberKey& key, const AttachRequest& request, Now now) {
  if (auto ok = open_queues(request.topics, request.latest, now); !ok) return ok;
  settings_ = request.settings;
  Member& member = members_[key];
  member.topics = {request.topics.begin(), request.topics.end()};
  member.client_name = request.client_name;
  member.granted = request.grants;
  member.max_bytes = std::clamp<std::size_t>(request.max_bytes, 1, house_.options.fetch_bytes);
  member.ack_timeout = request.ack_timeout;
  for (auto& [id, queue] : queues_) {
    add_reader(queue, key, member);
    queue.stopped = false;
    mark(queue);
  }
  return {};
}

void DeliveryGroup::add_reader(Queue& queue, const MemberKey& key, Member& member) {
  if (!member.topics.contains(queue.records.place().topic)) return;
  const std::pair reader(key, &member);
  queue.readers.insert(std::ranges::upper_bound(queue.readers, reader), reader);
}

Result<> DeliveryGroup::open_queues(const std::vector<std::string>& topics, bool latest, Now now) {
  std::vector<storage::OffsetCommit> begins;
  for (const std::string& name : topics)
    if (const storage::Topic* topic = house_.storage.find_topic(name))
      for (std::size_t i = 0; i < topic->partitions.size(); ++i)
        if (!queues_.contains(topic->partitions[i]))
          if (auto ok = open_queue(*topic, i, latest, now, begins); !ok) return ok;
  // So that a restart does not begin elsewhere.
  if (begins.empty()) return {};
  if (auto ok = house_.storage.commit_offsets(name_, begins); !ok) return fail(ok.error());
  return {};
}

Result<> DeliveryGroup::open_queue(const storage::Topic& topic, std::size_t index, bool latest,
                                   Now now, std::vector<storage::OffsetCommit>& begins) {
  const PartitionId id = topic.partitions[index];
  const PartitionIndex partition(static_cast<std::int32_t>(index));
  const auto bounds = house_.storage.bounds(id);
  Offset floor = latest ? bounds.high_watermark : bounds.log_start;
  // Anything may have been committed (rule 6), and retention may have been ahead.
  const auto committed = house_.storage.committed(name_, topic.id, partition);
  if (committed) floor = std::clamp(committed->offset, bounds.log_start, bounds.high_watermark);
  // A commit forgets what is done behind it: where the log start has moved, trim() is for that.
  if (!committed || committed->offset > floor) begins.push_back({topic.id, partition, floor, {}});
  const storage::TopicPartition name{topic.id, partition};
  Queue& queue =
      queues_
          .try_emplace(id, DeliveryQueue::Place{name, id, topic.name},
                       kind_ == GroupKind::kKeyShared,
                       DeliveryQueue::Limits{house_.options.held_per_partition,
                                             house_.options.delayed_in_memory,
                                             house_.options.parked_bytes, house_.ahead_memory})
          .first->second;
  for (auto& [key, member] : members_) add_reader(queue, key, member);
  ids_[name] = id;
  queue.records.begin(floor, acks(queue), now);
  list(queue);
  return {};
}

void DeliveryGroup::on_topics_changed(Now now) {
  std::set<std::string> wanted;
  for (const auto& [key, member] : members_)
    wanted.insert(member.topics.begin(), member.topics.end());
  for (auto it = queues_.begin(); it != queues_.end();) {
    Queue& queue = it->second;
    const auto& partition = queue.records.place().partition;
    if (house_.storage.find_topic(partition.topic)) {
      ++it;
      continue;
    }
    for (const auto& [key, member] : queue.readers)
      for (const auto& piece : queue.records.leased_by(key)) member->leased -= count(piece.range);
    std::erase(turn_, &queue);
    std::erase(parking_, &queue);
    burying_.erase(it->first);
    if (queue.listed_under) deadlines_.erase({*queue.listed_under, it->first});
    std::erase_if(house_.reads, [&](const auto& read) {
      return read.second.group == this && read.second.partition == it->first;
    });
    ids_.erase(partition);
    it = queues_.erase(it);
  }
  // A new one has nothing that anybody could have missed: from its beginning. If storage refuses,
  // the next change or member tries again.
  [[maybe_unused]] const auto ok = open_queues({wanted.begin(), wanted.end()}, false, now);
  for (auto& [id, queue] : queues_) mark(queue);
}

void DeliveryGroup::detach(const MemberKey& key, bool lost, Now now) {
  const auto it = members_.find(key);
  if (it == members_.end()) return;
  members_.erase(it);
  for (auto& [id, queue] : queues_) {
    std::erase_if(queue.readers, [&](const auto& reader) { return reader.first == key; });
    Change change;
    for (const auto& piece : queue.records.leased_by(key)) {
      if (lost)
        fail_piece(queue, piece, milliseconds(0), now, change);
      else
        queue.records.give_back(piece);
    }
    // Where it cannot be written down it is as if nobody had had them.
    [[maybe_unused]] const auto ok = make(queue, std::move(change));
    mark(queue);
    list(queue);
  }
}

void DeliveryGroup::grant(const MemberKey& key, Grants grants) {
  const auto it = members_.find(key);
  if (it == members_.end()) return;
  Grants& granted = it->second.granted;
  granted.records = std::max(granted.records, grants.records);
  granted.bytes = std::max(granted.bytes, grants.bytes);
}

std::vector<storage::GroupMember> DeliveryGroup::describe_members() const {
  std::vector<storage::GroupMember> all;
  for (const auto& [key, member] : members_) {
    storage::GroupMember shown;
    shown.id = std::to_string(key.connection.value) + "." + std::to_string(key.subscription);
    shown.client_name = member.client_name;
    shown.topics.assign(member.topics.begin(), member.topics.end());
    all.push_back(std::move(shown));
  }
  return all;
}

std::pair<std::uint64_t, std::uint64_t> DeliveryGroup::counts(PartitionId partition) const {
  const auto it = queues_.find(partition);
  if (it == queues_.end()) return {};
  return {it->second.records.leased_records(), it->second.records.waiting_records()};
}

// ---- what members say ----

DeliveryGroup::Queue* DeliveryGroup::find(PartitionId partition) {
  const auto it = queues_.find(partition);
  return it == queues_.end() ? nullptr : &it->second;
}

DeliveryGroup::Queue* DeliveryGroup::find(const storage::TopicPartition& partition) {
  const auto it = ids_.find(partition);
  return it == ids_.end() ? nullptr : find(it->second);
}

Result<std::vector<Settlement>> DeliveryGroup::settle(const MemberKey& key,
                                                      const SettleRequest& request, Now now) {
  std::vector<Settlement> refused;
  std::map<PartitionId, Change> changes;
  const auto reason = std::make_shared<const std::string>(
      request.reason.empty() ? std::string_view("rejected") : request.reason);
  Member& member = members_.at(key);
  const Settlement* before = nullptr;  // most are of the same partition as the one before
  Queue* queue = nullptr;
  Change* change = nullptr;
  for (const Settlement& settlement : request.settlements) {
    if (!before || before->partition != settlement.partition) {
      queue = find(settlement.partition);
      if (queue) follow_log_start(*queue);  // below it all counts as done
      change = queue ? &changes[queue->records.place().id] : nullptr;
    }
    before = &settlement;
    if (!queue || settlement.range.first > settlement.range.last)
      refused.push_back(settlement);
    else if (kind_ == GroupKind::kKeyShared)
      settle_by_key(*queue, settlement, key, member, reason, now, *change, refused);
    else
      settle_one(*queue, settlement, key, member, reason, now, *change, refused);
  }
  Result<> made;
  for (auto& [id, of_one] : changes) {
    Queue& changed = *find(id);
    changed.records.finished();
    if (auto ok = make(changed, std::move(of_one)); !ok) made = ok;
    mark(changed);
    list(changed);
  }
  if (!made) return fail(made.error());
  return refused;
}

void DeliveryGroup::settle_one(Queue& queue, const Settlement& settlement, const MemberKey& key,
                               Member& member, const Reason& reason, Now now, Change& change,
                               std::vector<Settlement>& refused) {
  const Pieces pieces = queue.records.leased(settlement.range, key, settlement.delivery,
                                             settlement.outcome == Outcome::kAck);
  if (settlement.outcome == Outcome::kExtend)
    queue.records.extend(pieces, now.monotonic + member.ack_timeout);
  else
    for (const auto& piece : pieces) member.leased -= count(piece.range);
  if (settlement.outcome == Outcome::kAck) return ack(queue, settlement, pieces, change, refused);
  std::vector<OffsetRange> covered;
  for (const auto& piece : pieces) covered.push_back(piece.range);
  give_up(queue, settlement, pieces, reason, now, change);
  refuse(settlement, without(settlement.range, std::move(covered)), refused);
}

void DeliveryGroup::settle_by_key(Queue& queue, const Settlement& settlement, const MemberKey& key,
                                  Member& member, const Reason& reason, Now now, Change& change,
                                  std::vector<Settlement>& refused) {
  const auto lost = queue.records.lost(settlement.range, key, settlement.delivery);
  if (settlement.outcome == Outcome::kAck) {
    member.leased -= queue.records.finish(settlement.range, key, settlement.delivery, change.done);
    return refuse_open(queue, settlement, lost, refused);
  }
  refuse(settlement, lost, refused);
  if (settlement.outcome == Outcome::kExtend)
    return queue.records.extend(settlement.range, key, settlement.delivery,
                                now.monotonic + member.ack_timeout);
  const Pieces pieces = queue.records.leased(settlement.range, key, settlement.delivery, false);
  for (const auto& piece : pieces) member.leased -= count(piece.range);
  give_up(queue, settlement, pieces, reason, now, change);
}

// What the member did not get done.
void DeliveryGroup::give_up(Queue& queue, const Settlement& settlement, const Pieces& pieces,
                            const Reason& reason, Now now, Change& change) {
  for (const auto& piece : pieces) {
    if (settlement.outcome == Outcome::kNack)
      fail_piece(queue, piece, settlement.delay, now, change);
    if (settlement.outcome != Outcome::kReject) continue;
    queue.records.dying(piece, reason);
    change.retries.push_back({piece.range, {.attempts = kDeadAttempts}});
  }
}

// It also counts when the lease has ended and nobody else has one.
void DeliveryGroup::ack(Queue& queue, const Settlement& settlement, const Pieces& pieces,
                        Change& change, std::vector<Settlement>& refused) {
  std::vector<OffsetRange> covered = queue.records.returned(settlement.range);
  for (const auto& piece : pieces) {
    covered.push_back(piece.range);
    queue.records.done(piece);
  }
  change.done.insert(change.done.end(), covered.begin(), covered.end());
  refuse_open(queue, settlement, without(settlement.range, std::move(covered)), refused);
}

void DeliveryGroup::refuse(const Settlement& settlement, const std::vector<OffsetRange>& parts,
                           std::vector<Settlement>& refused) {
  for (const OffsetRange part : parts) {
    refused.push_back(settlement);
    refused.back().range = part;
  }
}

// What is done was acked before, and stays so.
void DeliveryGroup::refuse_open(const Queue& queue, const Settlement& settlement,
                                const std::vector<OffsetRange>& parts,
                                std::vector<Settlement>& refused) const {
  const auto* acks = parts.empty() ? nullptr : this->acks(queue);
  for (OffsetRange part : parts) {
    if (acks) part.first = std::max(part.first, acks->next_open(part.first));
    if (part.first > part.last) continue;
    refused.push_back(settlement);
    refused.back().range = part;
  }
}

void DeliveryGroup::fail_piece(Queue& queue, const TimedRanges<Lease>::Piece& piece,
                               std::optional<milliseconds> delay, Now now, Change& change) {
  const auto member = members_.find(piece.value.member);
  for (Offset at = piece.range.first; at <= piece.range.last;) {
    const auto [last, before] = attempts_at(at, piece.range.last, acks(queue));
    const OffsetRange part{at, last};
    at = last + 1;
    const std::uint32_t attempts = before + 1;
    if (settings_.max_deliveries > 0 && attempts >= settings_.max_deliveries) {
      change.retries.push_back({part, {.attempts = attempts}});
      queue.records.dying({part, piece.due, piece.value},
                          std::make_shared<const std::string>("max_deliveries"));
      continue;
    }
    const milliseconds wait = delay.value_or(backoff(attempts));
    change.retries.push_back(
        {part,
         {.attempts = attempts,
          .due_ms = wait.count() > 0 ? (now.wall.time_since_epoch() + wait).count() : 0}});
    const std::uint64_t revoked =
        queue.records.failed({part, piece.due, piece.value}, now.monotonic + wait, now.monotonic);
    if (member != members_.end()) member->second.leased -= revoked;
  }
}

milliseconds DeliveryGroup::backoff(std::uint32_t attempts) {
  milliseconds wait = settings_.min_backoff;
  const milliseconds most = std::max(settings_.max_backoff, settings_.min_backoff);
  for (std::uint32_t i = 1; i < attempts && wait < most; ++i) wait *= 2;
  wait = std::min(wait, most);
  if (wait.count() < 2 || settings_.max_backoff <= settings_.min_backoff) return wait;
  return wait - milliseconds(house_.random.below(static_cast<std::uint64_t>(wait.count()) / 2));
}

// One entry. What could not be written down is not done, and nobody's.
Result<> DeliveryGroup::make(Queue& queue, Change change) {
  if (change.done.empty() && change.retries.empty()) return {};
  const storage::AcksChange all{name_, queue.records.place().partition, std::move(change.done),
                                std::move(change.retries)};
  const auto made = house_.storage.change_acks(all);
  if (made) return {};
  for (const OffsetRange range : all.done)
    for (const OffsetRange part : queue.records.not_ready(range))
      queue.records.give_back({part, MonotonicTime::min(), {}});
  return fail(made.error());
}

// ---- time ----

void DeliveryGroup::on_time(Now now) {
  std::vector<PartitionId> due;
  for (auto it = deadlines_.begin(); it != deadlines_.end() && it->first <= now.monotonic; ++it)
    due.push_back(it->second);
  for (const PartitionId partition : due) {
    Queue& queue = *find(partition);
    queue.records.on_time(now);
    rescan(queue, now);
    if (queue.bury_at && *queue.bury_at <= now.monotonic) queue.bury_at.reset();
    Change change;
    for (const auto& piece : queue.records.expired(now.monotonic)) {
      if (const auto member = members_.find(piece.value.member); member != members_.end())
        member->second.leased -= count(piece.range);
      fail_piece(queue, piece, std::nullopt, now, change);
    }
    [[maybe_unused]] const auto ok = make(queue, std::move(change));
    mark(queue);
    list(queue);
  }
}

void DeliveryGroup::shift(Duration gap) {
  for (auto& [key, member] : members_)
    if (member.idle_since) *member.idle_since += gap;
  for (auto& [id, queue] : queues_) {
    queue.records.shift(gap);
    list(queue);
  }
}

std::optional<MonotonicTime> DeliveryGroup::next_deadline() const {
  if (deadlines_.empty()) return std::nullopt;
  return deadlines_.begin()->first;
}

void DeliveryGroup::list(Queue& queue) {
  if (queue.records.ahead().is_sweeping() && !std::exchange(queue.in_ahead_turn, true))
    house_.ahead_turns.push_back({this, queue.records.place().id});
  std::optional<MonotonicTime> next = queue.records.next_deadline();
  if (queue.bury_at) next = next ? std::min(*next, *queue.bury_at) : *queue.bury_at;
  if (queue.rescan_at) next = next ? std::min(*next, *queue.rescan_at) : *queue.rescan_at;
  if (next == queue.listed_under) return;
  const PartitionId id = queue.records.place().id;
  if (queue.listed_under) deadlines_.erase({*queue.listed_under, id});
  if (next) deadlines_.emplace(*next, id);
  queue.listed_under = next;
}

}  // namespace leat::broker
