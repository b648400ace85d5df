// What goes in and comes out of the client library: names, records, descriptions.
#pragma once

#include <algorithm>
#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "protocol/group_kind.h"
#include "protocol/record.h"
#include "protocol/source_position.h"
#include "protocol/topic_config.h"

namespace leat {

struct MessageContext;

using Timestamp = std::chrono::sys_time<std::chrono::milliseconds>;

// Constructors, and no aggregates: GCC 12 destroys braced aggregates in a co_await twice.
struct Topic {
  std::string name;
  explicit Topic(std::string n) : name(std::move(n)) {}
};
struct Group {
  std::string name;
  explicit Group(std::string n) : name(std::move(n)) {}
};
// Borrows.
struct Key {
  Bytes bytes;
  explicit Key(std::string_view text) : bytes(as_bytes(text)) {}
  explicit Key(Bytes b) : bytes(b) {}
};
inline Bytes bytes(std::string_view text) {
  return as_bytes(text);
}

struct TopicPartition {
  std::string topic;
  PartitionIndex partition;
  friend auto operator<=>(const TopicPartition&, const TopicPartition&) = default;
};
struct PartitionOffset {
  std::string topic;
  PartitionIndex partition;
  Offset offset;
  friend auto operator<=>(const PartitionOffset&, const PartitionOffset&) = default;
};

// What a producer sends. Borrows all of its bytes: they are copied when the sending starts.
struct OutgoingRecord {
  std::optional<Bytes> key;    // absent: null; decides the partition by murmur2
  std::optional<Bytes> value;  // absent: null
  std::vector<RecordHeader> headers;
  std::optional<PartitionIndex> partition;   // instead of the key's
  std::optional<std::int64_t> timestamp_ms;  // default: now
  // 1 to 255 bytes by which the broker knows the message when it comes again: in its partition, as
  // long as the topic's settings say (TopicConfig::dedup). Then it is not stored; the ack says
  // `duplicate`, and where the first one is. For messages that the application sends again, or
  // several do; the library's own retries are stored once in any case. Decides the partition where
  // there is neither key nor `partition`, so that it finds the first one.
  std::optional<Bytes> id;
  // When shared and key_shared groups are given it, and until when; at most one of each pair. The
  // durations count from send().
  std::optional<Timestamp> deliver_at, expires_at;
  std::optional<std::chrono::milliseconds> delay, ttl;
  // Where the record lies in ProducerOptions::source; together with it, and not else. Rises from
  // one record of a partition to the next, above zero.
  std::optional<SourcePosition> source_position;
  // The flow and the trace it belongs to; null: those of the thread's MessageScope, if there is one
  // (client/context/message_context.h).
  std::shared_ptr<const MessageContext> context;
};

// The same, and where it goes.
//   producer.send({Topic{"orders"}, Key{"42"}, bytes("hello")}, on_ack);
struct Record : OutgoingRecord {
  Topic topic;
  Record(Topic t, Key k, Bytes v)
      : OutgoingRecord{.key = k.bytes, .value = v}, topic(std::move(t)) {}
  Record(Topic t, Bytes v) : OutgoingRecord{.value = v}, topic(std::move(t)) {}
  Record(Topic t, OutgoingRecord record) : OutgoingRecord(std::move(record)), topic(std::move(t)) {}
};

struct Ack {
  PartitionIndex partition;
  Offset offset;                              // -1: stored before, too long ago to say where
  Durability durability = Durability::kSync;  // reached by now
  bool duplicate = false;                     // it was there: an earlier attempt, or by its id
};

// One record, borrowing its bytes from whoever gave it.
struct ConsumedRecord {
  PartitionIndex partition;
  Offset offset;
  std::int64_t timestamp_ms = 0;
  std::optional<Bytes> key;
  std::optional<Bytes> value;
  RecordHeaders headers;
  std::string_view topic;
  std::uint32_t attempts = 1;  // deliveries to a shared group so far, with this one
  // Of the broker's log when the record was appended: raised where a crash cut the log, so that an
  // offset with another epoch is another record. -1: not known.
  std::int32_t leader_epoch = -1;
  const TopicId* topic_id = nullptr;  // a topic created again has another; lives as the bytes do

  std::uint32_t attempt() const { return attempts; }
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

struct GroupListing {
  std::string name;
  GroupKind kind = GroupKind::kNone;
  std::int32_t epoch = 0;
  std::size_t members = 0;
  bool settled = true;  // every partition is with the member it is meant for
  // With acknowledgements, since the group has members: deliveries that were not the first, and
  // dead letters.
  std::uint64_t redelivered = 0, dead = 0;
};

struct GroupMember {
  std::string id, client_name;
  std::vector<std::string> topics;
};

struct GroupPartition {
  std::string topic;
  TopicId topic_id;
  PartitionIndex partition;
  std::string member;               // empty: nobody's
  std::optional<Offset> committed;  // nothing yet
  Offset log_start, high_watermark;
  // With acknowledgements, of the records behind what was committed: acked already, with a member,
  // and those that wait to be delivered again.
  std::uint64_t done = 0, leased = 0, waiting = 0;
  // Records behind what was committed, or all where nothing was, but for those that are done.
  std::int64_t lag() const {
    const Offset from = committed && *committed > log_start ? *committed : log_start;
    const std::int64_t behind = from < high_watermark ? high_watermark - from : 0;
    return std::max<std::int64_t>(behind - static_cast<std::int64_t>(done), 0);
  }
};

struct GroupDescription {
  GroupListing group;
  std::vector<GroupMember> members;
  std::vector<GroupPartition> partitions;  // committed or assigned
};

struct FoundOffset {
  Offset offset;                         // the high watermark where no record is as late
  std::optional<Timestamp> record_time;  // of the record found
};

}  // namespace leat
