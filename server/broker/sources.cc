#include "server/broker/sources.h"

#include "protocol/names.h"
#include "protocol/record_batch.h"

namespace leat::broker {

Result<> check_named(const SourceStep& source, Bytes bytes) {
  if (auto ok = validate_source_name(source.source); !ok) return ok;
  const auto batch = RecordBatchView::parse(bytes);
  if (!batch || batch->producer_id() < 0) return {};
  return fail(ErrorCode::kInvalidRequest,
              "a batch of source '" + escaped(source.source) +
                  "' has a producer id, too; leave that out (producer id -1)");
}

std::optional<Reply> check_source(const storage::Storage& storage, const FoundPartition& found,
                                  const std::optional<BatchSource>& source) {
  if (!source) return std::nullopt;
  const auto next = storage.check_source(found.id, source->step());
  if (!next) return next.error();
  if (*next) return std::nullopt;
  // A retry waits for the original as every reply does (rule 2).
  return Produced{Offset(-1), found.topic->config.durability, true, {}};
}

Reply source_positions(const storage::Storage& storage, const TopicId& topic,
                       std::string_view source) {
  if (auto ok = validate_source_name(source); !ok) return ok.error();
  const auto found = find_partition(storage, topic, PartitionIndex(0));
  if (!found) return found.error();
  SourcePositions positions{found->topic->config.durability, {}};
  for (const PartitionId partition : found->topic->partitions)
    positions.partitions.push_back(storage.source_position(partition, source));
  return positions;
}

}  // namespace leat::broker
