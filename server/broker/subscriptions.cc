#include "server/broker/subscriptions.h"

#include <algorithm>

#include "protocol/record_batch.h"
#include "server/broker/partitions.h"

namespace leat::broker {

Subscriptions::Subscription* Subscriptions::find(const Key& key) {
  const auto connection = connections_.find(key.connection);
  if (connection == connections_.end()) return nullptr;
  const auto it = connection->second.subscriptions.find(key.subscription);
  return it == connection->second.subscriptions.end() ? nullptr : &it->second;
}

void Subscriptions::subscribe(const RequestId& id, const SubscribeRequest& request) {
  auto found = find_partition(storage_, request.topic, request.partition);
  if (!found) return replies_.reply(id, found.error());
  if (auto ok = check_position(storage_, *found, request.partition, request.offset, request.epoch);
      !ok)
    return replies_.reply(id, ok.error());
  const Key key{id.connection, request.subscription};
  if (find(key))
    return replies_.reply(
        id, Error(ErrorCode::kInvalidRequest, "subscription " + std::to_string(key.subscription) +
                                                  " is in use on this connection"));
  Connection& connection = connections_[id.connection];
  if (connection.subscriptions.size() >= options_.subscriptions_per_connection)
    return replies_.reply(
        id, Error(ErrorCode::kLimitReached, std::to_string(options_.subscriptions_per_connection) +
                                                " subscriptions on this connection"));
  Subscription& subscription = connection.subscriptions[key.subscription];
  subscription.partition = found->id;
  subscription.next = request.offset;
  subscription.granted = request.grants;
  subscription.max_bytes = std::min(request.max_bytes, options_.fetch_bytes);
  by_partition_[found->id].insert(key);
  // At once: a push may be next, and its subscription is known by then.
  replies_.reply_now(id, Subscribed{storage_.bounds(found->id)});
  make_ready(key, subscription);
}

void Subscriptions::grant(ConnectionId connection, std::uint32_t id, Grants grants) {
  Subscription* subscription = find({connection, id});
  if (!subscription) return;
  Grants& granted = subscription->granted;
  granted.records = std::max(granted.records, grants.records);
  granted.bytes = std::max(granted.bytes, grants.bytes);
  make_ready({connection, id}, *subscription);
}

void Subscriptions::unsubscribe(const RequestId& id, std::uint32_t subscription) {
  remove({id.connection, subscription});
  replies_.reply_now(id, Unsubscribed{});
}

bool Subscriptions::may_send(const Subscription& subscription) const {
  return subscription.sent.records < subscription.granted.records &&
         subscription.sent.bytes < subscription.granted.bytes && !subscription.reading &&
         (subscription.fetched ||
          subscription.next < storage_.bounds(subscription.partition).high_watermark);
}

void Subscriptions::make_ready(const Key& key, Subscription& subscription) {
  if (subscription.ready || !may_send(subscription)) return;
  subscription.ready = true;
  connections_.at(key.connection).turn.push_back(key.subscription);
  sink_.on_push_ready(key.connection);
}

// Whether what comes next is gone, as it may be for one that lags behind. What was read before that
// is delivered still.
bool Subscriptions::is_overtaken(const Subscription& subscription) const {
  return !subscription.fetched &&
         subscription.next < storage_.bounds(subscription.partition).log_start;
}

Error Subscriptions::overtaken(const Subscription& subscription) const {
  return {ErrorCode::kOffsetOutOfRange,
          std::to_string(subscription.next.value) + "; older records are gone, the log start is " +
              std::to_string(storage_.bounds(subscription.partition).log_start.value) + " now"};
}

std::optional<storage::ReadResult> Subscriptions::read(const Key& key, Subscription& subscription) {
  if (subscription.fetched) return std::exchange(subscription.fetched, std::nullopt);
  const std::uint64_t left = subscription.granted.bytes - subscription.sent.bytes;
  const auto bytes =
      static_cast<std::size_t>(std::min<std::uint64_t>(left, subscription.max_bytes));
  const storage::ReadToken token = ++last_token_ | kTokenBit;
  auto outcome = storage_.read(subscription.partition, subscription.next, bytes, token);
  if (auto* result = std::get_if<storage::ReadResult>(&outcome)) return std::move(*result);
  subscription.reading = token;
  reads_.emplace(token, key);
  return std::nullopt;
}

std::optional<PushedBatches> Subscriptions::next_push(ConnectionId id) {
  for (auto it = connections_.find(id); it != connections_.end() && !it->second.turn.empty();
       it = connections_.find(id)) {
    Connection& connection = it->second;
    const Key key{id, connection.turn.front()};
    connection.turn.pop_front();
    Subscription* subscription = find(key);
    if (!subscription) continue;
    subscription->ready = false;
    if (!may_send(*subscription)) continue;
    if (is_overtaken(*subscription)) {
      end(key, overtaken(*subscription));
      continue;
    }
    auto result = read(key, *subscription);
    if (!result || result->batches.empty()) continue;
    PushedBatches push = cut(key.subscription, *subscription, std::move(*result));
    if (may_send(*subscription)) {
      subscription->ready = true;
      connection.turn.push_back(key.subscription);
    }
    return push;
  }
  return std::nullopt;
}

// Counts what goes out; at least one batch, and no further one beyond the granted records.
PushedBatches Subscriptions::cut(std::uint32_t id, Subscription& subscription,
                                 storage::ReadResult result) const {
  PushedBatches push{id, storage_.bounds(subscription.partition), {}};
  bool first = true;
  for (storage::StoredBatches& stored : result.batches) {
    std::size_t taken = 0;
    while (taken < stored.bytes.size()) {
      const auto batch = RecordBatchView::parse(stored.bytes.subspan(taken));
      if (!batch) break;  // storage has checked it
      const auto records = static_cast<std::uint64_t>(batch->record_count());
      if (!first && subscription.sent.records + records > subscription.granted.records) break;
      first = false;
      subscription.sent.records += records;
      subscription.sent.bytes += batch->bytes().size();
      subscription.next = batch->last_offset() + 1;
      taken += batch->bytes().size();
    }
    const bool whole = taken == stored.bytes.size();
    if (taken > 0) push.batches.push_back({std::move(stored.owner), stored.bytes.first(taken)});
    if (!whole) break;
  }
  return push;
}

void Subscriptions::on_high_watermark(PartitionId partition) {
  const auto it = by_partition_.find(partition);
  if (it == by_partition_.end()) return;
  for (const Key& key : it->second) make_ready(key, *find(key));
}

void Subscriptions::on_read(storage::ReadToken token, Result<storage::ReadResult> result) {
  const auto it = reads_.find(token);
  if (it == reads_.end()) return;  // ended meanwhile
  const Key key = it->second;
  reads_.erase(it);
  if (!result) return end(key, result.error());
  Subscription& subscription = *find(key);
  subscription.reading.reset();
  subscription.fetched = std::move(*result);
  make_ready(key, subscription);
}

void Subscriptions::remove(const Key& key) {
  Subscription* subscription = find(key);
  if (!subscription) return;
  if (subscription->reading) reads_.erase(*subscription->reading);
  const auto partition = by_partition_.find(subscription->partition);
  partition->second.erase(key);
  if (partition->second.empty()) by_partition_.erase(partition);
  const auto connection = connections_.find(key.connection);
  connection->second.subscriptions.erase(key.subscription);
  std::erase(connection->second.turn, key.subscription);  // its number may come again
  if (connection->second.subscriptions.empty()) connections_.erase(connection);
}

void Subscriptions::end(const Key& key, const Error& why) {
  remove(key);
  sink_.on_subscription_ended(key.connection, key.subscription, why);
}

void Subscriptions::on_connection_closed(ConnectionId id) {
  for (auto it = connections_.find(id); it != connections_.end(); it = connections_.find(id))
    remove({id, it->second.subscriptions.begin()->first});
}

void Subscriptions::on_topic_deleted(const std::vector<PartitionId>& partitions,
                                     std::string_view name) {
  for (const PartitionId partition : partitions)
    for (auto it = by_partition_.find(partition); it != by_partition_.end();
         it = by_partition_.find(partition))
      end(Key(*it->second.begin()), {ErrorCode::kUnknownTopic, quoted(name) + " was deleted"});
}

}  // namespace leat::broker
