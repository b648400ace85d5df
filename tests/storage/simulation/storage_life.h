// One life of a storage on a simulated disk, from its start to a crash or a stop: a random
// workload, written down in a model before it is sent, and what was told of it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "storage/disk_storage.h"
#include "tests/storage/simulation/simulated_disk.h"
#include "tests/storage/simulation/storage_model.h"

namespace leat::test {

// What storage owes after a crash.
struct Promise {
  JournalPosition told;       // every entry up to here was told durable
  JournalPosition sent;       // none above was ever appended
  LeaderEpoch epoch{0};       // was told; the next one is above it
  std::size_t snapshots = 0;  // so many were told made
  bool opened = false;        // it was told in this life, else in the one before
};

// One thread, but for promised().
class StorageLife final : storage::StorageEvents {
 public:
  // `model` is what lives before this one left, with entries up to `before.sent` at least.
  StorageLife(SimulatedDisk& disk, StorageModel& model, Promise before, std::uint64_t seed);
  ~StorageLife() override;

  // Each returns what is wrong, empty for nothing. Where the disk has failed an operation, storage
  // may refuse and wait, and the life ends.
  std::string open();  // recovers, and compares with the model, which is cut to what was found
  std::string run(std::size_t steps);
  std::string check();  // all is durable, and is what the model says
  // A clean stop: whatever was appended is durable afterwards, unless the disk fails.
  void close();

  bool running() const { return storage_ && !failed_ && !stalled_; }
  JournalPosition found() const { return found_; }
  // As of now; any thread.
  Promise promised() const;

 private:
  std::string step();
  std::string append();
  std::string retry();
  std::string create_topic();
  std::string delete_topic();
  std::string add_partitions();
  std::string configure_topic();
  std::string trim();
  std::string retain();
  std::string commit();
  std::string change_acks();
  std::string dead_letter(ModelAcks entry);
  std::string init_producer();
  std::string change_group();
  std::string delete_group();
  std::string remove_offsets();
  std::string snapshot();
  std::string check_snapshots();
  template <class Call>
  std::string send(ModelEntry entry, Call call);

  std::string settle();
  template <class Done>
  std::string poll_until(const char* what, Done done);
  void poll();
  Result<std::vector<std::byte>> read(PartitionId partition, Offset from, Offset to);
  Result<storage::KnownIds> find(PartitionId partition, std::span<const storage::IdHash> ids);
  std::string differs(const ModelState& state);
  std::vector<storage::RecordId> random_ids(PartitionId partition, std::size_t records);
  TopicConfig random_config();
  std::string random_group() { return "group-" + std::to_string(random_.below(4)); }
  std::optional<storage::TopicPartition> random_partition();
  storage::OffsetRange random_range();
  const ModelTopic* topic_of(PartitionId partition) const;

  void on_durable(JournalPosition) override {}
  void on_high_watermark(PartitionId) override {}
  void on_read(storage::ReadToken token, Result<storage::ReadResult> result) override {
    reads_.insert_or_assign(token, std::move(result));
  }
  void on_known_ids(storage::ReadToken token, Result<storage::KnownIds> known) override {
    found_ids_.insert_or_assign(token, std::move(known));
  }
  void on_room() override {}
  void on_failed(const Error& error) override { failed_ = error; }
  void on_snapshot(Result<std::string> path) override;

  SimulatedDisk& disk_;
  StorageModel& model_;
  const Promise before_;
  Random random_;
  JournalPosition found_;
  std::atomic<std::uint64_t> told_, sent_;
  std::atomic<std::int32_t> epoch_;
  std::atomic<bool> opened_{false};
  std::atomic<std::size_t> snapshots_{0};

  std::map<storage::ReadToken, Result<storage::ReadResult>> reads_;
  std::map<storage::ReadToken, Result<storage::KnownIds>> found_ids_;
  storage::ReadToken token_ = 0;
  std::optional<Error> failed_;
  bool snapshot_runs_ = false;
  std::string snapshot_failed_;
  bool stalled_ = false;  // behind a disk that fails
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
  std::unique_ptr<storage::DiskStorage> storage_;
};

}  // namespace leat::test
