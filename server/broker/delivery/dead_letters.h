// Records that nobody could process, on their way into a dead letter topic: key, value, headers and
// time stay as they were, and headers are added that say what became of them.
#pragma once

#include <string_view>
#include <vector>

#include "protocol/record_batch.h"
#include "server/broker/delivery/delivery.h"

namespace leat::broker {

struct Death {
  std::string_view reason, group, topic;
  PartitionIndex partition;
  std::uint32_t attempts = 0;
  WallTime at;
};

// A batch of this one record.
std::vector<std::byte> dead_letter(const RecordView& record, const Death& death);

// Where it goes: by its key, as a producer would; without one, as it came.
PartitionIndex dead_letter_partition(const RecordView& record, PartitionIndex from,
                                     std::size_t partitions);

}  // namespace leat::broker
