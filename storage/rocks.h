// RocksDB as Leat opens it: four families, no WAL (rule 5), the options that
// docs/decisions/0001-segment-layout.md gives reasons for. The only room that sees its Status.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include "storage/file_io.h"
#include "storage/state/family.h"

namespace leat::storage {

struct RocksOptions {
  std::string directory;
  FileIo* io = &real_file_io();           // a native one RocksDB passes by
  std::size_t memtable_bytes = 64 << 20;  // of the records family; one memtable is one segment
  std::size_t other_memtable_bytes = 4 << 20;
  std::size_t block_cache_bytes = 32 << 20;
  // RocksDB's flush thread: everything in `family` up to sequence number `up_to` is in a synced
  // SST.
  std::function<void(Family family, std::uint64_t up_to)> on_flushed;
};

Error from_status(const rocksdb::Status& status, const std::string& doing);

class Rocks {
 public:
  static Result<std::unique_ptr<Rocks>> open(RocksOptions options);
  ~Rocks();
  Rocks(const Rocks&) = delete;
  Rocks& operator=(const Rocks&) = delete;

  rocksdb::DB& db() { return *db_; }
  rocksdb::ColumnFamilyHandle* family(Family family) const {
    return handles_[static_cast<std::size_t>(family)];
  }
  std::uint64_t stored_bytes() const;    // of the records family's files
  std::uint64_t memtable_bytes() const;  // of all families, as RocksDB has them from the heap
  std::uint64_t block_cache_bytes() const { return cache_->GetUsage(); }
  std::uint64_t sequence() const { return db_->GetLatestSequenceNumber(); }

  Result<> write(rocksdb::WriteBatch& batch);
  // Starts flushing every family; on_flushed tells when each is through.
  Result<> flush_all();
  // Removes the rows of the records family in [begin, end).
  Result<> remove_records(std::string_view begin, std::string_view end);

 private:
  Rocks() = default;
  std::shared_ptr<rocksdb::Cache> cache_;
  std::unique_ptr<rocksdb::Env> env_;  // outlives the database; null is RocksDB's own
  std::unique_ptr<rocksdb::DB> db_;
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
