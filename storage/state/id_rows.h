// The rows that message ids make: what the store's thread knows of them to write the next, and how
// a search reads them. What is not whole yet is in memory here, at most a block of a partition.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "storage/state/id_store.h"

namespace leat::storage {

// One thread.
class IdRows {
 public:
  Result<> load(const FamilyReader& rows);

  // A block is a row as soon as it is whole, and what is forgotten goes by whole rows.
  void apply(const IdsAdded& added, FamilyWriter& rows);
  // Blocks that are not whole and changed since the last call: once a roll.
  void persist_changes(FamilyWriter& rows);
  void persist(const TopicDeleted& deleted, FamilyWriter& rows);

 private:
  struct Partition {
    std::uint64_t floor = 0;
    std::uint64_t first_row = 0;  // no row is of a lower block
    std::uint64_t in_rows = 0;    // numbers that rows hold, up to this one
    IdBlock open;                 // ends at the next number
    bool changed = false;

    std::uint64_t next() const { return open.next(); }
  };
  static void put_open(PartitionId id, Partition& partition, FamilyWriter& rows);
  static void put_range(PartitionId id, Partition& partition, FamilyWriter& rows);
  static void raise_floor(PartitionId id, Partition& partition, std::uint64_t floor,
                          FamilyWriter& rows);

  std::unordered_map<PartitionId, Partition> partitions_;
};

// Ends searches, one row after the other. The newest rows it read are kept, so that whoever sends a
// long run of known ids again has each read once. One thread.
class IdRowSearch {
 public:
  // Gives a row, empty when there is none: its partition has been deleted.
  using Get = std::function<Result<std::string>(PartitionId, std::uint64_t block)>;
  explicit IdRowSearch(Get get) : get_(std::move(get)) {}

  Result<KnownIds> run(IdSearch search);

 private:
  static constexpr std::size_t kRows = 16;
  struct Row {
    PartitionId partition;
    std::uint64_t number;
    IdBlock block;
  };
  Result<const IdBlock*> block(PartitionId partition, std::uint64_t number);

  Get get_;
  std::list<Row> rows_;  // newest first
};

}  // namespace leat::storage
