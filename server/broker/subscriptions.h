// Push delivery (rule 10): who is sent what without asking, within what was granted. Nothing is
// queued here: a connection takes its next push when its output has room, so that replies never
// wait behind pushes and a slow reader holds nothing. One thread.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>

#include "server/broker/broker_options.h"
#include "server/broker/durable_replies.h"

namespace leat::broker {

struct Grants {
  std::uint64_t records = 0, bytes = 0;  // cumulative and absolute
};

struct SubscribeRequest {
  std::uint32_t subscription = 0;
  TopicId topic;
  PartitionIndex partition;
  Offset offset;
  LeaderEpoch epoch{-1};
  Grants grants;
  std::size_t max_bytes = 0;
};

struct PushedBatches {
  std::uint32_t subscription;
  storage::PartitionBounds bounds;
  std::vector<storage::StoredBatches> batches;
};

class Subscriptions {
 public:
  // Read tokens of subscriptions, as opposed to those of fetches.
  static bool owns(storage::ReadToken token) { return (token & kTokenBit) != 0; }

  Subscriptions(const BrokerOptions& options, storage::Storage& storage, DurableReplies& replies,
                ReplySink& sink)
      : options_(options), storage_(storage), replies_(replies), sink_(sink) {}

  void subscribe(const RequestId& id, const SubscribeRequest& request);
  // Raises what may be sent; of no subscription: ignored, for it may just have ended.
  void grant(ConnectionId connection, std::uint32_t subscription, Grants grants);
  void unsubscribe(const RequestId& id, std::uint32_t subscription);

  // What to send next on the connection, its subscriptions in turn; nullopt: nothing for now, and
  // ReplySink::on_push_ready() will tell.
  std::optional<PushedBatches> next_push(ConnectionId connection);

  void on_high_watermark(PartitionId partition);
  void on_read(storage::ReadToken token, Result<storage::ReadResult> result);
  void on_connection_closed(ConnectionId connection);
  void on_topic_deleted(const std::vector<PartitionId>& partitions, std::string_view name);

 private:
  static constexpr storage::ReadToken kTokenBit = storage::ReadToken{1} << 63;

  struct Key {
    ConnectionId connection;
    std::uint32_t subscription;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Subscription {
    PartitionId partition;
    Offset next;
    Grants granted, sent;
    std::size_t max_bytes = 0;
    bool ready = false;                          // stands in its connection's turn
    std::optional<storage::ReadToken> reading;   // storage answers later
    std::optional<storage::ReadResult> fetched;  // storage has answered
  };
  struct Connection {
    std::map<std::uint32_t, Subscription> subscriptions;
    std::deque<std::uint32_t> turn;
  };

  Subscription* find(const Key& key);
  bool may_send(const Subscription& subscription) const;
  bool is_overtaken(const Subscription& subscription) const;
  Error overtaken(const Subscription& subscription) const;
  void make_ready(const Key& key, Subscription& subscription);
  std::optional<storage::ReadResult> read(const Key& key, Subscription& subscription);
  PushedBatches cut(std::uint32_t id, Subscription& subscription, storage::ReadResult result) const;
  void remove(const Key& key);
  void end(const Key& key, const Error& why);

  const BrokerOptions& options_;
  storage::Storage& storage_;
  DurableReplies& replies_;
  ReplySink& sink_;
  std::unordered_map<ConnectionId, Connection> connections_;
  std::unordered_map<PartitionId, std::set<Key>> by_partition_;
  std::unordered_map<storage::ReadToken, Key> reads_;
  storage::ReadToken last_token_ = 0;
};

}  // namespace leat::broker
