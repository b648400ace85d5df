// Copies what is intact of a RocksDB and a journal into a new RocksDB, for a repair.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "storage/recovery/inspection.h"
#include "storage/store.h"

namespace leat::storage {

// One thread.
class RowsCopy {
 public:
  // Told of offsets that were filled with a batch without records.
  using Filled = std::function<void(PartitionId, Offset first, Offset next)>;

  RowsCopy(Inspection& found, FileIo& io, Filled filled)
      : found_(found), io_(io), filled_(std::move(filled)) {}

  // From `from` into `to`, which is made. Afterwards every family holds everything up to the
  // inspection's known_last(). Errors: kIoError, kNoSpace.
  Result<> run(const std::string& from, const std::string& to);
  JournalPosition last() const { return position_; }

 private:
  Result<> copy_states(Rocks& from, const std::string& to);
  Result<> copy_family(Rocks& from, Family family, Rocks& to);
  Result<> copy_records(Rocks& from);
  Result<> copy_row(std::string_view key, std::string_view value, LargeReader& large);
  Result<> copy_journal();
  Result<> copy_entry(const JournalEntry& entry);
  Result<> fill_ends();
  Result<> take(PartitionId partition, const RecordBatchView& batch, JournalPosition at);
  Result<> fill(PartitionId partition, Offset next, LeaderEpoch epoch, std::int64_t timestamp_ms);
  Result<> put(PartitionId partition, Bytes batch, JournalPosition at);
  Result<> push(JournalEntry entry, JournalPosition at);
  Result<> flush();
  void take_producer();
  Offset expected(PartitionId partition) const;

  Inspection& found_;
  FileIo& io_;
  const Filled filled_;
  std::unique_ptr<Store> store_;
  std::map<PartitionId, Offset> next_;
  std::map<PartitionId, std::int64_t> newest_ms_;
  std::int64_t next_producer_ = 0;
  JournalPosition position_;
  std::vector<JournalEntry> slice_;
  std::size_t slice_bytes_ = 0;
};

}  // namespace leat::storage
