#include "bench/rocks_log.h"

#include <rocksdb/cache.h>
#include <rocksdb/table.h>

#include "protocol/base/random.h"

namespace leat::bench {
namespace {

rocksdb::Options options_of(std::size_t memtable_bytes) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.max_background_jobs = 2;
  options.use_direct_reads = true;
  options.use_direct_io_for_flush_and_compaction = true;
  options.compression = rocksdb::kNoCompression;
  options.write_buffer_size = memtable_bytes;
  options.max_write_buffer_number = 2;
  options.compaction_style = rocksdb::kCompactionStyleFIFO;
  options.compaction_options_fifo.max_table_files_size = std::uint64_t{1} << 44;
  options.level0_slowdown_writes_trigger = 1 << 30;
  options.level0_stop_writes_trigger = 1 << 30;
  options.recycle_log_file_num = 4;  // as Leat recycles its journal's segments
  rocksdb::BlockBasedTableOptions table;
  table.format_version = 5;
  table.block_size = 64 << 10;
  table.checksum = rocksdb::kXXH3;
  table.block_cache = rocksdb::NewLRUCache(24 << 20);
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

}  // namespace

RocksLog::RocksLog(const std::string& directory, std::size_t memtable_bytes) {
  rocksdb::DB* db = nullptr;
  const auto status = rocksdb::DB::Open(options_of(memtable_bytes), directory, &db);
  if (!status.ok()) throw std::runtime_error(status.ToString());
  db_.reset(db);
  thread_ = std::thread([this] { commit(); });
}

RocksLog::~RocksLog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  gathered_changed_.notify_one();
  thread_.join();
  db_->Flush(rocksdb::FlushOptions()).PermitUncheckedError();
  db_->Close().PermitUncheckedError();
}

bool RocksLog::append(std::uint32_t client, std::uint32_t partition, Bytes batch) {
  if (partition >= next_.size()) next_.resize(partition + 1);
  std::byte key[12];
  store_be<std::uint32_t>(key, partition);
  store_be<std::uint64_t>(key + 4, next_[partition]++);
  const std::string_view name = as_text(key), value = as_text(batch);
  bool wakes;
  {
    const std::lock_guard lock(mutex_);
    wakes = gathered_.clients.empty();
    gathered_.batch.Put({name.data(), name.size()}, {value.data(), value.size()})
        .PermitUncheckedError();
    gathered_.clients.push_back(client);
  }
  if (wakes) gathered_changed_.notify_one();
  return true;
}

void RocksLog::wait(std::vector<std::uint32_t>& acked) {
  std::unique_lock lock(mutex_);
  acked_changed_.wait(lock, [this] { return !acked_.empty() || failed_; });
  if (failed_) throw std::runtime_error(*failed_);
  acked.swap(acked_);
}

void RocksLog::commit() {
  rocksdb::WriteOptions synced;
  synced.sync = true;
  Gathered taken;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      gathered_changed_.wait(lock, [this] { return stopping_ || !gathered_.clients.empty(); });
      if (gathered_.clients.empty()) return;
      std::swap(taken, gathered_);
    }
    const auto status = db_->Write(synced, &taken.batch);
    {
      const std::lock_guard lock(mutex_);
      if (!status.ok()) failed_ = status.ToString();
      acked_.insert(acked_.end(), taken.clients.begin(), taken.clients.end());
    }
    acked_changed_.notify_one();
    taken.batch.Clear();
    taken.clients.clear();
  }
}

}  // namespace leat::bench
