// The state machine of leader epochs (rule 3): from which offset on a partition was written under
// which epoch. Made by the batches themselves, which carry it: entry kRecords. One thread.
#pragma once

#include <optional>
#include <unordered_map>
#include <vector>

#include "storage/state/catalog_store.h"
#include "storage/state/entry.h"
#include "storage/state/family.h"

namespace leat::storage {

class EpochStore {
 public:
  // Rows e | partition u32 | epoch u32 -> start i64, in the catalog family.
  Result<> load(const FamilyReader& rows);

  // A batch that begins at `base` was written under `epoch`. True when it began that epoch: the
  // rows then change.
  bool apply(PartitionId partition, LeaderEpoch epoch, Offset base);
  void apply(const TopicDeleted& deleted);

  // One past the last offset written under `epoch` or an earlier one; nullopt: no later epoch is
  // known, so the end of the log.
  std::optional<Offset> end_of(PartitionId partition, LeaderEpoch epoch) const;

  // What apply() did to the rows when it returned true.
  void persist(PartitionId partition, FamilyWriter& rows);
  void persist(const TopicDeleted& deleted, FamilyWriter& rows) const;

 private:
  struct Start {
    LeaderEpoch epoch;
    Offset offset;
  };
  struct Partition {
    std::vector<Start> starts;           // ascending
    std::vector<LeaderEpoch> forgotten;  // not yet removed from the rows
  };
  std::unordered_map<PartitionId, Partition> partitions_;
};

}  // namespace leat::storage
