// DiskStorage on a directory of its own, and what tests do with it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "protocol/base/random.h"
#include "storage/disk_storage.h"
#include "tests/temporary_directory.h"

namespace leat::storage {

using test::TemporaryDirectory;

inline constexpr auto kHang = std::chrono::seconds(60);

struct Events final : StorageEvents {
  void on_durable(JournalPosition position) override { durable = position; }
  void on_high_watermark(PartitionId partition) override { raised.push_back(partition); }
  void on_read(ReadToken token, Result<ReadResult> result) override {
    reads.emplace(token, std::move(result));
  }
  void on_known_ids(ReadToken token, Result<KnownIds> known) override {
    ids.emplace(token, std::move(known));
  }
  void on_damage(const Error& error) override { damage.push_back(error.message()); }
  void on_space(const Result<>& taken) override { space.push_back(taken.has_value()); }
  void on_snapshot(Result<std::string> path) override { snapshot = std::move(path); }
  void on_room() override { ++rooms; }
  void on_failed(const Error& error) override { failed = error; }

  JournalPosition durable;
  std::vector<PartitionId> raised;
  std::map<ReadToken, Result<ReadResult>> reads;
  std::map<ReadToken, Result<KnownIds>> ids;
  std::vector<std::string> damage;
  std::vector<bool> space;  // false: records are refused; true: taken again
  std::optional<Result<std::string>> snapshot;
  int rooms = 0;
  std::optional<Error> failed;
};

class DiskStorageTest : public ::testing::Test {
 protected:
  void open() {
    storage.reset();
    auto opened = DiskStorage::open(options(), *io, [this] { wake(); });
    ASSERT_TRUE(opened) << opened.error().message();
    storage = std::move(*opened);
    events = {};
  }
  StorageOptions options() {
    return {
        .data_dir = directory / "data",
        .memory_bytes = memory_bytes,
        .max_unpersisted_bytes = max_unpersisted_bytes,
        .max_unpersisted_entries = max_unpersisted_entries,
        .journal_segment_bytes = journal_segment_bytes,
        .large_batch_bytes = large_batch_bytes,
        .scrub_rate = scrub_rate,
        .scrub_interval = std::chrono::milliseconds(50),
        .dedup_ids = dedup_ids,
        .at_point = [this](const char* point) {
          const std::string_view name = point;
          if (on_point) on_point(name);
          if (name == "scrubber.pass") ++passes;
          if (name == "store.persisted") ++rolls;
          if (name == "cleaner.compacted") ++compactions;
          if (name == "store.persisted" || name == "cleaner.compacted" || name == "scrubber.pass")
            wake();
        }};
  }
  void wake() {
    const std::lock_guard lock(mutex);
    woken = true;
    changed.notify_all();
  }
  template <class Done>
  void poll_until(Done done) {
    const auto deadline = std::chrono::steady_clock::now() + kHang;
    for (;;) {
      storage->poll(events);
      if (done()) return;
      std::unique_lock lock(mutex);
      ASSERT_TRUE(changed.wait_until(lock, deadline, [this] { return woken; })) << "hangs";
      woken = false;
    }
  }
  void settle() {
    poll_until([this] { return storage->durable() == storage->last_appended(); });
  }

  PartitionId create(const std::string& name, std::int32_t partitions = 1,
                     TopicConfig config = {}) {
    const TopicId id = random.topic_id();
    EXPECT_TRUE(storage->create_topic(id, name, partitions, config, WallTime()));
    return storage->find_topic(name)->partitions.front();
  }
  void append(PartitionId partition, const std::string& value, int records = 1) {
    RecordBatchBuilder builder;
    for (int i = 0; i < records; ++i) builder.append({.key = {}, .value = as_bytes(value)}, 1);
    if (!storage->has_room()) poll_until([this] { return storage->has_room(); });
    ASSERT_TRUE(storage->append(partition, {}, builder.finish()));
  }
  // Until RocksDB holds everything so far in files.
  void fill_until_rolled() {
    const int before = rolls.load();
    const PartitionId filler = storage->find_topic("filler")
                                   ? storage->find_topic("filler")->partitions.front()
                                   : create("filler");
    while (rolls.load() == before && !HasFatalFailure()) append(filler, std::string(200'000, 'f'));
    settle();
  }
  // Key compaction, as of this time, of what is in files; it has been done then.
  void compact(WallTime now = WallTime()) {
    const int before = compactions.load();
    storage->retain(now);
    poll_until([&] { return compactions.load() > before; });
  }
  template <class Done>
  void compact_until(Done done, WallTime now = WallTime()) {
    const auto deadline = std::chrono::steady_clock::now() + kHang;
    do {
      compact(now);
      open();  // what is in memory is as it came
    } while (!done() && std::chrono::steady_clock::now() < deadline);
    EXPECT_TRUE(done());
  }
  // One read, answered.
  Result<ReadResult> read(PartitionId partition, Offset from) {
    auto outcome = storage->read(partition, from, 64 << 10, ++token);
    if (auto* now = std::get_if<ReadResult>(&outcome)) return std::move(*now);
    poll_until([this] { return events.reads.contains(token); });
    return std::move(events.reads.at(token));
  }
  // A search for ids, answered.
  Result<KnownIds> find_ids(PartitionId partition, IdWindow window, std::span<const IdHash> ids,
                            WallTime now) {
    auto outcome = storage->find_ids(partition, window, ids, now, ++token);
    if (auto* known = std::get_if<KnownIds>(&outcome)) return std::move(*known);
    ++cold_reads;
    poll_until([this] { return events.ids.contains(token); });
    return std::move(events.ids.at(token));
  }
  // Every value from `from` to the high watermark, through as many reads as it takes.
  std::vector<std::string> read_all(PartitionId partition, Offset from = Offset(0)) {
    std::vector<std::string> values;
    while (from < storage->bounds(partition).high_watermark) {
      auto outcome = storage->read(partition, from, 64 << 10, ++token);
      if (std::holds_alternative<ReadLater>(outcome)) {
        ++cold_reads;
        poll_until([this] { return events.reads.contains(token); });
        auto& result = events.reads.at(token);
        EXPECT_TRUE(result) << result.error().message();
        if (!result) return values;
        outcome = std::move(*result);
      }
      const Offset before = from;
      for (const auto& stored : std::get<ReadResult>(outcome).batches) take(stored, from, values);
      EXPECT_GT(from, before) << "a read below the high watermark came empty";
      if (from == before) return values;
    }
    return values;
  }
  static void take(const StoredBatches& stored, Offset& from, std::vector<std::string>& values) {
    for (Bytes rest = stored.bytes; !rest.empty();) {
      const auto batch = RecordBatchView::parse(rest);
      ASSERT_TRUE(batch);
      EXPECT_TRUE(batch->validate());
      for (const RecordView& record : *batch) {
        if (record.offset < from) continue;
        ASSERT_EQ(record.offset, from);
        values.emplace_back(as_text(*record.value));
        from = from + 1;
      }
      rest = rest.subspan(batch->bytes().size());
    }
  }

  TemporaryDirectory directory;
  FileIo* io = &real_file_io();
  std::size_t memory_bytes = 64 << 20;
  std::uint64_t max_unpersisted_bytes = StorageOptions().max_unpersisted_bytes;
  std::uint64_t max_unpersisted_entries = 500'000;
  std::size_t journal_segment_bytes = StorageOptions().journal_segment_bytes;
  std::size_t large_batch_bytes = StorageOptions().large_batch_bytes;
  std::size_t scrub_rate = 0;
  std::optional<std::uint64_t> dedup_ids;
  std::function<void(std::string_view)> on_point;  // set before open(), as StorageOptions::at_point
  std::atomic<int> rolls{0}, compactions{0}, passes{0};
  Random random{42};
  std::mutex mutex;
  std::condition_variable changed;
  bool woken = false;
  Events events;
  ReadToken token = 0;
  int cold_reads = 0;
  std::unique_ptr<DiskStorage> storage;
};

}  // namespace leat::storage
