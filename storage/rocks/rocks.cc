#include "storage/rocks/rocks.h"

#include <algorithm>
#include <array>

#include <rocksdb/compaction_filter.h>
#include <rocksdb/convenience.h>
#include <rocksdb/listener.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>

#include "storage/keys.h"
#include "storage/rocks/rocks_file_system.h"
#include "storage/rocks/rocks_manifest.h"
#include "storage/thread.h"

namespace leat::storage {
struct Rocks::Shared {
  std::function<void(Family, std::uint64_t)> on_flushed;
  std::atomic<std::uint64_t> flushed{0}, rewritten{0};
  std::atomic<bool> stop_rewrites{false};
  std::atomic<RowFilter*> filter{nullptr};  // of the rewrite that runs
};

class RocksListener final : public rocksdb::EventListener {
 public:
  explicit RocksListener(std::shared_ptr<Rocks::Shared> shared) : shared_(std::move(shared)) {}
  void OnFlushCompleted(rocksdb::DB*, const rocksdb::FlushJobInfo& info) override {
    if (!shared_->on_flushed) return;
    const auto told = [&](Family family) { shared_->on_flushed(family, info.largest_seqno); };
    if (info.cf_name == keys::kRecordsFamily) told(Family::kRecords);
    if (info.cf_name == keys::kCatalogFamily) told(Family::kCatalog);
    if (info.cf_name == keys::kOffsetsFamily) told(Family::kOffsets);
    if (info.cf_name == keys::kProducersFamily) told(Family::kProducers);
    if (info.cf_name == keys::kIdsFamily) told(Family::kIds);
  }
  void OnTableFileCreated(const rocksdb::TableFileCreationInfo& info) override {
    const bool rewrite = info.reason == rocksdb::TableFileCreationReason::kCompaction;
    (rewrite ? shared_->rewritten : shared_->flushed) += info.file_size;
  }

 private:
  std::shared_ptr<Rocks::Shared> shared_;
};

class RewriteFilters final : public rocksdb::CompactionFilterFactory {
 public:
  explicit RewriteFilters(std::shared_ptr<Rocks::Shared> shared) : shared_(std::move(shared)) {}
  const char* Name() const override { return "leat"; }
  // Those of RocksDB's own accord only move files.
  std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
      const rocksdb::CompactionFilter::Context& context) override {
    RowFilter* filter = context.is_manual_compaction ? shared_->filter.load() : nullptr;
    if (!filter) return nullptr;
    return std::make_unique<RewriteFilter>(*filter);
  }

 private:
  class RewriteFilter final : public rocksdb::CompactionFilter {
   public:
    explicit RewriteFilter(RowFilter& filter) : filter_(filter) {}
    const char* Name() const override { return "leat"; }
    Decision FilterV2(int, const rocksdb::Slice& key, ValueType, const rocksdb::Slice& value,
                      std::string* changed, std::string* skip_until) const override {
      *skip_until = filter_.next_kept(view(key));
      if (key != *skip_until) return Decision::kRemoveAndSkipUntil;
      auto replaced = filter_.replaced(view(key), view(value));
      if (!replaced) return Decision::kKeep;
      *changed = std::move(*replaced);
      return Decision::kChangeValue;
    }

   private:
    RowFilter& filter_;
  };
  std::shared_ptr<Rocks::Shared> shared_;
};

namespace {

constexpr std::size_t kRoomForHints = 16 << 20;
constexpr int kFilesOfALook = 64;

rocksdb::BlockBasedTableOptions table_options(std::shared_ptr<rocksdb::Cache> cache) {
  rocksdb::BlockBasedTableOptions table;
  table.format_version = 5;
  table.block_size = Rocks::kBlockBytes;
  table.checksum = rocksdb::kXXH3;
  table.block_cache = std::move(cache);
  return table;
}

// One memtable = one SST = one segment; files never overlap, so L0 to L1 is a trivial move and
// nothing is written twice.
rocksdb::ColumnFamilyOptions records_options(std::size_t memtable_bytes,
                                             std::shared_ptr<rocksdb::Cache> cache) {
  rocksdb::ColumnFamilyOptions options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table_options(std::move(cache))));
  options.compression = rocksdb::kNoCompression;
  options.write_buffer_size = memtable_bytes;
  options.max_write_buffer_number = 2;  // one is filled while the other goes to disk
  // A partition's next batch goes behind its last, without a search through the memtable, for some
  // 250 bytes a partition.
  if (memtable_bytes >= kRoomForHints)
    options.memtable_insert_with_hint_prefix_extractor.reset(
        rocksdb::NewFixedPrefixTransform(keys::kRecordPrefixBytes));
  options.num_levels = 2;
  options.level_compaction_dynamic_level_bytes = false;
  options.level0_file_num_compaction_trigger = 1;
  options.level0_slowdown_writes_trigger = 1 << 30;
  options.level0_stop_writes_trigger = 1 << 30;
  options.soft_pending_compaction_bytes_limit = 0;
  options.hard_pending_compaction_bytes_limit = 0;
  options.max_bytes_for_level_base = std::uint64_t{1} << 44;
  options.target_file_size_base = std::uint64_t{1} << 40;
  options.max_compaction_bytes = std::uint64_t{1} << 40;
  options.ttl = 0;
  options.periodic_compaction_seconds = 0;
  return options;
}

rocksdb::ColumnFamilyOptions small_family_options(std::size_t memtable_bytes,
                                                  std::shared_ptr<rocksdb::Cache> cache) {
  rocksdb::ColumnFamilyOptions options;
  rocksdb::BlockBasedTableOptions table;
  table.format_version = 5;
  table.checksum = rocksdb::kXXH3;
  table.block_cache = std::move(cache);
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.compression = rocksdb::kNoCompression;
  options.write_buffer_size = memtable_bytes;
  return options;
}

// Many rows, written once and removed in the order in which they came, and one that each roll
// writes: by levels it would rewrite them all for that one.
rocksdb::ColumnFamilyOptions ids_options(std::size_t memtable_bytes,
                                         std::shared_ptr<rocksdb::Cache> cache) {
  auto options = small_family_options(memtable_bytes, std::move(cache));
  options.compaction_style = rocksdb::kCompactionStyleUniversal;
  options.compaction_options_universal.max_size_amplification_percent = 50;
  return options;
}

// A look from outside asks by opening, which falls back by itself: a probe would be written.
bool reads_directly(const RocksOptions& options) {
  return options.read_only || options.io->takes_direct_io(options.directory);
}

rocksdb::DBOptions db_options(const RocksOptions& options, rocksdb::Env* env,
                              std::shared_ptr<rocksdb::EventListener> listener) {
  rocksdb::DBOptions db;
  db.env = env;
  db.create_if_missing = true;
  db.create_missing_column_families = true;
  db.paranoid_checks = !options.read_only;  // else one bad file would keep the others shut
  db.max_background_jobs = 2;
  db.max_open_files = options.read_only ? kFilesOfALook : -1;
  db.skip_stats_update_on_db_open = true;
  db.stats_dump_period_sec = 0;  // nothing runs when nothing happens
  db.stats_persist_period_sec = 0;
  db.avoid_flush_during_shutdown = true;  // the journal has it; a roll decides what is flushed
  db.keep_log_file_num = 2;
  db.max_log_file_size = 1 << 20;
  db.info_log_level = rocksdb::WARN_LEVEL;
  // Where it is refused RocksDB would find out at its first flush.
  const bool direct = reads_directly(options);
  db.use_direct_reads = direct;
  db.use_direct_io_for_flush_and_compaction = direct;
  db.compaction_readahead_size = options.readahead_bytes;
  if (listener) db.listeners.push_back(std::move(listener));
  return db;
}

std::vector<rocksdb::ColumnFamilyDescriptor> families_of(
    const RocksOptions& options, const std::shared_ptr<rocksdb::Cache>& cache) {
  const auto small = small_family_options(options.other_memtable_bytes, cache);
  return {{rocksdb::kDefaultColumnFamilyName, small},
          {keys::kRecordsFamily, records_options(options.memtable_bytes, cache)},
          {keys::kCatalogFamily, small},
          {keys::kOffsetsFamily, small},
          {keys::kProducersFamily, small},
          {keys::kIdsFamily, ids_options(options.other_memtable_bytes, cache)}};
}

// A rebuilding makes no family that has no file. That of message ids, which a repair forgets, may
// be made anew; the others hold what must not be lost in silence.
rocksdb::Status restore_ids(const std::string& directory, const rocksdb::DBOptions& options,
                            const std::vector<rocksdb::ColumnFamilyDescriptor>& families) {
  std::vector<std::string> there;
  auto status = rocksdb::DB::ListColumnFamilies(options, directory, &there);
  if (there.size() + 1 != families.size() || std::ranges::count(there, keys::kIdsFamily) > 0)
    return status;
  rocksdb::DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  status = rocksdb::DB::Open(options, directory, families, &handles, &db);
  for (auto* handle : handles) db->DestroyColumnFamilyHandle(handle);
  delete db;
  return status;
}

}  // namespace

Result<std::unique_ptr<Rocks>> Rocks::open(RocksOptions options) {
  // Of a first start: RocksDB would make it only after it was asked what it takes.
  if (!options.read_only)
    if (auto ok = options.io->make_directory(options.directory); !ok) return fail(ok.error());
  if (auto there = check_rocks_manifest(*options.io, options.directory); !there)
    return fail(there.error());
  auto rocks = std::unique_ptr<Rocks>(new Rocks);
  rocks->shared_ = std::make_shared<Shared>();
  rocks->shared_->on_flushed = options.on_flushed;
  // Blocks that cold reads brought.
  const auto cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  auto families = families_of(options, cache);
  families[1].options.compaction_filter_factory = std::make_shared<RewriteFilters>(rocks->shared_);
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const SignalsBlocked blocked;  // RocksDB starts threads of its own (rule 13)
  // What reads through storage's door takes O_DIRECT where it can be had.
  const bool own = options.io->native() && !options.read_only;
  rocks->failures_ = std::make_shared<LateFailures>(
      own ? rocksdb::FileSystem::Default() : std::make_shared<RocksFileSystem>(*options.io));
  rocks->kept_ = std::make_shared<KeptFiles>(rocks->failures_);
  rocks->env_ = rocksdb::NewCompositeEnv(rocks->kept_);
  const rocksdb::DBOptions db_options_now =
      db_options(options, rocks->env_.get(), std::make_shared<RocksListener>(rocks->shared_));
  rocks->file_options_ =
      rocksdb::Options(db_options_now, small_family_options(0, rocksdb::NewLRUCache(0)));
  rocks->file_options_.listeners.clear();
  const auto status =
      options.read_only
          ? rocksdb::DB::OpenForReadOnly(db_options_now, options.directory, families, &handles, &db)
          : rocksdb::DB::Open(db_options_now, options.directory, families, &handles, &db);
  if (!status.ok()) return fail(from_status(status, "opening " + options.directory));
  rocks->cache_ = cache;
  rocks->db_.reset(db);
  db->DestroyColumnFamilyHandle(handles[0]);
  std::copy(handles.begin() + 1, handles.end(), rocks->handles_.begin());
  return rocks;
}

Rocks::~Rocks() {
  if (!db_) return;
  rocksdb::CancelAllBackgroundWork(db_.get(), true);
  for (auto* handle : handles_) db_->DestroyColumnFamilyHandle(handle);
  db_->Close().PermitUncheckedError();
}

Result<> Rocks::write(rocksdb::WriteBatch& batch) {
  rocksdb::WriteOptions options;
  options.disableWAL = true;  // rule 5: the journal is the WAL
  const auto status = db_->Write(options, &batch);
  if (!status.ok()) return fail(from_status(status, "writing to RocksDB"));
  return {};
}

Result<> Rocks::resume() {
  const auto status = db_->Resume();
  if (!status.ok()) return fail(from_status(status, "resuming RocksDB"));
  return {};
}

Result<> Rocks::flush_all() {
  rocksdb::FlushOptions options;
  options.wait = false;
  options.allow_write_stall = true;
  auto status = db_->Flush(options, {handles_.begin(), handles_.end()});
  if (status.IsTryAgain()) {
    // Every memtable is full and on its way to disk: RocksDB then takes only a flush that waits.
    options.wait = true;
    status = db_->Flush(options, {handles_.begin(), handles_.end()});
  }
  if (!status.ok()) return fail(from_status(status, "flushing RocksDB"));
  return {};
}

Result<> Rocks::flush_and_wait() {
  const auto status = db_->Flush(rocksdb::FlushOptions(), {handles_.begin(), handles_.end()});
  if (!status.ok()) return fail(from_status(status, "flushing RocksDB"));
  return {};
}

Result<> Rocks::rebuild(const RocksOptions& options) {
  const auto env = rocksdb::NewCompositeEnv(std::make_shared<RocksFileSystem>(*options.io));
  const SignalsBlocked blocked;
  const auto families = families_of(options, rocksdb::NewLRUCache(options.block_cache_bytes));
  const rocksdb::DBOptions db = db_options(options, env.get(), nullptr);
  auto status = rocksdb::RepairDB(options.directory, db, families);
  if (status.ok()) status = restore_ids(options.directory, db, families);
  if (!status.ok()) return fail(from_status(status, "rebuilding " + options.directory));
  return {};
}

std::uint64_t Rocks::stored_bytes() const {
  std::uint64_t bytes = 0;
  db_->GetIntProperty(family(Family::kRecords), rocksdb::DB::Properties::kTotalSstFilesSize,
                      &bytes);
  return bytes;
}

std::uint64_t Rocks::memtable_bytes() const {
  std::uint64_t all = 0;
  for (auto* handle : handles_) {
    std::uint64_t bytes = 0;
    db_->GetIntProperty(handle, rocksdb::DB::Properties::kSizeAllMemTables, &bytes);
    all += bytes;
  }
  return all;
}

std::vector<RecordsFile> Rocks::records_files() const {
  rocksdb::ColumnFamilyMetaData meta;
  db_->GetColumnFamilyMetaData(family(Family::kRecords), &meta);
  std::vector<RecordsFile> files;
  for (const auto& file : meta.levels.back().files)
    files.push_back({.name = file.name,
                     .path = file.directory + file.name,
                     .bytes = file.size,
                     .first = keys::segment_of(file.smallestkey),
                     .last = keys::segment_of(file.largestkey)});
  std::ranges::sort(files, {}, [](const RecordsFile& file) { return file.first; });
  return files;
}

rocksdb::Status Rocks::keeping_files(const std::function<rocksdb::Status()>& change) {
  if (auto status = db_->DisableFileDeletions(); !status.ok()) return status;
  auto status = change();
  if (!status.ok()) {
    ++failed_changes_;
    return status;
  }
  // As often as it was disabled, and no more: a checkpoint may be keeping files, too.
  for (int times = failed_changes_.exchange(0) + 1; times > 0; --times)
    db_->EnableFileDeletions(false).PermitUncheckedError();
  return status;
}

Result<> Rocks::checkpoint(const std::string& directory) const {
  constexpr std::uint64_t kNeverFlush = UINT64_MAX;
  rocksdb::Checkpoint* made = nullptr;
  auto status = rocksdb::Checkpoint::Create(db_.get(), &made);
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  if (status.ok()) status = checkpoint->CreateCheckpoint(directory, kNeverFlush);
  if (!status.ok()) return fail(from_status(status, "making a checkpoint in " + directory));
  return {};
}

Result<> Rocks::drop_segments(std::uint32_t first, std::uint32_t last) {
  const auto begin = keys::record(first, PartitionId(0), Offset(0));
  const auto end = keys::record(last + 1, PartitionId(0), Offset(0));
  const rocksdb::Slice from = slice(keys::view(begin)), to = slice(keys::view(end));
  const rocksdb::RangePtr range(&from, &to);
  const auto status = keeping_files([&] {
    return rocksdb::DeleteFilesInRanges(db_.get(), family(Family::kRecords), &range, 1, false);
  });
  if (!status.ok()) return fail(from_status(status, "dropping segments"));
  return {};
}

Result<> Rocks::rewrite(const std::vector<RecordsFile>& files, RowFilter& filter) {
  std::vector<std::string> names;
  for (const RecordsFile& file : files) names.push_back(file.name);
  rocksdb::CompactionOptions options;
  options.compression = rocksdb::kNoCompression;
  shared_->filter = &filter;
  const auto status = keeping_files([&] {
    if (shared_->stop_rewrites) return rocksdb::Status::Aborted();
    failures_->rewrite_begins();
    auto ended = db_->CompactFiles(options, family(Family::kRecords), names, 1);
    failures_->rewrite_ended();
    return ended;
  });
  shared_->filter = nullptr;
  if (status.IsAborted() || status.IsShutdownInProgress() || shared_->stop_rewrites)
    return fail(ErrorCode::kClosed);
  if (!status.ok()) return fail(from_status(status, "rewriting segments"));
  return {};
}

void Rocks::stop_rewrites() {
  shared_->stop_rewrites = true;
  rocksdb::CancelAllBackgroundWork(db_.get(), false);
}

std::vector<RocksFile> Rocks::files() const {
  std::vector<rocksdb::LiveFileMetaData> live;
  db_->GetLiveFilesMetaData(&live);
  std::vector<RocksFile> files;
  for (const auto& file : live)
    files.push_back({file.column_family_name, file.directory + file.name, file.size,
                     file.smallestkey, file.largestkey});
  std::ranges::sort(files, {}, &RocksFile::path);
  return files;
}

Result<> Rocks::verify(const std::string& path) const {
  rocksdb::SstFileReader reader(file_options_);
  auto status = reader.Open(path);
  if (status.ok()) status = reader.VerifyChecksum();
  if (!status.ok()) return fail(from_status(status, "'" + path + "'"));
  return {};
}

RocksWrites Rocks::writes() const {
  return {shared_->flushed, shared_->rewritten};
}

Result<> Rocks::remove_records(std::string_view begin, std::string_view end) {
  rocksdb::WriteBatch batch;
  const auto status = batch.DeleteRange(family(Family::kRecords), slice(begin), slice(end));
  if (!status.ok()) return fail(from_status(status, "removing leftovers"));
  return write(batch);
}

}  // namespace leat::storage
