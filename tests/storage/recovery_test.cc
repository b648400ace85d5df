// Crashes that once left a directory that did not open, or not what was told: each by itself,
// without chance.
#include <atomic>
#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include "storage/data_directory.h"
#include "storage/journal.h"
#include "storage/partition_log.h"
#include "storage/store_thread.h"
#include "tests/storage/simulation/simulated_disk.h"

namespace leat::test {
namespace {

using storage::Family;
using storage::Journal;
using storage::JournalEntry;
using storage::Store;

constexpr auto kHang = std::chrono::seconds(60);

template <class Done>
void wait_until(Done done) {
  const auto deadline = std::chrono::steady_clock::now() + kHang;
  while (!done()) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "hangs";
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

// The directory's own name is in its parent.
TEST(Recovery, ANewDataDirectorySurvivesWithWhatIsInIt) {
  for (const char* path : {"/data", "/data/"}) {
    SimulatedDisk disk({});
    ASSERT_TRUE(storage::open_data_directory(disk, path));
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      auto copy = disk.copy();
      copy->cut_power(seed);
      EXPECT_EQ(copy->exists("/data/FORMAT"), true);
    }
  }
}

// A power cut right behind a change of segments: the new one holds nothing, and the one before is
// what tells how far the journal went, though RocksDB has its entries.
TEST(Recovery, ASegmentStaysUntilItsSuccessorHoldsAGroup) {
  SimulatedDisk disk({});
  ASSERT_TRUE(disk.make_directory("/journal"));
  ASSERT_TRUE(disk.sync_directory("/"));
  std::atomic<std::uint64_t> durable{0};
  Journal* raw = nullptr;
  std::unique_ptr<SimulatedDisk> crashed;
  std::uint64_t told = 0;
  const storage::JournalOptions options{
      .directory = "/journal",
      .first_segment_bytes = 64 << 10,
      .segment_bytes = 64 << 10,
      .at_point = [&](std::string_view point) {
        if (point != "journal.after_roll" || crashed) return;
        told = durable;
        raw->set_persisted(JournalPosition(told));
        // Room for the thread of the segments to do what it must not.
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        crashed = disk.copy();
      }};
  const auto nothing = [](const JournalEntry&) { return Result<>(); };
  auto journal = Journal::open(options, disk, {}, nothing,
                               {.on_durable = [&](auto entries) { durable += entries.size(); },
                                .on_failed = [](const Error&) {}});
  ASSERT_TRUE(journal) << journal.error().message();
  raw = journal->get();
  for (std::uint64_t i = 1; i <= 20; ++i) {
    const auto owner = std::make_shared<const std::string>(3000, 'e');
    (*journal)->append({.kind = 7, .owner = owner, .body = as_bytes(*owner)});
    wait_until([&] { return durable == i; });
  }
  journal->reset();
  ASSERT_TRUE(crashed);
  crashed->cut_power(1);
  auto again = Journal::open({.directory = "/journal"}, *crashed, JournalPosition(told), nothing,
                             {.on_durable = [](auto) {}, .on_failed = [](const Error&) {}});
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ((*again)->recovery().last, JournalPosition(told));
}

constexpr PartitionId kPartition{1};

JournalEntry records_at(std::uint64_t position) {
  RecordBatchBuilder builder;
  builder.append({{}, as_bytes("value"), {}}, 1);
  JournalEntry entry =
      storage::RecordsAppended::encode(kPartition, Offset(static_cast<std::int64_t>(position - 1)),
                                       LeaderEpoch(1), builder.finish());
  entry.position = JournalPosition(position);
  return entry;
}

std::unique_ptr<Store> open_store(SimulatedDisk& disk, std::uint64_t roll_entries) {
  auto store = Store::open({.directory = "/rocksdb", .io = &disk, .roll_entries = roll_entries});
  EXPECT_TRUE(store) << store.error().message();
  return store ? std::move(*store) : nullptr;
}

// The families are flushed one after the other. A crash between, and a roll in the replay behind
// it: what one of them held already must not be taken for missing after the next crash.
TEST(Recovery, ARollInAReplayTakesNoFamilyBack) {
  SimulatedDisk disk({.in_order = "/rocksdb"});
  ASSERT_TRUE(disk.make_directory("/rocksdb"));
  ASSERT_TRUE(disk.sync_directory("/"));
  constexpr std::uint64_t kEntries = 100, kRoll = 10;
  std::vector<JournalEntry> entries;
  for (std::uint64_t i = 1; i <= kEntries; ++i) entries.push_back(records_at(i));
  std::vector<std::unique_ptr<SimulatedDisk>> crashes;
  {
    auto store = open_store(disk, kEntries * 2);
    ASSERT_TRUE(store->apply(entries));
    disk.watch([](std::uint64_t) { return true; },
               [&](auto copy) { crashes.push_back(std::move(copy)); });
    ASSERT_TRUE(store->roll_and_wait());
    disk.watch({}, {});
  }
  int between = 0;
  for (auto& crashed : crashes) {
    crashed->kill_process(1);
    {
      auto store = open_store(*crashed, kRoll);
      const JournalPosition last(kEntries);
      if (store->wants(Family::kRecords, last) || store->persisted() == last) continue;
      ++between;
      ASSERT_TRUE(store->apply(std::span(entries).first(kRoll)));
      wait_until([&] { return !store->roll_pending(); });
    }
    auto store = open_store(*crashed, kRoll);
    EXPECT_FALSE(store->wants(Family::kRecords, JournalPosition(kEntries)));
    EXPECT_EQ(store->log_at_open(kPartition).next_offset(), Offset(kEntries));
  }
  EXPECT_GT(between, 0);
}

// What presses for a roll while another is on its way presses on when that is through, though no
// entry comes any more: the shard waits for room.
TEST(Recovery, ARollThatIsWantedDuringAnotherFollowsIt) {
  SimulatedDisk disk({.in_order = "/rocksdb"});
  ASSERT_TRUE(disk.make_directory("/rocksdb"));
  std::atomic<bool> flush_held{false};
  std::atomic<int> rolls{0};
  std::atomic<std::uint64_t> applied{0};
  std::atomic<storage::StoreThread*> thread{nullptr};
  auto store = Store::open({.directory = "/rocksdb",
                            .io = &disk,
                            .on_persisted = [&](JournalPosition) { thread.load()->roll_ended(); },
                            .at_point =
                                [&](std::string_view point) {
                                  if (point == "store.footer_written") flush_held = rolls == 0;
                                  if (point == "store.after_roll") ++rolls;
                                }});
  ASSERT_TRUE(store) << store.error().message();
  // The first flush stands still at the disk.
  disk.watch(
      [&](std::uint64_t) {
        flush_held.wait(true);
        return false;
      },
      {});
  storage::StoreThread running(
      **store,
      {.on_applied = [&](JournalPosition position, std::uint64_t) { applied = position.value; },
       .on_failed = [](const Error&) {},
       .on_free = [](std::uint64_t) {}},
      {.roll_wanted = [] { return true; },
       .free_bytes = [] { return Result<std::uint64_t>(UINT64_MAX); }});
  thread = &running;
  const JournalEntry entries[] = {records_at(1), records_at(2)};
  running.apply({entries, 1});
  wait_until([&] { return rolls == 1; });
  running.apply({entries + 1, 1});
  wait_until([&] { return applied == 2; });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // asks whether a roll is wanted
  flush_held = false;
  flush_held.notify_all();
  wait_until([&] { return (*store)->persisted() == JournalPosition(2); });
}

}  // namespace
}  // namespace leat::test
