// DiskStorage as a shard drives it: one thread appends, polls and reads.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "bench/closed_loop.h"
#include "storage/disk_storage.h"

namespace leat::bench {

class LeatLog final : public AckedLog, private storage::StorageEvents {
 public:
  // Opens `options.data_dir`; finds, or creates, a topic of so many partitions. Throws
  // std::runtime_error, as the rest does.
  LeatLog(storage::StorageOptions options, std::int32_t partitions);

  const storage::DiskStorage& storage() const { return *storage_; }

  bool append(std::uint32_t client, std::uint32_t partition, Bytes batch) override;
  void wait(std::vector<std::uint32_t>& acked) override;
  // As wait(), but gives up after `most` without news.
  bool wait(std::vector<std::uint32_t>& acked, Clock::duration most);

  Offset end_of(std::uint32_t partition) const;
  // Reads that a consumer makes, `bytes` at most each. What one brings is walked, batch by batch,
  // and with `touch` a word of each cache line is looked at.
  struct Reader {
    std::uint32_t partition;
    Offset next{0};
    std::uint64_t bytes = 0;  // that it brought
    bool touch = false;
  };
  // The next read; false: the reader is at the end.
  bool read(Reader& reader, std::size_t bytes);
  std::uint64_t cold_reads() const { return cold_reads_; }

 private:
  void on_durable(JournalPosition position) override;
  void on_high_watermark(PartitionId) override {}
  void on_read(storage::ReadToken, Result<storage::ReadResult> result) override;
  void on_room() override {}
  void on_failed(const Error& error) override { throw std::runtime_error(error.message()); }
  bool sleep(Clock::time_point until);
  void walk(Reader& reader, const storage::ReadResult& result);

  struct InFlight {
    JournalPosition position;
    std::uint32_t client;
  };
  std::deque<InFlight> in_flight_;
  std::vector<std::uint32_t>* acked_ = nullptr;
  std::optional<Result<storage::ReadResult>> read_;
  std::uint64_t cold_reads_ = 0;
  std::uint64_t seen_ = 0;  // so that looking at records is not left out by the compiler
  std::vector<PartitionId> partitions_;

  std::mutex mutex_;
  std::condition_variable woken_;
  bool news_ = false;

  std::unique_ptr<storage::DiskStorage> storage_;
};

}  // namespace leat::bench
