// The messages of delivery with acknowledgements, in groups of kind shared and key_shared; see
// messages.h for what holds for all.
//
// A member attaches: from then on records come as Delivery, within its grants, each leased to it.
// What it does with them it says by Settle; what it does not settle in time, or holds when it goes,
// is delivered again.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/native/group_messages.h"

namespace leat::native {

// ---- requests ----

// Makes the connection a member of the group until Unsubscribe, or its end. `subscription` is any
// number not in use on the connection; grants are as of Subscribe, and counted anew from here.
// What belongs to the group (all from max_deliveries on) is as its latest member says.
struct Attach {
  std::uint32_t subscription = 0;
  std::string_view group;
  GroupKind kind = GroupKind::kShared;   // or kKeyShared
  std::vector<std::string_view> topics;  // by name: one that is created later counts from then on
  std::string_view client_name;          // for people
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  std::uint32_t max_bytes = 1 << 20;  // of one delivery, at least one batch
  bool latest = false;  // begin a partition without a position at its end, not at its start
  std::uint32_t ack_timeout_ms = 30'000;  // of this member's leases
  std::uint32_t max_deliveries = 0;       // then dead; 0: never
  std::string_view dead_letter;           // the topic; empty: TOPIC.dlq
  // Before the second attempt min, doubled from one to the next up to max, less up to half of it at
  // random. 0: at once.
  std::uint32_t min_backoff_ms = 0;
  std::uint32_t max_backoff_ms = 0;
  bool dead_letter_expired = false;  // records that expire become dead letters, too
};

enum class Outcome : std::uint8_t {
  kAck = 1,     // done: never delivered to the group again
  kNack = 2,    // failed: again after delay_ms, or the group's back-off where that is kBackoff
  kExtend = 3,  // still at work: the lease begins anew
  kReject = 4,  // dead at once, as after max_deliveries
};

struct SettledRange {
  static constexpr std::uint32_t kBackoff = 0xffffffff;
  PartitionRef partition;
  Outcome outcome = Outcome::kAck;
  std::uint32_t delay_ms = 0;
  Offset first, last;          // inclusive
  std::uint64_t delivery = 0;  // that brought them: Delivery::number
};

struct Settle {
  static constexpr std::size_t kMostReasonBytes = 1'024;
  std::uint32_t subscription = 0;
  std::vector<SettledRange> ranges;
  std::string_view reason;  // of kReject, for people
};

// ---- replies ----

struct AttachReply {};

// When it is durable: what was acked is never delivered again. `refused` are the parts of the
// ranges whose lease by that delivery had ended. By key a range may span what its delivery did not
// bring: of that nothing is said, but where nothing of the delivery is leased any more. In a shared
// group an ack counts all the same, as long as nobody else has the record; by key it does not, for
// it could overtake. What is done stays done: an ack of it is not refused.
struct SettleReply {
  std::vector<SettledRange> refused;
};

struct DeliveredRange {
  Offset first, last;
  std::uint32_t attempt = 1;  // counted from 1
};

// Comes unasked, with correlation 0. The payload is whole batches of one partition; of their
// records those in `ranges`, ascending, are delivered and leased, and others are not. By key all
// are, and ranges, of which there is one at least, only tell how often each was tried.
struct Delivery {
  std::uint32_t subscription = 0;
  PartitionRef partition;
  std::string_view topic;
  std::vector<DeliveredRange> ranges;
  Bytes batches;
  std::uint64_t number = 0;  // counted from 1 since Attach
};

}  // namespace leat::native
