// A data directory looked at from outside, while no broker runs on it (leatd --check): everything
// that a start and every read would find, and what neither looks at, told line by line. Nothing in
// the directory changes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/data_directory.h"
#include "storage/journal_recovery.h"
#include "storage/recovery/records_walk.h"
#include "storage/state/state.h"

namespace leat::storage {

// One thread; holds what it found of the state in memory, as a broker would.
class Inspection {
 public:
  using Tell = std::function<void(std::string_view line)>;  // of each finding, as it is found

  // Errors, when it could not look at all: kDataDirMissing, kDataDirForeign, kDataDirLocked,
  // kFormatUnsupported, kIoError, kNotAllowed.
  static Result<Inspection> run(FileIo& io, const std::string& path, Tell tell);

  bool sound() const { return findings_ == 0; }
  std::uint64_t findings() const { return findings_; }
  std::string summary() const;

 private:
  Inspection(FileIo& io, std::string path, Tell tell);
  void finding(const std::string& line);
  void check_rocks();
  void check_files(const Rocks& rocks);
  void load_states(Rocks& rocks);
  void check_journal();
  Result<> visit(const JournalEntry& entry);
  Result<> visit_behind(const JournalEntry& entry);
  void tell_lost();
  bool exists(PartitionId partition) const;

  FileIo& io_;
  DataDirectory directory_;
  Tell tell_;
  std::uint64_t findings_ = 0;

  bool rocks_open_ = false;
  JournalPosition positions_[kFamilies];  // persisted, of each family
  std::unique_ptr<State> state_;
  std::unique_ptr<RecordsWalk> records_;
  struct Behind {
    Offset first, next;
  };
  std::map<PartitionId, Behind> behind_;  // in the journal, behind a loss
  std::uint64_t files_ = 0, file_bytes_ = 0, entries_ = 0, torn_bytes_ = 0;
};

}  // namespace leat::storage
