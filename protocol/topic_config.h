// What a topic promises about its records: how durable they are when acknowledged (rule 3), how
// long they are kept, and what happens when there is no room for more.
#pragma once

#include <chrono>
#include <cstdint>

#include "protocol/base/result.h"

namespace leat {

enum class Durability : std::uint8_t {
  kSync = 0,      // on stable storage before the acknowledgement
  kInterval = 1,  // acknowledged at once, on stable storage within the interval
  kMemory = 2,    // acknowledged at once, never synced for its own sake
};

inline constexpr std::chrono::milliseconds kMaxDurabilityInterval = std::chrono::hours(1);

// What becomes of old records. The numbers are bits.
enum class Cleanup : std::uint8_t {
  kDelete = 1,         // dropped beyond the retention
  kCompact = 2,        // of each key the newest record stays; records without a key are refused
  kCompactDelete = 3,  // both
};

constexpr bool deletes(Cleanup cleanup) {
  return (static_cast<std::uint8_t>(cleanup) & 1) != 0;
}
constexpr bool compacts(Cleanup cleanup) {
  return (static_cast<std::uint8_t>(cleanup) & 2) != 0;
}

// When the broker keeps as much as it may (limits.stored_bytes, or a full disk).
enum class OnFull : std::uint8_t {
  kReject = 0,      // new records are refused
  kDropOldest = 1,  // the topic's oldest records make room
};

// The least that is kept of each partition; what lies beyond any of the three may go. Kafka's
// retention.ms and retention.bytes; -1: no limit.
struct Retention {
  std::chrono::milliseconds time{-1};  // by the records' timestamps
  std::int64_t bytes = -1;
  std::int64_t records = -1;

  bool limited() const { return time.count() >= 0 || bytes >= 0 || records >= 0; }
  friend bool operator==(const Retention&, const Retention&) = default;
};

// How long the message ids of a partition are known (rule 9): each for this time, and the newest so
// many. A record whose id is known is not stored again.
struct DedupWindow {
  static constexpr std::int64_t kMostIds = 12'000'000;
  std::chrono::milliseconds time = std::chrono::minutes(10);  // 0: ids mean nothing
  std::int64_t ids = 1'000'000;

  friend bool operator==(const DedupWindow&, const DedupWindow&) = default;
};

// What the timestamp of a stored record says. Kafka's message.timestamp.type, and its numbers.
enum class TimestampType : std::uint8_t {
  kCreateTime = 0,  // what its producer says
  kAppendTime = 1,  // when its batch came: the broker writes that into the batch's header
};

struct TopicConfig {
  Durability durability = Durability::kSync;
  std::chrono::milliseconds interval{0};  // of kInterval: 1 ms to an hour; else 0
  Cleanup cleanup = Cleanup::kDelete;
  OnFull on_full = OnFull::kReject;
  Retention retention;  // applies where `cleanup` deletes
  // Older records, by their timestamps, are not delivered to shared and key_shared groups, but
  // count as done; -1: however old.
  std::chrono::milliseconds ttl{-1};
  DedupWindow dedup;
  TimestampType timestamps = TimestampType::kCreateTime;
  std::int64_t max_batch_bytes = 0;  // larger ones are refused; 0: what the broker takes
  // Not a setting: some record says when it is to be delivered, or until when. The broker writes it
  // down with the first of them.
  bool timed_records = false;

  // Whether there is anything to do about old records, without being asked.
  bool ages() const { return compacts(cleanup) || (deletes(cleanup) && retention.limited()); }
  friend bool operator==(const TopicConfig&, const TopicConfig&) = default;
};

// Whether a topic may be configured so, whoever asks for it: numbers of this version, and settings
// that go together. Error: kInvalidRequest, naming the setting and what it may be.
Result<> check_config(const TopicConfig& config);

}  // namespace leat
