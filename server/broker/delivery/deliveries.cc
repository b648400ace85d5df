#include "server/broker/delivery/deliveries.h"

#include <algorithm>

#include "protocol/names.h"
#include "server/broker/partitions.h"

namespace leat::broker {
namespace {

using namespace std::chrono_literals;

constexpr auto kShortestAckTimeout = 10ms;
constexpr auto kLongestAckTimeout = std::chrono::milliseconds(12h);
constexpr auto kLongestBackoff = std::chrono::milliseconds(24h);
constexpr auto kBetweenReadsAhead = 500us;
constexpr std::size_t kClientNameBytes = 255;
constexpr std::size_t kReasonBytes = 1'024;

Result<> invalid(std::string why) {
  return fail(ErrorCode::kInvalidRequest, std::move(why));
}

Result<> check_dead_letter(const AttachRequest& request) {
  for (const std::string& topic : request.topics) {
    const std::string to =
        request.settings.dead_letter.empty() ? topic + ".dlq" : request.settings.dead_letter;
    if (auto ok = validate_topic_name(to); !ok) return ok;
    if (std::ranges::find(request.topics, to) != request.topics.end())
      return invalid("dead letters would go to " + quoted(to) +
                     ", which the group reads; choose another topic");
  }
  return {};
}

}  // namespace

Result<> Deliveries::check(const AttachRequest& request, const MemberKey& key) const {
  const BrokerOptions& options = house_.options;
  if (auto ok = validate_group_name(request.group); !ok) return ok;
  if (request.kind != GroupKind::kShared && request.kind != GroupKind::kKeyShared)
    return invalid("a member attaches to a group of kind 3 (shared) or 4 (key_shared), not " +
                   std::to_string(static_cast<int>(request.kind)));
  if (request.topics.empty() || request.topics.size() > options.topics_per_member)
    return invalid("a member reads 1 to " + std::to_string(options.topics_per_member) + " topics");
  for (const std::string& topic : request.topics)
    if (auto ok = validate_topic_name(topic); !ok) return ok;
  if (request.client_name.size() > kClientNameBytes)
    return invalid("a client's name has at most " + std::to_string(kClientNameBytes) + " bytes");
  if (request.ack_timeout < kShortestAckTimeout || request.ack_timeout > kLongestAckTimeout)
    return invalid("an ack timeout of " + std::to_string(request.ack_timeout.count()) +
                   " ms; use 10 ms to 12 hours");
  if (std::max(request.settings.min_backoff, request.settings.max_backoff) > kLongestBackoff)
    return invalid("a back-off is at most 24 hours");
  if (auto ok = check_dead_letter(request); !ok) return ok;
  if (members_.contains(key))
    return invalid("subscription " + std::to_string(key.subscription) +
                   " is in use on this connection");
  if (auto ok = ids_.check_kind(request.group, request.kind); !ok) return ok;
  const DeliveryGroup* group = find(request.group);
  if (group && group->members() >= options.members_per_group)
    return fail(ErrorCode::kLimitReached,
                std::to_string(options.members_per_group) + " members in a group");
  if (auto ok = ids_.check_room_for(request.group); !group && !ok) return ok;
  const auto turn = turns_.find(key.connection);
  if (turn != turns_.end() && turn->second.size() >= options.subscriptions_per_connection)
    return fail(ErrorCode::kLimitReached, std::to_string(options.subscriptions_per_connection) +
                                              " subscriptions on this connection");
  return {};
}

void Deliveries::attach(const RequestId& id, const AttachRequest& request, Now now) {
  const MemberKey key{id.connection, request.subscription};
  if (auto ok = check(request, key); !ok) return replies_.reply(id, ok.error());
  auto& group = groups_[std::string(request.group)];
  const bool first = !group;
  if (first)
    group = std::make_unique<DeliveryGroup>(house_, std::string(request.group), request.kind);
  if (auto ok = group->attach(key, request, now); !ok) {
    if (first) groups_.erase(groups_.find(request.group));
    return replies_.reply(id, ok.error());
  }
  members_[key] = group.get();
  turns_[id.connection].push_back(request.subscription);
  // At once: a delivery may be next, and its member is known by then.
  replies_.reply_now(id, Attached{});
}

void Deliveries::settle(const RequestId& id, const SettleRequest& request, Now now) {
  const MemberKey key{id.connection, request.subscription};
  const auto it = members_.find(key);
  if (it == members_.end())
    return replies_.reply(
        id, Error(ErrorCode::kUnknownMember, "subscription " + std::to_string(key.subscription) +
                                                 " of this connection; attach first"));
  if (request.reason.size() > kReasonBytes)
    return replies_.reply(id, Error(ErrorCode::kInvalidRequest,
                                    "a reason of " + std::to_string(request.reason.size()) +
                                        " bytes; use at most " + std::to_string(kReasonBytes)));
  for (const Settlement& settlement : request.settlements)
    if (settlement.outcome < Outcome::kAck || settlement.outcome > Outcome::kReject)
      return replies_.reply(
          id, Error(ErrorCode::kInvalidRequest,
                    "outcome " + std::to_string(static_cast<int>(settlement.outcome)) +
                        " is not known to this version"));
  auto refused = it->second->settle(key, request, now);
  if (!refused) return replies_.reply(id, refused.error());
  replies_.reply(id, Settled{std::move(*refused)});
}

bool Deliveries::grant(ConnectionId connection, std::uint32_t subscription, Grants grants) {
  const auto it = members_.find({connection, subscription});
  if (it == members_.end()) return false;
  it->second->grant(it->first, grants);
  return true;
}

bool Deliveries::detach(const RequestId& id, std::uint32_t subscription, Now now) {
  const MemberKey key{id.connection, subscription};
  if (!members_.contains(key)) return false;
  remove(key, false, now);
  replies_.reply_now(id, Unsubscribed{});
  return true;
}

void Deliveries::remove(const MemberKey& key, bool lost, Now now) {
  const auto it = members_.find(key);
  DeliveryGroup* group = it->second;
  group->detach(key, lost, now);
  members_.erase(it);
  const auto turn = turns_.find(key.connection);
  std::erase(turn->second, key.subscription);
  if (turn->second.empty()) turns_.erase(turn);
  if (group->members() > 0) return;
  const std::string name = group->name();
  groups_.erase(name);
  became_empty_(name, now.monotonic);
}

void Deliveries::on_connection_closed(ConnectionId connection, Now now) {
  for (auto it = turns_.find(connection); it != turns_.end(); it = turns_.find(connection))
    remove({connection, it->second.front()}, true, now);
}

const DeliveryGroup* Deliveries::find(std::string_view group) const {
  const auto it = groups_.find(group);
  return it == groups_.end() ? nullptr : it->second.get();
}

void Deliveries::dispatch(Now now) {
  const std::uint64_t before = house_.deliveries;
  for (const auto& [name, group] : groups_) group->dispatch(now);
  read_ahead(house_.deliveries > before, now);
}

// Behind all that may be given now, a piece at a time and none right behind another: what comes due
// meanwhile waits for no more.
void Deliveries::read_ahead(bool busy, Now now) {
  auto& turns = house_.ahead_turns;
  if (turns.empty() || house_.reading_ahead) return read_ahead_at_.reset();
  if (busy || !read_ahead_at_) read_ahead_at_ = now.monotonic;
  if (busy || *read_ahead_at_ > now.monotonic) return;
  const auto [group, partition] = turns.front();
  turns.pop_front();
  group->read_ahead(partition, now);
  read_ahead_at_.reset();
  if (!turns.empty() && !house_.reading_ahead) read_ahead_at_ = now.monotonic + kBetweenReadsAhead;
}

std::optional<DeliveredBatches> Deliveries::next(ConnectionId connection) {
  const auto turn = turns_.find(connection);
  if (turn == turns_.end()) return std::nullopt;
  for (std::size_t i = 0; i < turn->second.size(); ++i) {
    const MemberKey key{connection, turn->second.front()};
    turn->second.push_back(turn->second.front());
    turn->second.pop_front();
    if (auto delivered = members_.at(key)->next(key)) return delivered;
  }
  return std::nullopt;
}

void Deliveries::on_high_watermark(PartitionId partition) {
  for (const auto& [name, group] : groups_) group->on_high_watermark(partition);
}

void Deliveries::on_read(storage::ReadToken token, Result<storage::ReadResult> result) {
  if (house_.reading_ahead == token) house_.reading_ahead.reset();
  const auto it = house_.reads.find(token);
  if (it == house_.reads.end()) return;  // nobody needs it any more
  const auto read = it->second;
  house_.reads.erase(it);
  read.group->on_read(token, read.partition, std::move(result));
}

void Deliveries::on_topics_changed(Now now) {
  for (const auto& [name, group] : groups_) group->on_topics_changed(now);
}

void Deliveries::on_time(Now now) {
  for (const auto& [name, group] : groups_) group->on_time(now);
}

void Deliveries::shift(Duration gap) {
  for (const auto& [name, group] : groups_) group->shift(gap);
}

std::optional<MonotonicTime> Deliveries::next_deadline() const {
  std::optional<MonotonicTime> next = read_ahead_at_;
  for (const auto& [name, group] : groups_)
    if (const auto due = group->next_deadline()) next = next ? std::min(*next, *due) : due;
  return next;
}

}  // namespace leat::broker
