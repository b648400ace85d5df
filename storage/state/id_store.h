// The state machine of message ids (entry kRecordsWithIds): which ids the newest records of each
// partition have. The newest ids are in memory, of the others a table knows which row of the ids
// family may hold them. An entry says itself which numbers its ids get and which it forgets, so a
// replay, from wherever it begins, comes to the same (rules 1 and 5). One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

#include "storage/ids.h"
#include "storage/state/catalog_store.h"
#include "storage/state/entry.h"
#include "storage/state/family.h"
#include "storage/state/id_block.h"
#include "storage/state/id_table.h"

namespace leat::storage {

// What an entry kRecordsWithIds says behind its batch, and a kRecordsFromSource behind its source:
// varints when it was appended, the number of its first id, how many numbers below that one stay
// known, the count of its ids; each: delta varint, the id's hash, high and low half u64.
struct IdsAdded {
  PartitionId partition;
  Offset base;  // of the batch
  std::int64_t appended_ms = 0;
  std::uint64_t first = 0;  // number of the first id
  std::uint64_t floor = 0;  // what has a lower number is forgotten
  std::vector<RecordId> ids;

  std::vector<std::byte> encode() const;  // what stands behind the batch
  static Result<IdsAdded> of(const JournalEntry& entry);

  std::uint64_t next() const { return first + ids.size(); }
  KnownId known(std::uint64_t number) const {
    const RecordId& record = ids[number - first];
    return {record.id, base + record.delta, appended_ms};
  }
};

// A look-up of ids as far as memory answers it, and which rows are still to be looked at.
struct IdSearch {
  struct Look {
    std::uint64_t block;
    std::size_t index;  // of what was asked for
    IdHash id;
  };
  PartitionId partition;
  std::uint64_t lowest = 0;    // number that the window holds
  std::int64_t oldest_ms = 0;  // and time
  KnownIds known;
  std::vector<bool> found;  // the newest record that has it, though maybe not within the window
  std::vector<Look> looks;  // newest block first

  // `known`, numbered `number`, has the id that was asked for at `index`.
  void take(std::size_t index, std::uint64_t number, const KnownId& known);
  // Takes what the block holds of an id that was looked for there.
  void look_in(const IdBlock& block, const Look& look);
};

class IdStore {
 public:
  // So many are known at most, of all partitions: one that would pass it forgets its own oldest, or
  // does not learn.
  explicit IdStore(std::uint64_t limit) : limit_(limit) {}

  // Rows of the ids family: docs/disk_format.md.
  Result<> load(const FamilyReader& rows);

  // ---- decide ----
  // What an append to the partition says of ids; nullopt: nothing. Base and batch are the caller's.
  std::optional<IdsAdded> decide(PartitionId partition, const NewIds& ids) const;
  IdSearch find(PartitionId partition, const IdWindow& window, std::span<const IdHash> ids,
                WallTime now) const;

  // ---- apply ----
  void apply(const IdsAdded& added, JournalPosition position);
  void apply(const TopicDeleted& deleted);
  // The rows hold every whole block that entries up to `position` made: memory need not.
  void applied(JournalPosition position);

  std::uint64_t size() const { return size_; }
  std::size_t table_bytes() const;

 private:
  struct Partition {
    std::uint64_t floor = 0, next = 0;
    IdTable table;
    std::deque<std::int64_t> newest_ms;  // of each block, from the floor's on
    std::uint64_t kept_from = 0;
    std::deque<KnownId> kept;  // [kept_from, next)

    void add(const KnownId& known);
    void forget_below(std::uint64_t number);
    void drop_kept_below(std::uint64_t number);
    // In a block that is kept.
    void look(std::uint64_t block, std::size_t index, const IdHash& id, IdSearch& search) const;
    std::uint64_t first_block() const { return floor / kBlockIds; }
  };
  struct Whole {  // blocks of a partition, once the rows hold them
    JournalPosition position;
    PartitionId partition;
    std::uint64_t end;
  };
  static std::uint64_t within(const Partition& partition, const IdWindow& window,
                              std::int64_t now_ms);
  Result<> load(PartitionId id, const IdRange& range, const FamilyReader& rows);

  std::uint64_t limit_;
  std::uint64_t size_ = 0;
  std::unordered_map<PartitionId, Partition> partitions_;
  std::deque<Whole> whole_;  // by position
};

}  // namespace leat::storage
