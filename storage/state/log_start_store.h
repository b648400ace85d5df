// The state machine of log starts: from which offset on a partition can be read. Entry
// kLogStartsMoved. A start never falls. One thread.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "storage/state/catalog_store.h"
#include "storage/state/entry.h"
#include "storage/state/family.h"

namespace leat::storage {

struct LogStartsMoved {
  struct Move {
    PartitionId partition;
    Offset start;
  };
  std::vector<Move> moves;

  JournalEntry encode() const;
  static Result<LogStartsMoved> decode(Bytes body);
};

class LogStartStore {
 public:
  // Rows s | partition u32 -> start i64 | position u64 of the entry, in the catalog family.
  Result<> load(const FamilyReader& rows);

  void apply(const LogStartsMoved& moved, JournalPosition at);
  void apply(const TopicDeleted& deleted);

  struct Start {
    Offset offset{0};
    JournalPosition moved;  // by the entry at this position
  };
  Start find(PartitionId partition) const;
  const std::unordered_map<PartitionId, Start>& all() const { return starts_; }

  // What apply() does to the rows.
  static void persist(const LogStartsMoved& moved, JournalPosition at, FamilyWriter& rows);
  static void persist(const TopicDeleted& deleted, FamilyWriter& rows);

 private:
  std::unordered_map<PartitionId, Start> starts_;
};

}  // namespace leat::storage
