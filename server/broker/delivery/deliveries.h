// Delivery with acknowledgements: the groups of kind shared and key_shared that have members. One
// thread.
//
// A connection takes its next delivery when its output has room; dispatch(), called behind each
// event, decides what that will be.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "server/broker/delivery/delivery_group.h"
#include "server/broker/durable_replies.h"
#include "server/broker/group_ids.h"

namespace leat::broker {

class Deliveries {
 public:
  // Read tokens of deliveries, as opposed to those of fetches and subscriptions.
  static bool owns(storage::ReadToken token) { return (token & DeliveryGroup::kTokenBit) != 0; }

  using DeadLetterTopic =
      std::function<Result<const storage::Topic*>(const std::string& name, Now now)>;
  // Told when a group loses its last member.
  using BecameEmpty = std::function<void(std::string_view group, MonotonicTime now)>;
  Deliveries(const BrokerOptions& options, storage::Storage& storage, DurableReplies& replies,
             ReplySink& sink, const GroupIds& ids, Random random, DeadLetterTopic dead_letter_topic,
             BecameEmpty became_empty)
      : replies_(replies),
        ids_(ids),
        became_empty_(std::move(became_empty)),
        house_{.options = options,
               .storage = storage,
               .sink = sink,
               .random = random,
               .dead_letter_topic = std::move(dead_letter_topic),
               .ahead_memory = {options.read_ahead_bytes}} {}

  void attach(const RequestId& id, const AttachRequest& request, Now now);
  void settle(const RequestId& id, const SettleRequest& request, Now now);
  // Both false: of no member here.
  bool grant(ConnectionId connection, std::uint32_t subscription, Grants grants);
  bool detach(const RequestId& id, std::uint32_t subscription, Now now);
  bool has(ConnectionId connection, std::uint32_t subscription) const {
    return members_.contains({connection, subscription});
  }

  // Null: the group has no member here.
  const DeliveryGroup* find(std::string_view group) const;

  bool any() const { return !groups_.empty(); }
  void dispatch(Now now);
  // What to send next on the connection, its members in turn; nullopt: nothing for now, and
  // ReplySink::on_push_ready() will tell.
  std::optional<DeliveredBatches> next(ConnectionId connection);

  void on_high_watermark(PartitionId partition);
  void on_read(storage::ReadToken token, Result<storage::ReadResult> result);
  void on_connection_closed(ConnectionId connection, Now now);
  void on_topics_changed(Now now);
  void on_time(Now now);
  void shift(Duration gap);
  std::optional<MonotonicTime> next_deadline() const;

 private:
  Result<> check(const AttachRequest& request, const MemberKey& key) const;
  void remove(const MemberKey& key, bool lost, Now now);
  void read_ahead(bool busy, Now now);

  DurableReplies& replies_;
  const GroupIds& ids_;
  BecameEmpty became_empty_;
  DeliveryHouse house_;
  std::optional<MonotonicTime> read_ahead_at_;  // there is more to read
  std::map<std::string, std::unique_ptr<DeliveryGroup>, std::less<>> groups_;
  std::map<MemberKey, DeliveryGroup*> members_;
  std::unordered_map<ConnectionId, std::deque<std::uint32_t>> turns_;  // of its members
};

}  // namespace leat::broker
