#include "bench/layouts.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <rocksdb/cache.h>
#include <rocksdb/table.h>

#include "bench/closed_loop.h"
#include "storage/keys.h"
#include "storage/memory_shares.h"
#include "storage/rocks/rocks.h"
#include "storage/segment_index.h"

namespace leat::bench {
namespace {

using storage::keys::view;

constexpr storage::MemoryShares kShares = storage::shares_of(384 << 20);
constexpr int kIdleLooks = 10;  // without a compaction, 10 ms apart: all is drained
constexpr std::size_t kReadBytes = 1 << 20;
constexpr std::size_t kWriteBatchBytes = 1 << 20;
constexpr std::size_t kReadahead = 128 << 10;  // where nothing tells how much is in one place

rocksdb::Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}

void check(const rocksdb::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

// A log of many partitions laid out in one family of RocksDB.
class Layout {
 public:
  virtual ~Layout() = default;
  virtual rocksdb::DB& db() = 0;
  virtual rocksdb::ColumnFamilyHandle* family() = 0;
  // Appends to `batch`, and does what comes due.
  virtual void put(rocksdb::WriteBatch& batch, std::uint32_t partition, std::int64_t offset,
                   std::string_view value) = 0;
  virtual void flush() = 0;
  // Reads all of a partition; bytes.
  virtual std::uint64_t read(std::uint32_t partition) = 0;

  void write(rocksdb::WriteBatch& batch) {
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    check(db().Write(options, &batch));
    batch.Clear();
  }

 protected:
  // Copies what lies between two keys, as a read does; bytes.
  std::uint64_t copy(rocksdb::ReadOptions options, std::string_view from, std::string_view to) {
    const rocksdb::Slice end = slice(to);
    options.iterate_upper_bound = &end;
    options.fill_cache = false;
    const std::unique_ptr<rocksdb::Iterator> it(db().NewIterator(options, family()));
    std::uint64_t bytes = 0;
    for (it->Seek(slice(from)); it->Valid(); it->Next()) {
      if (copied_.size() > kReadBytes) copied_.clear();
      const auto value = it->value();
      copied_.insert(copied_.end(), value.data(), value.data() + value.size());
      bytes += value.size();
    }
    check(it->status());
    return bytes;
  }

 private:
  std::vector<char> copied_;
};

// As storage/store.cc does it.
class BySegment final : public Layout {
 public:
  explicit BySegment(const std::string& directory)
      : rocks_(must(storage::Rocks::open({.directory = directory,
                                          .memtable_bytes = kShares.memtable,
                                          .other_memtable_bytes = kShares.other_memtable,
                                          .block_cache_bytes = kShares.block_cache}))) {
    load();
  }
  rocksdb::DB& db() override { return rocks_->db(); }
  rocksdb::ColumnFamilyHandle* family() override {
    return rocks_->family(storage::Family::kRecords);
  }

  void put(rocksdb::WriteBatch& batch, std::uint32_t partition, std::int64_t offset,
           std::string_view value) override {
    const auto key = storage::keys::record(segment_, PartitionId(partition), Offset(offset));
    check(batch.Put(family(), slice(view(key)), slice(value)));
    index_.add(PartitionId(partition), {.segment = segment_,
                                        .first = Offset(offset),
                                        .next = Offset(offset + 1),
                                        .bytes = value.size()});
    segment_bytes_ += value.size();
    if (segment_bytes_ < kShares.memtable / 5 * 4) return;
    write(batch);
    flush();
  }

  void flush() override {
    rocksdb::WriteBatch batch;
    const auto key = storage::keys::footer(segment_);
    const storage::Footer footer{JournalPosition(segment_), index_.ranges_of(segment_)};
    check(batch.Put(family(), slice(view(key)), footer.encode()));
    write(batch);
    must(rocks_->flush_all());
    ++segment_;
    segment_bytes_ = 0;
  }

  std::uint64_t read(std::uint32_t partition) override {
    std::uint64_t bytes = 0;
    for (const auto& place : index_.from(PartitionId(partition), Offset(0), ~0ull)) {
      rocksdb::ReadOptions options;
      const auto most = std::min<std::size_t>(place.bytes, kReadBytes);
      options.readahead_size = most - std::min(most, storage::Rocks::kBlockBytes);
      const auto from = storage::keys::record(place.segment, PartitionId(partition), place.first);
      const auto to = storage::keys::record(place.segment, PartitionId(partition), place.next);
      bytes += copy(options, view(from), view(to));
    }
    return bytes;
  }

 private:
  void load() {
    const std::unique_ptr<rocksdb::Iterator> it(db().NewIterator(rocksdb::ReadOptions(), family()));
    for (it->Seek(slice(view(storage::keys::footer(segment_)))); it->Valid();
         it->Seek(slice(view(storage::keys::footer(segment_))))) {
      index_.load(must(storage::Footer::decode(it->value().ToStringView(), segment_)));
      ++segment_;
    }
  }

  std::unique_ptr<storage::Rocks> rocks_;
  storage::SegmentIndex index_;
  std::uint32_t segment_ = 1;
  std::size_t segment_bytes_ = 0;
};

// Partition and offset as the key, and compaction as RocksDB has it.
class ByPartition final : public Layout {
 public:
  ByPartition(const std::string& directory, rocksdb::CompactionStyle style) {
    rocksdb::DB* db = nullptr;
    check(rocksdb::DB::Open(options_of(style), directory, &db));
    db_.reset(db);
  }
  ~ByPartition() override { db_->Close().PermitUncheckedError(); }
  rocksdb::DB& db() override { return *db_; }
  rocksdb::ColumnFamilyHandle* family() override { return db_->DefaultColumnFamily(); }

  void put(rocksdb::WriteBatch& batch, std::uint32_t partition, std::int64_t offset,
           std::string_view value) override {
    check(batch.Put(family(), key_of(partition, offset), slice(value)));
  }
  void flush() override {
    check(db_->Flush(rocksdb::FlushOptions()));
    // What RocksDB calls pending may stay so for ever, without anything it would do about it.
    for (int idle = 0; idle < kIdleLooks; ++idle) {
      std::uint64_t running = 0;
      db_->GetIntProperty(rocksdb::DB::Properties::kNumRunningCompactions, &running);
      if (running > 0) idle = 0;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  std::uint64_t read(std::uint32_t partition) override {
    rocksdb::ReadOptions options;
    options.readahead_size = kReadahead;
    return copy(options, key_of(partition, 0), key_of(partition + 1, 0));
  }

 private:
  static std::string key_of(std::uint32_t partition, std::int64_t offset) {
    std::byte key[12];
    store_be<std::uint32_t>(key, partition);
    store_be<std::uint64_t>(key + 4, static_cast<std::uint64_t>(offset));
    return std::string(as_text(key));
  }

  // What does not depend on the layout as in storage/rocks/rocks.cc.
  static rocksdb::Options options_of(rocksdb::CompactionStyle style) {
    rocksdb::Options options;
    options.create_if_missing = true;
    options.max_background_jobs = 2;
    options.max_open_files = -1;
    options.skip_stats_update_on_db_open = true;
    options.use_direct_reads = true;
    options.use_direct_io_for_flush_and_compaction = true;
    options.compression = rocksdb::kNoCompression;
    options.write_buffer_size = kShares.memtable;
    options.max_write_buffer_number = 2;
    options.compaction_style = style;
    options.compaction_options_fifo.max_table_files_size = std::uint64_t{1} << 44;
    if (style == rocksdb::kCompactionStyleFIFO) {
      options.level0_slowdown_writes_trigger = 1 << 30;
      options.level0_stop_writes_trigger = 1 << 30;
    }
    rocksdb::BlockBasedTableOptions table;
    table.format_version = 5;
    table.block_size = 64 << 10;
    table.checksum = rocksdb::kXXH3;
    table.block_cache = rocksdb::NewLRUCache(kShares.block_cache);
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    return options;
  }

  std::unique_ptr<rocksdb::DB> db_;
};

using Open = std::function<std::unique_ptr<Layout>(const std::string& directory)>;

struct Cell {
  std::uint32_t partitions;
  std::size_t batch_bytes;
  std::uint64_t bytes;
};

void write_all(Layout& layout, const Cell& cell) {
  const auto value = batch_of(cell.batch_bytes);
  const std::uint64_t batches = cell.bytes / cell.batch_bytes;
  rocksdb::WriteBatch batch;
  for (std::uint64_t i = 0; i < batches; ++i) {
    layout.put(batch, static_cast<std::uint32_t>(i % cell.partitions),
               static_cast<std::int64_t>(i / cell.partitions), as_text(value));
    if (batch.GetDataSize() >= kWriteBatchBytes) layout.write(batch);
  }
  layout.write(batch);
}

// MB/s over partitions [0, last), each to its end.
double read_all(Layout& layout, std::uint32_t last) {
  const auto began = Clock::now();
  std::uint64_t bytes = 0;
  for (std::uint32_t partition = 0; partition < last; ++partition) bytes += layout.read(partition);
  return static_cast<double>(bytes) / 1e6 / seconds_since(began);
}

void row(const char* name, const Open& open, const std::string& directory, const Cell& cell) {
  const Used before = used();
  const auto began = Clock::now();
  auto layout = open(directory);
  write_all(*layout, cell);
  const double accepted = seconds_since(began);
  layout->flush();
  layout.reset();
  const double drained = seconds_since(began);
  const Used cost = used() - before;
  forget_pages(directory);
  const auto opening = Clock::now();
  layout = open(directory);
  const double open_ms = seconds_since(opening) * 1e3;
  const double one = read_all(*layout, 1), all = read_all(*layout, cell.partitions);
  const auto bytes = static_cast<double>(cell.bytes);
  std::printf("%-10s %10u %6zu KiB %9.0f %9.0f %10.2f %10.2f %9.0f %9.0f %8.0f\n", name,
              cell.partitions, cell.batch_bytes >> 10, bytes / 1e6 / accepted,
              bytes / 1e6 / drained, cost.cpu_seconds * (1 << 30) / bytes,
              static_cast<double>(cost.bytes_written) / bytes, one, all, open_ms);
  std::fflush(stdout);
  layout.reset();
  std::filesystem::remove_all(directory);
}

}  // namespace

void compare_layouts(const std::string& directory, std::uint64_t bytes) {
  std::printf(
      "file system %s, %.1f GiB a row, memtables of %zu MiB, direct I/O, load of the machine "
      "%.2f\n%-10s %10s %10s %9s %9s %10s %10s %9s %9s %8s\n",
      file_system(directory), static_cast<double>(bytes) / (1 << 30), kShares.memtable >> 20,
      load_average(), "layout", "partitions", "batches", "accepted", "drained", "CPU s/GiB",
      "written/B", "read one", "read all", "open ms");
  const auto segments = [](const std::string& at) { return std::make_unique<BySegment>(at); };
  const auto style = [](rocksdb::CompactionStyle as) {
    return [as](const std::string& at) { return std::make_unique<ByPartition>(at, as); };
  };
  for (const std::size_t batch_bytes : {64 << 10, 4 << 10})
    for (const std::uint32_t partitions : {1, 16, 1'000}) {
      const Cell cell{partitions, batch_bytes, bytes};
      row("segments", segments, directory + "/layout", cell);
      row("FIFO", style(rocksdb::kCompactionStyleFIFO), directory + "/layout", cell);
      row("universal", style(rocksdb::kCompactionStyleUniversal), directory + "/layout", cell);
    }
}

}  // namespace leat::bench
