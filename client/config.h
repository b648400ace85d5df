// Strong names and options of the client library. Durations are std::chrono, sizes bytes.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "protocol/record_batch.h"

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
  std::size_t max_in_flight = 8;        // batches of one partition, sent and unacknowledged
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
  Offset offset;
};

// Where a consumer begins in a partition its group has not committed (or that has no group).
struct StartFrom {
  enum class Kind { kEarliest, kLatest, kOffset, kLast };
  Kind kind = Kind::kEarliest;
  std::int64_t value = 0;  // kOffset: the offset; kLast: how many records before the end

  static StartFrom earliest() { return {}; }
  static StartFrom latest() { return {Kind::kLatest, 0}; }
  static StartFrom offset(std::int64_t at) { return {Kind::kOffset, at}; }
  static StartFrom last(std::int64_t records) { return {Kind::kLast, records}; }
};

struct ConsumerOptions {
  std::string topic;
  std::optional<Group> group;              // resumes from, and commits to, its offsets
  std::vector<PartitionIndex> partitions;  // empty: all
  StartFrom start;
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
};

}  // namespace leat
