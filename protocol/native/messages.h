// The messages of the native protocol as plain structs. The FlatBuffers schema is
// schema/native.fbs; codec.h translates. Views borrow from the frame they were decoded from, or
// from the caller who encodes them.
//
// A client opens with Hello; the server answers with HelloReply or an ErrorReply and a closed
// connection. Then requests may be pipelined; each gets exactly one reply with its correlation id,
// in any order. Requests of one connection are carried out in the order they were sent.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/error.h"
#include "protocol/base/ids.h"
#include "protocol/native/delivery_messages.h"
#include "protocol/native/group_messages.h"
#include "protocol/native/produce_messages.h"
#include "protocol/topic_config.h"

namespace leat::native {

inline constexpr std::uint16_t kProtocolVersion = 1;

// ---- requests ----

struct Hello {
  std::uint16_t min_version = kProtocolVersion;
  std::uint16_t max_version = kProtocolVersion;
  std::string_view client_name;  // for logs: "leat-cli 0.1.0"
};

struct Ping {};

struct CreateTopic {
  std::string_view name;
  std::int32_t partitions = 1;
  bool if_not_exists = false;  // an existing topic is returned as it is
  TopicConfig config;
};

struct DeleteTopic {
  std::string_view name;
};

struct ListTopics {};

// By name. With auto_create, a broker that auto-creates topics (--dev) does so.
struct DescribeTopic {
  std::string_view name;
  bool auto_create = false;
};

// Whole batches from the one that holds `offset` on: as many as fit into max_bytes, at least one.
// At the end of the partition the reply waits for data, at most max_wait_ms, then comes empty.
struct Fetch {
  TopicId topic;
  PartitionIndex partition;
  Offset offset;
  std::uint32_t max_bytes = 1 << 20;
  std::uint32_t max_wait_ms = 0;
  std::int32_t leader_epoch = -1;  // of the record before `offset`, if known: finds a cut log
};

// A new producer id; or, with both fields set, the next epoch of one, which fences the last.
struct InitProducer {
  std::int64_t producer_id = -1;
  std::int16_t epoch = -1;
};

// The first record at or after a time.
struct FindOffset {
  PartitionRef partition;
  std::int64_t timestamp_ms = 0;
};

struct CommittedOffset {
  TopicId topic;
  PartitionIndex partition;
  Offset offset;  // of the next record to read; stored unaltered (rule 6)
  std::string_view metadata;
  std::int32_t leader_epoch = -1;  // of the last record processed, if known
};

// A group that has members takes commits from them alone, and only for what they hold.
struct CommitOffsets {
  std::string_view group;
  std::vector<CommittedOffset> offsets;
  std::string_view member;  // empty: of no member
  std::int32_t epoch = -1;  // of the assignment the member knows
};

struct FetchOffsets {
  std::string_view group;
  std::vector<PartitionRef> partitions;
};

// Every setting of the topic, whether it changes or not.
struct ConfigureTopic {
  std::string_view name;
  TopicConfig config;
};

// So that there are `partitions` of them in all.
struct AddPartitions {
  std::string_view name;
  std::int32_t partitions = 0;
};

// Forgets the partition's records below an offset.
struct DeleteRecords {
  static constexpr Offset kAll{-1};  // up to the high watermark
  PartitionRef partition;
  Offset before;
};

// Deletes every topic, and every group without members; declared topics are there anew.
struct Reset {};

// Makes a snapshot of all that is acknowledged, on the broker's disk.
struct CreateSnapshot {
  std::string_view name;  // validate_snapshot_name()
};

using Request =
    std::variant<Hello, Ping, CreateTopic, DeleteTopic, ListTopics, DescribeTopic, Produce, Fetch,
                 CommitOffsets, FetchOffsets, InitProducer, FindOffset, JoinGroup, SyncGroup,
                 LeaveGroup, ListGroups, DescribeGroup, DeleteGroup, Subscribe, Grant, Unsubscribe,
                 ConfigureTopic, DeleteRecords, CreateSnapshot, Attach, Settle, Reset,
                 AddPartitions, SourcePositions>;

// ---- replies ----

struct ErrorReply {
  ErrorCode code = ErrorCode::kInternal;
  std::string_view detail;
};

struct HelloReply {
  std::uint16_t version = kProtocolVersion;
  std::string_view server_name;  // "leatd 0.1.0"
  std::uint32_t max_envelope_bytes = 0;
  std::uint32_t max_payload_bytes = 0;
  std::uint32_t max_batch_bytes = 0;
};

struct Pong {};

struct PartitionState {
  Offset log_start;
  Offset high_watermark;
};

struct TopicState {
  TopicId id;
  std::string_view name;
  std::int64_t created_ms = 0;
  std::vector<PartitionState> partitions;  // index = PartitionIndex
  TopicConfig config;
};

// Answers CreateTopic, DescribeTopic, ConfigureTopic and AddPartitions.
struct TopicReply {
  TopicState topic;
};

struct DeleteTopicReply {};

struct TopicsReply {
  std::vector<TopicState> topics;  // by name
};

// Batches are the frame's payload. The first may begin before the offset asked for.
struct FetchReply {
  Offset log_start;
  Offset high_watermark;
  Bytes batches;
};

struct CommitOffsetsReply {};

struct FetchOffsetsReply {
  // Only partitions for which the group has committed.
  std::vector<CommittedOffset> offsets;
};

struct InitProducerReply {
  std::int64_t producer_id = -1;
  std::int16_t epoch = -1;
};

struct FindOffsetReply {
  Offset offset;                   // the high watermark where no record is as late
  std::int64_t timestamp_ms = -1;  // the record's; -1: no record
};

struct DeleteRecordsReply {
  Offset log_start;
};

struct ResetReply {};

struct SnapshotReply {
  std::string_view path;  // of the broker's machine
};

using Reply = std::variant<ErrorReply, HelloReply, Pong, TopicReply, DeleteTopicReply, TopicsReply,
                           ProduceReply, FetchReply, CommitOffsetsReply, FetchOffsetsReply,
                           InitProducerReply, FindOffsetReply, GroupAssignment, LeaveGroupReply,
                           ListGroupsReply, DescribeGroupReply, DeleteGroupReply, SubscribeReply,
                           UnsubscribeReply, Push, PushEnd, DeleteRecordsReply, SnapshotReply,
                           AttachReply, SettleReply, Delivery, ResetReply, SourcePositionsReply>;

}  // namespace leat::native
