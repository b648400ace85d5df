// Strong names and options of the client library. Durations are std::chrono, sizes bytes.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "protocol/group_kind.h"
#include "protocol/record_batch.h"
#include "protocol/topic_config.h"

namespace leat {

struct Topic {
  std::string name;
};
struct Group {
  std::string name;
};

struct ClientOptions {
  std::string broker = "leat://127.0.0.1:5328";  // or unix:///path
  std::string client_name = "leat-cpp";          // for the broker's log
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds request_timeout{10'000};
  // Between attempts to reconnect: doubled from min to max, with jitter.
  std::chrono::milliseconds min_backoff{20};
  std::chrono::milliseconds max_backoff{1'000};
};

struct ProducerOptions {
  std::chrono::milliseconds linger{5};  // a batch waits so long for company
  std::size_t batch_bytes = 256 << 10;  // before compression
  Compression compression = Compression::kNone;
  // Retries neither duplicate nor reorder: the broker knows each batch by producer and number.
  bool idempotent = true;
  std::size_t max_in_flight = 5;  // batches of one partition, sent and unacknowledged: at most
                                  // 5 when idempotent, for so many the broker remembers
  std::size_t buffer_bytes = 32 << 20;  // un-acknowledged records; then send() waits
  std::chrono::milliseconds delivery_timeout{120'000};  // from send() to giving up
};

// What a producer sends; borrowed for the duration of the call.
struct OutgoingRecord {
  std::optional<Bytes> key;    // absent: null; decides the partition by murmur2
  std::optional<Bytes> value;  // absent: null
  std::vector<RecordHeader> headers;
  std::optional<PartitionIndex> partition;   // instead of the key's
  std::optional<std::int64_t> timestamp_ms;  // default: now
};

struct Ack {
  PartitionIndex partition;
  Offset offset;  // -1: a retry of what was stored too long ago to say where
  Durability durability = Durability::kSync;  // reached when the broker said so
  bool duplicate = false;                     // a retry; the record is stored once
};

// Where a consumer begins in a partition its group has not committed (or that has no group).
struct StartFrom {
  enum class Kind { kEarliest, kLatest, kOffset, kLast, kTimestamp };
  Kind kind = Kind::kEarliest;
  // kOffset: the offset; kLast: how many records before the end; kTimestamp: ms since 1970, the
  // first record then or later.
  std::int64_t value = 0;

  static StartFrom earliest() { return {}; }
  static StartFrom latest() { return {Kind::kLatest, 0}; }
  static StartFrom offset(std::int64_t at) { return {Kind::kOffset, at}; }
  static StartFrom last(std::int64_t records) { return {Kind::kLast, records}; }
  static StartFrom timestamp(std::int64_t ms) { return {Kind::kTimestamp, ms}; }
};

// What to do where the offset to begin at is not there: deleted, or beyond the end.
enum class OutOfRange : std::uint8_t { kError, kEarliest, kLatest };

// Told by poll() on its own thread, before it returns records.
struct RebalanceEvents {
  // These are the consumer's from now on.
  std::function<void(std::span<const PartitionIndex>)> on_assigned;
  // These go to another member once the call returns: the last chance to commit for them.
  std::function<void(std::span<const PartitionIndex>)> on_revoked;
  // These are another's already, for the consumer was silent for too long: no commit is taken.
  std::function<void(std::span<const PartitionIndex>)> on_lost;
};

struct ConsumerOptions {
  std::string topic;
  // Resumes from, and commits to, its offsets. Without `partitions` the consumer is a member of it
  // and reads what the broker assigns; with them it reads those, and commits only while the group
  // has no members.
  std::optional<Group> group;
  std::vector<PartitionIndex> partitions;  // empty: all, or what the group assigns
  StartFrom start;
  OutOfRange on_out_of_range = OutOfRange::kError;
  RebalanceEvents events;
  std::chrono::milliseconds session_timeout{10'000};    // unheard of for so long: expelled
  std::chrono::milliseconds rebalance_timeout{30'000};  // for poll() to give back partitions
  // Commits what poll() returned before its latest call, at most so often; none: commit() does.
  std::optional<std::chrono::milliseconds> auto_commit;
  bool ignore_committed = false;         // begin at `start` although the group has committed
  std::uint32_t fetch_bytes = 1 << 20;   // a fetch brings at most so much, at least one batch
  std::size_t prefetch_bytes = 4 << 20;  // held for a partition beyond what poll() returned
  std::size_t decompressed_bytes = kMaxDecompressedBytes;  // more in one batch is an error
  std::chrono::milliseconds fetch_wait{5'000};
};

// One record; borrows from the consumer until its next poll().
struct ConsumedRecord {
  PartitionIndex partition;
  Offset offset;
  std::int64_t timestamp_ms = 0;
  std::optional<Bytes> key;
  std::optional<Bytes> value;
  RecordHeaders headers;
};

struct PartitionDescription {
  Offset log_start;
  Offset high_watermark;  // one past the newest record that can be read
};

struct TopicDescription {
  TopicId id;
  std::string name;
  std::int64_t created_ms = 0;
  std::vector<PartitionDescription> partitions;
  TopicConfig config;
};

struct GroupSummary {
  std::string name;
  GroupKind kind = GroupKind::kNone;
  std::int32_t epoch = 0;
  std::uint32_t members = 0;
  bool settled = true;  // every partition is with the member it is meant for
};

struct GroupMember {
  std::string id, client_name;
  std::vector<std::string> topics;
};

struct GroupPartition {
  std::string topic;
  PartitionIndex partition;
  std::string member;               // empty: nobody's
  std::optional<Offset> committed;  // nothing yet
  Offset log_start, high_watermark;
  // Records that are there and not committed.
  std::int64_t lag() const {
    return high_watermark - std::max(committed.value_or(log_start), log_start);
  }
};

struct GroupDescription {
  GroupSummary group;
  std::vector<GroupMember> members;
  std::vector<GroupPartition> partitions;  // committed or assigned
};

}  // namespace leat
