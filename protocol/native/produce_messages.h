// The messages by which records come in (messages.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "protocol/source_position.h"
#include "protocol/topic_config.h"

namespace leat::native {

// One batch for one partition; the batch is the frame's payload. One that carries a producer id is
// stored once however often it is sent; so is one that says where it lies in its source.
struct Produce {
  TopicId topic;
  PartitionIndex partition;
  Bytes batch;
  std::optional<SourceStep> source = {};
};

// How far a source is stored in each of a topic's partitions.
struct SourcePositions {
  TopicId topic;
  std::string_view source;
};

// Records of the batch, `records` from `index` on, that were not stored because their message ids
// are known: the originals adjoin from `offset` on.
struct KnownRecords {
  std::uint32_t index = 0, records = 0;
  Offset offset;
  friend bool operator==(const KnownRecords&, const KnownRecords&) = default;
};

struct ProduceReply {
  Offset base_offset;
  Durability durability = Durability::kSync;  // reached by the time of this reply
  bool duplicate = false;                     // nothing of the batch is new
  std::vector<KnownRecords> known;            // these lie there, the others behind base_offset
};

struct SourcePositionsReply {
  std::vector<SourcePosition> positions;      // index = PartitionIndex; zero: nothing
  Durability durability = Durability::kSync;  // of the topic
};

}  // namespace leat::native
