// What the broker answers, protocol-neutral.
#pragma once

#include <string>
#include <variant>
#include <vector>

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
};

struct GroupOffset {
  TopicId topic;
  PartitionIndex partition;
  Offset offset;
  std::string metadata;
};

struct TopicDeleted {};
struct OffsetsCommitted {};
struct Produced {
  Offset base;
};
struct Fetched {
  storage::PartitionBounds bounds;
  std::vector<storage::StoredBatches> batches;
};
struct GroupOffsets {
  std::vector<GroupOffset> offsets;
};

using Reply = std::variant<Error, TopicDescription, std::vector<TopicDescription>, TopicDeleted,
                           Produced, Fetched, OffsetsCommitted, GroupOffsets>;

class ReplySink {
 public:
  virtual ~ReplySink() = default;
  // The connection may be gone by now.
  virtual void on_reply(const RequestId& request, Reply reply) = 0;
  // accepts_records() is true again.
  virtual void on_room() = 0;
  // Writing has stopped for good.
  virtual void on_storage_failed(const Error& error) = 0;
};

}  // namespace leat::broker
