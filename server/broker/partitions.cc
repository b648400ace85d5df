#include "server/broker/partitions.h"

#include "protocol/names.h"

namespace leat::broker {

std::string quoted(std::string_view text) {
  return "'" + escaped(text) + "'";
}

Result<const storage::Topic*> find_topic(const storage::Storage& storage, std::string_view name) {
  if (auto ok = validate_topic_name(name); !ok) return fail(ok.error());
  if (const storage::Topic* topic = storage.find_topic(name)) return topic;
  return fail(ErrorCode::kUnknownTopic,
              quoted(name) + "; create it first: leat topic create " + escaped(name));
}

Result<FoundPartition> find_partition(const storage::Storage& storage, const TopicId& id,
                                      PartitionIndex index) {
  const storage::Topic* topic = storage.find_topic(id);
  if (!topic)
    return fail(ErrorCode::kUnknownTopic, "topic id " + id.to_string() + "; it was deleted");
  if (index.value < 0 || static_cast<std::size_t>(index.value) >= topic->partitions.size())
    return fail(ErrorCode::kUnknownPartition, std::to_string(index.value) + "; topic " +
                                                  quoted(topic->name) + " has partitions 0 to " +
                                                  std::to_string(topic->partitions.size() - 1));
  return FoundPartition{topic, topic->partitions[static_cast<std::size_t>(index.value)]};
}

namespace {
std::string named(const FoundPartition& found, PartitionIndex partition) {
  return "partition " + std::to_string(partition.value) + " of " + quoted(found.topic->name);
}
}  // namespace

std::string out_of_range(const FoundPartition& found, PartitionIndex partition, Offset offset,
                         const storage::PartitionBounds& bounds) {
  return std::to_string(offset.value) + "; " + named(found, partition) + " holds " +
         std::to_string(bounds.log_start.value) + " to " +
         std::to_string(bounds.high_watermark.value);
}

Result<> check_position(const storage::Storage& storage, const FoundPartition& found,
                        PartitionIndex partition, Offset offset, LeaderEpoch epoch) {
  if (epoch.value >= 0) {
    const Offset end = storage.end_of_epoch(found.id, epoch);
    if (offset > end)
      return fail(ErrorCode::kLogTruncated,
                  std::to_string(offset.value) + "; " + named(found, partition) + " was cut at " +
                      std::to_string(end.value) + " by a crash; go on from there");
  }
  const auto bounds = storage.bounds(found.id);
  if (offset >= bounds.log_start && offset <= bounds.high_watermark) return {};
  return fail(ErrorCode::kOffsetOutOfRange, out_of_range(found, partition, offset, bounds));
}

}  // namespace leat::broker
