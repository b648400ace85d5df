#include "server/broker/delivery/dead_letters.h"

#include <string>

#include "protocol/partitioner.h"
#include "protocol/reserved_headers.h"

namespace leat::broker {

std::vector<std::byte> dead_letter(const RecordView& record, const Death& death) {
  const std::string partition = std::to_string(death.partition.value),
                    offset = std::to_string(record.offset.value),
                    attempts = std::to_string(death.attempts),
                    at = std::to_string(death.at.time_since_epoch().count());
  namespace names = reserved_headers;
  std::vector<RecordHeader> headers;
  for (const RecordHeader& header : record.headers) headers.push_back(header);
  const auto add = [&](std::string_view name, std::string_view value) {
    headers.push_back({name, as_bytes(value)});
  };
  add(names::kDeadReason, death.reason);
  add(names::kDeadGroup, death.group);
  add(names::kDeadTopic, death.topic);
  add(names::kDeadPartition, partition);
  add(names::kDeadOffset, offset);
  add(names::kDeadAttempts, attempts);
  add(names::kDeadAt, at);
  RecordBatchBuilder builder;
  builder.append({.key = record.key, .value = record.value, .headers = headers},
                 record.timestamp_ms);
  return builder.take();
}

PartitionIndex dead_letter_partition(const RecordView& record, PartitionIndex from,
                                     std::size_t partitions) {
  const auto count = static_cast<std::int32_t>(partitions);
  return record.key ? partition_for_key(*record.key, count) : PartitionIndex(from.value % count);
}

}  // namespace leat::broker
