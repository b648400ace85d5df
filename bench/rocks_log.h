// The peer: RocksDB with its own WAL. A thread gathers what waits and commits it by one synced
// write. Its files are flushed as Leat's are and never compacted (FIFO), which is the least it can
// cost.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include "bench/closed_loop.h"

namespace leat::bench {

class RocksLog final : public AckedLog {
 public:
  RocksLog(const std::string& directory, std::size_t memtable_bytes);
  ~RocksLog() override;  // flushes

  bool append(std::uint32_t client, std::uint32_t partition, Bytes batch) override;
  void wait(std::vector<std::uint32_t>& acked) override;

 private:
  struct Gathered {
    rocksdb::WriteBatch batch;
    std::vector<std::uint32_t> clients;
  };
  void commit();

  std::unique_ptr<rocksdb::DB> db_;
  std::vector<std::uint64_t> next_;  // offset of each partition

  std::mutex mutex_;
  std::condition_variable gathered_changed_, acked_changed_;
  Gathered gathered_;
  std::vector<std::uint32_t> acked_;
  std::optional<std::string> failed_;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace leat::bench
