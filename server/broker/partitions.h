// Finding topics and partitions, and whether an offset may be read there: with errors that say what
// is there instead.
#pragma once

#include <string>
#include <string_view>

#include "server/broker/replies.h"

namespace leat::broker {

std::string quoted(std::string_view text);

struct FoundPartition {
  const storage::Topic* topic;
  PartitionId id;
};

// Errors: kInvalidTopicName, kUnknownTopic.
Result<const storage::Topic*> find_topic(const storage::Storage& storage, std::string_view name);
// Errors: kUnknownTopic, kUnknownPartition.
Result<FoundPartition> find_partition(const storage::Storage& storage, const TopicId& topic,
                                      PartitionIndex partition);

// "40; partition 1 of 'orders' holds 7 to 12"
std::string out_of_range(const FoundPartition& found, PartitionIndex partition, Offset offset,
                         const storage::PartitionBounds& bounds);

// How far records go that were written under `epoch` or an earlier one, as far as they may be told.
EpochEnd epoch_end(const storage::Storage& storage, PartitionId partition, LeaderEpoch epoch);
// The epoch of the record at `offset`, of those that may be read.
LeaderEpoch epoch_at(const storage::Storage& storage, PartitionId partition, Offset offset);
// Whether a reader that knows of epoch `current` (-1: of none) knows of ours.
// Errors: kFencedLeaderEpoch, kUnknownLeaderEpoch.
Result<> check_current_epoch(const storage::Storage& storage, LeaderEpoch current);

// Whether a reader that has read up to `offset`, the record before it under `epoch` (-1: not
// known), may go on there. Errors: kLogTruncated, kOffsetOutOfRange.
Result<> check_position(const storage::Storage& storage, const FoundPartition& found,
                        PartitionIndex partition, Offset offset, LeaderEpoch epoch);

}  // namespace leat::broker
