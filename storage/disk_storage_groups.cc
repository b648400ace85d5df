// Groups, what they have committed, and what they have done.
#include <algorithm>

#include "storage/disk_storage.h"

namespace leat::storage {

// ---- members ----

const Group* DiskStorage::find_group(std::string_view group) const {
  return state_.groups.find(group);
}

bool DiskStorage::has_group(std::string_view group) const {
  return state_.offsets.has_group(group) || state_.groups.find(group);
}

Result<JournalPosition> DiskStorage::change_group(const GroupChange& change) {
  if (auto ok = check_writable(8); !ok) return fail(ok.error());
  const Group* group = find_group(change.group);
  return journal_append(GroupChanged{group ? group->epoch + 1 : 1, change}.encode());
}

Result<JournalPosition> DiskStorage::delete_group(std::string_view group) {
  if (auto ok = check_writable(8); !ok) return fail(ok.error());
  return journal_append(GroupDeleted{group}.encode());
}

std::vector<std::string> DiskStorage::groups() const {
  std::vector<std::string> names;
  for (const auto& [name, group] : state_.groups.all()) names.push_back(name);
  for (const std::string_view name : state_.offsets.groups())
    if (!find_group(name)) names.emplace_back(name);
  std::ranges::sort(names);
  return names;
}

std::size_t DiskStorage::group_count() const {
  return groups().size();
}

// ---- committed offsets ----

Result<JournalPosition> DiskStorage::commit_offsets(std::string_view group,
                                                    std::span<const OffsetCommit> offsets) {
  if (auto ok = check_writable(8); !ok) return fail(ok.error());
  return journal_append(OffsetsCommitted::encode(group, offsets));
}

Result<JournalPosition> DiskStorage::remove_offsets(std::string_view group,
                                                    std::span<const TopicPartition> partitions) {
  if (auto ok = check_writable(8); !ok) return fail(ok.error());
  return journal_append(OffsetsRemoved{group, {partitions.begin(), partitions.end()}}.encode());
}

std::vector<std::pair<TopicPartition, Committed>> DiskStorage::commits(
    std::string_view group) const {
  return state_.offsets.commits(group);
}

std::optional<Committed> DiskStorage::committed(std::string_view group, const TopicId& topic,
                                                PartitionIndex partition) const {
  return state_.offsets.find(group, topic, partition);
}

// ---- acknowledgements ----

const PartitionAcks* DiskStorage::acks(std::string_view group, const TopicId& topic,
                                       PartitionIndex partition) const {
  return state_.acks.find(group, {topic, partition});
}

AcksChanged DiskStorage::decided(const AcksChange& change) const {
  const auto known = committed(change.group, change.partition.topic, change.partition.partition);
  return {known ? known->offset : Offset(0), change};
}

Result<JournalPosition> DiskStorage::change_acks(const AcksChange& change) {
  if (auto ok = check_writable(8); !ok) return fail(ok.error());
  return journal_append(decided(change).encode());
}

Result<Appended> DiskStorage::dead_letter(PartitionId partition, const TopicConfig&, Bytes batch,
                                          const AcksChange& change) {
  const PartitionLog* log = find_log(partition);
  LEAT_ASSERT(log);
  if (auto ok = check_writable(8); !ok) return fail(ok.error());
  if (auto ok = check_space(); !ok) return fail(ok.error());
  const Offset base = log->next_offset();
  payload_bytes_ += batch.size();
  journal_append(decided(change).encode_with(partition, base, epoch_, batch));
  return Appended{base, Durability::kSync};
}

}  // namespace leat::storage
