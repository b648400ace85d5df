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
#include "storage/recovery/journal_recovery.h"
#include "storage/recovery/records_walk.h"
#include "storage/state/end_store.h"
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

  // ---- for a repair ----
  void unlock() { directory_.lock.reset(); }
  // The same with RocksDB's files somewhere else, in a directory that the caller has locked.
  static Result<Inspection> run(FileIo& io, const std::string& path, const std::string& rocksdb,
                                Tell tell);
  // Of the journal's entries whose place is not in files; what is lost aside.
  Result<> replay(const Journal::Visitor& visit);
  // Files are missing that RocksDB's MANIFEST does not tell of.
  bool rocks_was_cut() const { return !rocks_open_ || journal_begins_late_; }
  bool rocks_open() const { return rocks_open_; }
  bool lost_topics() const { return lost_topics_; }
  bool lost_producers() const { return lost_producers_; }
  const State& state() const { return *state_; }
  const RecordsWalk& records() const { return *records_; }
  const LargeBatches& large() const { return *large_; }
  bool exists(PartitionId partition) const;
  // Where a partition ends by all that is known of it, also by what nobody may serve.
  Offset known_end(PartitionId partition) const;
  JournalPosition known_last() const { return known_last_; }  // so of the journal
  std::uint64_t incarnation() const { return manifest_.incarnation; }

 private:
  Inspection(FileIo& io, std::string path, Tell tell);
  void finding(const std::string& line);
  void look(const std::string& rocksdb);
  void check_rocks(const std::string& rocksdb);
  void check_files(const Rocks& rocks);
  void load_states(Rocks& rocks);
  void check_journal();
  Result<JournalInspection> inspect(const Journal::Visitor& visit, const Journal::Visitor& behind);
  Result<> visit(const JournalEntry& entry);
  Result<> visit_behind(const JournalEntry& entry);
  void tell_lost();

  FileIo& io_;
  DataDirectory directory_;
  Tell tell_;
  std::uint64_t findings_ = 0;

  bool rocks_open_ = false, journal_begins_late_ = false;
  bool lost_topics_ = false, lost_producers_ = false;
  Manifest manifest_;
  JournalPosition persisted_, known_last_;
  JournalPosition positions_[kFamilies];  // persisted, of each family
  std::unique_ptr<State> state_;
  std::unique_ptr<LargeBatches> large_;
  std::unique_ptr<RecordsWalk> records_;
  EndStore ends_;
  struct Behind {
    Offset first, next;
  };
  std::map<PartitionId, Behind> behind_;  // in the journal, behind a loss
  std::uint64_t files_ = 0, file_bytes_ = 0, entries_ = 0, torn_bytes_ = 0;
};

}  // namespace leat::storage
