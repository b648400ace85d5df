// What goes between a broker and the members of shared groups, protocol-neutral.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/group_kind.h"
#include "server/broker/replies.h"
#include "server/broker/subscriptions.h"
#include "storage/acks.h"

namespace leat::broker {

using storage::OffsetRange;

inline std::uint64_t count(OffsetRange range) {
  return static_cast<std::uint64_t>(range.last - range.first) + 1;
}

// A member is a subscription of a connection.
struct MemberKey {
  ConnectionId connection;
  std::uint32_t subscription = 0;
  friend auto operator<=>(const MemberKey&, const MemberKey&) = default;
};

// Of a group, as its latest member says.
struct DeliverySettings {
  std::uint32_t max_deliveries = 0;  // 0: no limit
  std::string dead_letter;           // empty: TOPIC.dlq
  std::chrono::milliseconds min_backoff{0}, max_backoff{0};
  bool dead_letter_expired = false;  // what expires goes there, too
};

// What of a topic's records depends on the time.
struct RecordTimes {
  bool any = false;                   // else nothing does
  std::chrono::milliseconds ttl{-1};  // of every record; -1: none
  bool dead_letters = false;          // of what expires
};

struct AttachRequest {
  std::uint32_t subscription = 0;
  std::string_view group;
  GroupKind kind = GroupKind::kShared;
  std::vector<std::string> topics;
  std::string_view client_name;
  Grants grants;
  std::size_t max_bytes = 1 << 20;
  bool latest = false;
  std::chrono::milliseconds ack_timeout{30'000};
  DeliverySettings settings;
};

struct SettleRequest {
  std::uint32_t subscription = 0;
  std::vector<Settlement> settlements;
  std::string_view reason;
};

struct DeliveredRange {
  OffsetRange range;
  std::uint32_t attempt = 1;
};

struct DeliveredBatches {
  std::uint32_t subscription = 0;
  storage::TopicPartition partition;
  std::string topic;
  // Ascending. By key, of the records in the batches, all of which are delivered: of offsets
  // between nothing is said.
  std::vector<DeliveredRange> ranges;
  std::vector<storage::StoredBatches> batches;
  std::size_t bytes = 0;  // of the batches
  std::uint64_t records = 0, redelivered = 0;
  std::uint64_t number = 0;  // of the member's, from 1
};

}  // namespace leat::broker
