// RocksDB as Leat opens it: five families, no WAL (rule 5), the options that
// docs/decisions/0001-segment-layout.md gives reasons for. The only room that sees its Status.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include "storage/file_io.h"
#include "storage/rocks/kept_files.h"
#include "storage/rocks/late_failures.h"
#include "storage/state/family.h"

namespace leat::storage {

inline rocksdb::Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}
inline std::string_view view(const rocksdb::Slice& text) {
  return {text.data(), text.size()};
}

struct RocksOptions {
  std::string directory;
  FileIo* io = &real_file_io();           // a native one RocksDB passes by
  std::size_t memtable_bytes = 64 << 20;  // of the records family; one memtable is one segment
  std::size_t other_memtable_bytes = 4 << 20;
  std::size_t block_cache_bytes = 32 << 20;
  // RocksDB's flush thread: everything in `family` up to sequence number `up_to` is in a synced
  // SST.
  std::function<void(Family family, std::uint64_t up_to)> on_flushed;
  std::size_t readahead_bytes = 2 << 20;  // of rewrites
  // For a look from outside: nothing in the directory changes, and a damaged file hides only its
  // own rows.
  bool read_only = false;
};

// A file of any family, as RocksDB's MANIFEST lists it.
struct RocksFile {
  std::string family, path;
  std::uint64_t bytes;
  std::string first_key, last_key;
};

// A file of the records family.
struct RecordsFile {
  std::string name, path;
  std::uint64_t bytes;
  std::uint32_t first, last;  // segments it has rows of
};

// Which rows a rewrite leaves out or changes: asked in the order of the keys, on the thread that
// rewrites.
class RowFilter {
 public:
  virtual ~RowFilter() = default;
  // The first key at or behind `key` that may stay: `key` itself, if it does.
  virtual std::string next_kept(std::string_view key) = 0;
  // What becomes of the value of a row that stays; nullopt: it stays, too.
  virtual std::optional<std::string> replaced(std::string_view key, std::string_view value) = 0;
};

// What RocksDB has written to its files since it was opened.
struct RocksWrites {
  std::uint64_t flushed = 0, rewritten = 0;
};

Error from_status(const rocksdb::Status& status, const std::string& doing);

class Rocks {
 public:
  static constexpr std::size_t kBlockBytes = 64 << 10;  // of the records family

  // Errors: kCorruptStorage, naming the file where RocksDB does; then no file is gone.
  static Result<std::unique_ptr<Rocks>> open(RocksOptions options);
  ~Rocks();
  Rocks(const Rocks&) = delete;
  Rocks& operator=(const Rocks&) = delete;

  rocksdb::DB& db() { return *db_; }
  rocksdb::ColumnFamilyHandle* family(Family family) const {
    return handles_[static_cast<std::size_t>(family)];
  }
  // Makes a new MANIFEST for the files in `directory`; what cannot be read among them is put aside
  // in `directory`/lost. Error: kCorruptStorage, kIoError.
  static Result<> rebuild(const RocksOptions& options);
  std::uint64_t stored_bytes() const;    // of the records family's files
  std::uint64_t memtable_bytes() const;  // of all families, as RocksDB has them from the heap
  std::uint64_t block_cache_bytes() const { return cache_->GetUsage(); }
  std::uint64_t sequence() const { return db_->GetLatestSequenceNumber(); }

  Result<> write(rocksdb::WriteBatch& batch);
  // After an operation failed with kNoSpace: RocksDB takes writes again, and flushes what waits, if
  // there is space now; kNoSpace if not.
  Result<> resume();
  // Starts flushing every family; on_flushed tells when each is through.
  Result<> flush_all();
  Result<> flush_and_wait();
  // Files of the records family that no flush will add to, in the order of their segments.
  std::vector<RecordsFile> records_files() const;
  // Removes the files that hold nothing but segments [first, last]; iterators keep what they read.
  Result<> drop_segments(std::uint32_t first, std::uint32_t last);
  // Makes one file of `files`, which are neighbours. Ends early, with kClosed, after
  // stop_rewrites().
  Result<> rewrite(const std::vector<RecordsFile>& files, RowFilter& filter);
  void stop_rewrites();
  RocksWrites writes() const;
  // A start has found everything that must be there: files that are of no use may go from now on.
  void recovered() { kept_->let_go(); }
  // Makes `directory`, which is not there, hold a RocksDB with what is in files now: these are
  // linked, nothing is flushed, and all is synced but `directory`'s own name.
  Result<> checkpoint(const std::string& directory) const;
  std::vector<RocksFile> files() const;  // of all families
  // Reads all blocks of a file and compares their checksums. Error: kCorruptStorage, kIoError.
  Result<> verify(const std::string& path) const;
  // To open a file by itself.
  const rocksdb::Options& file_options() const { return file_options_; }
  // Removes the rows of the records family in [begin, end).
  Result<> remove_records(std::string_view begin, std::string_view end);

 private:
  Rocks() = default;
  // No file is deleted before a change of the manifest has succeeded: of one that failed nobody
  // knows whether it arrived, and so which files the next start will look for.
  rocksdb::Status keeping_files(const std::function<rocksdb::Status()>& change);
  struct Shared;  // with RocksDB's threads
  friend class RocksListener;
  friend class RewriteFilters;
  std::shared_ptr<Shared> shared_;
  std::shared_ptr<rocksdb::Cache> cache_;
  std::shared_ptr<LateFailures> failures_;
  std::shared_ptr<KeptFiles> kept_;
  std::unique_ptr<rocksdb::Env> env_;  // outlives the database
  rocksdb::Options file_options_;
  std::unique_ptr<rocksdb::DB> db_;
  std::atomic<int> failed_changes_{0};  // each keeps files until one succeeds
  std::array<rocksdb::ColumnFamilyHandle*, kFamilies> handles_{};
};

// A family seen as a state machine sees it.
class RocksFamilyReader final : public FamilyReader {
 public:
  RocksFamilyReader(Rocks& rocks, Family family) : rocks_(rocks), family_(family) {}
  Result<> each(
      std::string_view prefix,
      const std::function<Result<>(std::string_view, std::string_view)>& row) const override;
  Result<std::string> get(std::string_view key) const override;

 private:
  Rocks& rocks_;
  Family family_;
};

class RocksFamilyWriter final : public FamilyWriter {
 public:
  RocksFamilyWriter(const Rocks& rocks, Family family, rocksdb::WriteBatch& batch)
      : handle_(rocks.family(family)), batch_(batch) {}
  void put(std::string_view key, std::string_view value) override;
  void remove(std::string_view key) override;

 private:
  rocksdb::ColumnFamilyHandle* handle_;
  rocksdb::WriteBatch& batch_;
};

}  // namespace leat::storage
