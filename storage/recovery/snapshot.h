// A snapshot: a data directory of its own that holds everything acknowledged when it was asked for,
// made while the broker works, without flushing. RocksDB's files and the journal's sealed segments
// are linked, not copied (docs/disk_format.md, Snapshots).
#pragma once

#include <functional>
#include <string>
#include <thread>

#include "storage/file_io.h"
#include "storage/journal.h"
#include "storage/large/large_batches.h"
#include "storage/rocks/rocks.h"

namespace leat::storage {

struct SnapshotOptions {
  std::string data_dir;
  std::size_t most = 16;  // snapshots there may be: each keeps the files it links
  // Told, on a thread of its own, where the snapshot is, or why there is none.
  std::function<void(Result<std::string> path)> on_made;
  std::function<void(const char* point)> at_point;  // as JournalOptions::at_point
};

// One thread, the shard's.
class Snapshots {
 public:
  // Removes what a crash left of unfinished ones. Everything outlives the snapshots; the journal
  // is closed before they are destroyed, or destruction waits for one that is being made.
  Snapshots(SnapshotOptions options, FileIo& io, const Rocks& rocks, LargeBatches& large,
            Journal& journal);
  ~Snapshots();

  // Makes DATA_DIR/snapshots/`name`, which is a checked name. One at a time: a further one waits
  // for the one before. Told errors: kSnapshotExists, kLimitReached, kNoSpace, kIoError and the
  // journal's; then nothing is left of it.
  void begin(std::string name);

 private:
  Result<std::string> make(const std::string& name);
  Result<> check_place(const std::string& name);
  Result<> fill(const std::string& directory);
  Result<> link_journal(const std::string& directory, const Manifest& sealed);
  Result<> link_large(const std::string& directory);
  void point(const char* name) const;

  const SnapshotOptions options_;
  FileIo& io_;
  const Rocks& rocks_;
  LargeBatches& large_;
  Journal& journal_;
  const std::string directory_;
  std::thread thread_;
};

}  // namespace leat::storage
