#include "server/broker/partitions.h"

#include <algorithm>

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
  const auto bounds = storage.bounds(found.id);
  if (epoch.value >= 0 && offset >= bounds.log_start) {
    const Offset end = storage.end_of_epoch(found.id, epoch);
    if (offset > end)
      return fail(ErrorCode::kLogTruncated,
                  std::to_string(offset.value) + "; " + named(found, partition) + " was cut at " +
                      std::to_string(end.value) + " by a crash; go on from there");
  }
  if (offset >= bounds.log_start && offset <= bounds.high_watermark) return {};
  return fail(ErrorCode::kOffsetOutOfRange, out_of_range(found, partition, offset, bounds));
}

namespace {
// The first epoch whose records go as far as `end`: ends do not fall from one to the next.
LeaderEpoch first_to_reach(const storage::Storage& storage, PartitionId partition, Offset end) {
  LeaderEpoch low(0), high = storage.leader_epoch();
  while (low < high) {
    const LeaderEpoch middle = low + (high - low) / 2;
    if (storage.end_of_epoch(partition, middle) >= end)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}
}  // namespace

// What is not durable yet nobody may know of (rule 2), and no reader can have read.
EpochEnd epoch_end(const storage::Storage& storage, PartitionId partition, LeaderEpoch epoch) {
  const Offset high_watermark = storage.bounds(partition).high_watermark;
  if (epoch.value < 0 || epoch > storage.leader_epoch()) return {};
  if (epoch == storage.leader_epoch()) return {epoch, high_watermark};
  const Offset end = std::min(storage.end_of_epoch(partition, epoch), high_watermark);
  const LeaderEpoch newest = first_to_reach(storage, partition, end);
  return {end > Offset(0) && newest.value > 0 ? newest : epoch, end};
}

LeaderEpoch epoch_at(const storage::Storage& storage, PartitionId partition, Offset offset) {
  return first_to_reach(storage, partition, offset + 1);
}

Result<> check_current_epoch(const storage::Storage& storage, LeaderEpoch current) {
  const LeaderEpoch ours = storage.leader_epoch();
  if (current.value < 0 || current == ours) return {};
  return fail(current < ours ? ErrorCode::kFencedLeaderEpoch : ErrorCode::kUnknownLeaderEpoch,
              std::to_string(current.value) + "; it is " + std::to_string(ours.value) +
                  " since the last start: look the topic up again");
}

}  // namespace leat::broker
