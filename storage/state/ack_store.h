// The state machine of acknowledgements: entries kAcksChanged and kDeadLettered. A partition's
// floor is what the group has committed of it (rule 6), so whatever else commits an offset there, a
// seek or another client, forgets the acks. One thread; rows follow at rolls, in the offsets
// family.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "storage/acks.h"
#include "storage/partition_log.h"
#include "storage/state/catalog_store.h"
#include "storage/state/entry.h"
#include "storage/state/family.h"
#include "storage/state/group_store.h"
#include "storage/state/offset_store.h"
#include "storage/state/partition_acks.h"

namespace leat::storage {

// Entry kAcksChanged; docs/disk_format.md has its layout.
struct AcksChanged {
  // What the group had committed before: so an entry says all there is to say where no acks are.
  Offset floor{0};
  AcksChange change;  // `group` borrows the entry

  JournalEntry encode() const;
  // A step of both: the batch is appended, and the acks change.
  JournalEntry encode_with(PartitionId partition, Offset base, LeaderEpoch epoch,
                           Bytes batch) const;
  static Result<AcksChanged> decode(Bytes body);
  // Of either kind of entry.
  static Result<AcksChanged> of(const JournalEntry& entry);
};

class AckStore {
 public:
  Result<> load(const FamilyReader& rows);

  // Null: the group has none there.
  const PartitionAcks* find(std::string_view group, const TopicPartition& partition) const;

  // Returns what the group has committed by it.
  OffsetsCommitted apply(const AcksChanged& changed);
  void apply(const OffsetsCommitted& committed);
  void apply(const OffsetsRemoved& removed);
  void apply(const TopicDeleted& deleted);
  void apply(const GroupDeleted& deleted);

  // Everything that changed since the last call: once a roll, with the family's position, so that
  // what is loaded is of one moment.
  void persist_changes(FamilyWriter& rows);

 private:
  struct Held {
    PartitionAcks acks;
    bool commits = false;  // the commit's row is still to be written
  };
  using Partitions = std::map<TopicPartition, Held>;
  void forget(std::string_view group, Partitions::const_iterator held);

  std::map<std::string, Partitions, std::less<>> groups_;
  std::vector<std::string> gone_;  // keys of rows
};

}  // namespace leat::storage
