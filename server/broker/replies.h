// What the broker answers, protocol-neutral.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "server/broker/batch_checker.h"
#include "server/broker/classic/classic.h"
#include "storage/acks.h"
#include "storage/storage.h"

namespace leat::broker {

// Who asked, and which of its requests.
struct RequestId {
  ConnectionId connection;
  CorrelationId correlation;
};

struct TopicDescription {
  TopicId id;
  std::string name;
  WallTime created;
  std::vector<storage::PartitionBounds> partitions;
  TopicConfig config;
  std::vector<std::uint64_t> bytes;  // that can be read of each partition, or soon can
};

struct GroupOffset {
  TopicId topic;
  PartitionIndex partition;
  Offset offset;
  std::string metadata;
  LeaderEpoch epoch;
};

struct TopicDeleted {};
struct BrokerReset {};
struct RecordsDeleted {
  Offset log_start;
};
struct SnapshotMade {
  std::string path;
};
struct OffsetsCommitted {};
// Records of a batch, `records` from `index` on, whose ids are known: their originals adjoin from
// `offset` on.
struct KnownRecords {
  std::uint32_t index = 0, records = 0;
  Offset offset;
};
struct Produced {
  Offset base;
  Durability durability = Durability::kSync;
  bool duplicate = false;           // nothing of the batch is new
  std::vector<KnownRecords> known;  // these lie elsewhere than behind `base`; rising
  // What the broker stamped the batch with; -1: its records' own times stand, or it is not known
  // any more, of a duplicate.
  std::int64_t append_time_ms = -1;
  std::shared_ptr<const AppendTraces> traces = nullptr;  // where Produces::note_traces() was said
};
// How far a source is stored in each partition of a topic; zero: nothing.
struct SourcePositions {
  Durability durability = Durability::kSync;  // of the topic
  std::vector<SourcePosition> partitions;
};
// How far records go that were written under an epoch.
struct EpochEnd {
  LeaderEpoch epoch{-1};  // the newest that has records there
  Offset end{-1};         // one past the last; -1: the epoch is not known
};
struct FetchedPartition {
  storage::PartitionBounds bounds;
  std::vector<storage::StoredBatches> batches;
  std::optional<Error> error;  // there are neither bounds nor batches then
  EpochEnd parted;             // of kLogTruncated: up to where the reader's log is like this one
};
// In the order of the request.
struct Fetched {
  std::vector<FetchedPartition> partitions;
};
struct OffsetFound {
  Offset offset;
  std::int64_t timestamp_ms = -1;  // of the record; -1: there is none
  LeaderEpoch epoch{-1};           // it was written under; -1: not known
};
struct GroupOffsets {
  std::vector<GroupOffset> offsets;
};

// ---- groups ----

struct AssignedTopic {
  TopicId id;
  std::string name;
  std::vector<std::int32_t> partitions;
};
struct Assignment {
  std::int32_t epoch = 0;
  std::vector<AssignedTopic> topics;
};
struct LeftGroup {};
struct GroupSummary {
  std::string name;
  GroupKind kind = GroupKind::kNone;
  std::int32_t epoch = 0;
  std::size_t members = 0;
  bool settled = true;
  // Of a group with acknowledgements, since it has members: deliveries that were not the first, and
  // dead letters.
  std::uint64_t redelivered = 0, dead = 0;
  // Of a classic group, or of one that was.
  ClassicState state = ClassicState::kEmpty;
  std::string protocol_type;
};
struct GroupList {
  std::vector<GroupSummary> groups;
};
struct GroupPartition {
  storage::TopicPartition partition;
  std::string topic;
  std::string member;
  Offset committed{-1};
  storage::PartitionBounds bounds;
  // Records behind what is committed: acked, with a member, or waiting to be delivered again.
  std::uint64_t done = 0, leased = 0, waiting = 0;
};
struct GroupDescription {
  GroupSummary group;
  std::vector<storage::GroupMember> members;
  std::vector<GroupPartition> partitions;
  std::optional<ClassicView> classic;
};
struct GroupDeleted {};

// ---- committed offsets, each by itself ----

struct PartitionResults {
  std::vector<ErrorCode> partitions;  // kOk: done; in the request's order
};
struct NamedOffset {
  TopicId topic;
  std::string name;
  PartitionIndex partition;
  Offset offset{-1};  // -1: none
  std::string metadata = {};
  LeaderEpoch epoch{-1};
  ErrorCode code = ErrorCode::kOk;

  NamedOffset(TopicId id, std::string topic_name, PartitionIndex index)
      : topic(id), name(std::move(topic_name)), partition(index) {}
};
struct NamedOffsets {
  std::vector<NamedOffset> offsets;
};

// ---- push ----

struct Subscribed {
  storage::PartitionBounds bounds;
};
struct Unsubscribed {};

// ---- delivery with acknowledgements ----

enum class Outcome : std::uint8_t { kAck = 1, kNack = 2, kExtend = 3, kReject = 4 };

// What a member says of records it was delivered.
struct Settlement {
  storage::TopicPartition partition;
  storage::OffsetRange range;
  Outcome outcome = Outcome::kAck;
  std::optional<std::chrono::milliseconds> delay;  // of kNack; none: the group's back-off
  std::uint64_t delivery = 0;                      // that brought them
};
struct Attached {};
struct Settled {
  std::vector<Settlement> refused;  // that were not the member's
};

using Reply =
    std::variant<Error, TopicDescription, std::vector<TopicDescription>, TopicDeleted, BrokerReset,
                 RecordsDeleted, SnapshotMade, Produced, Fetched, OffsetFound, EpochEnd,
                 OffsetsCommitted, GroupOffsets, storage::IssuedProducer, Assignment, LeftGroup,
                 GroupList, GroupDescription, GroupDeleted, Subscribed, Unsubscribed, Attached,
                 Settled, ClassicIdGiven, ClassicJoined, ClassicSynced, ClassicAlive, ClassicLeft,
                 PartitionResults, NamedOffsets, SourcePositions>;

class ReplySink {
 public:
  virtual ~ReplySink() = default;
  // The connection may be gone by now.
  virtual void on_reply(const RequestId& request, Reply reply) = 0;
  // Broker::next_push() has something for the connection.
  virtual void on_push_ready(ConnectionId connection) = 0;
  virtual void on_subscription_ended(ConnectionId connection, std::uint32_t subscription,
                                     const Error& why) = 0;
  // accepts_records() is true again.
  virtual void on_room() = 0;
  // Writing has stopped for good.
  virtual void on_storage_failed(const Error& error) = 0;
  // Something stored cannot be read: for the log; everything else goes on.
  virtual void on_storage_damaged(const Error&) {}
  // Records are refused for want of space, or taken again: for the log.
  virtual void on_storage_space(const Result<>&) {}
};

}  // namespace leat::broker
