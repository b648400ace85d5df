// The state machine of named sources: up to which position each is stored in each partition. Moved
// by the entry that holds the batch (kRecordsFromSource), so that neither is ever there without the
// other (rule 1); by itself only in a repair (kSourceMoved). What is stored of a source is
// forgotten with its topic, and never otherwise. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/source_position.h"
#include "storage/state/catalog_store.h"
#include "storage/state/entry.h"
#include "storage/state/family.h"

namespace leat::storage {

// What stands behind the batch of a kRecordsFromSource: name (u16 length, bytes), high and low u64,
// and behind that, where the batch's message ids are known from now on, what IdsAdded says. The
// body of a kSourceMoved: partition u32, then the same without ids.
struct SourceAdvanced {
  PartitionId partition;
  std::string_view source;  // borrows the entry
  SourcePosition to;
  Bytes behind = {};  // what is said of ids; borrows the entry

  std::vector<std::byte> encode() const;  // what stands behind the batch, without what is `behind`
  JournalEntry encode_alone() const;      // a kSourceMoved
  static Result<SourceAdvanced> of(const JournalEntry& entry);
};

class SourceStore {
 public:
  // Sources in partitions: beyond it a new one is refused.
  explicit SourceStore(std::size_t limit) : limit_(limit) {}

  // Rows of the producers family: docs/disk_format.md.
  Result<> load(const FamilyReader& rows);

  // ---- decide ----
  // Zero: nothing.
  SourcePosition position(PartitionId partition, std::string_view source) const;
  // Whether a batch is the next one; false: it is stored already. Errors: kInvalidRequest (`from`
  // is not before `to`), kSourceConflict, kLimitReached.
  Result<bool> check(PartitionId partition, const SourceStep& step) const;

  // ---- apply ----
  // Positions never fall.
  void apply(const SourceAdvanced& advanced);
  void apply(const TopicDeleted& deleted);

  // Everything that changed since the last call: once a roll, not once a batch, since replay begins
  // at a roll.
  void persist_changes(FamilyWriter& rows);

  std::size_t size() const { return size_; }

 private:
  using Sources = std::map<std::string, SourcePosition, std::less<>>;

  const SourcePosition* find(PartitionId partition, std::string_view source) const;

  std::size_t limit_, size_ = 0;
  std::map<PartitionId, Sources> partitions_;
  std::set<std::pair<PartitionId, std::string>> changed_;
};

}  // namespace leat::storage
