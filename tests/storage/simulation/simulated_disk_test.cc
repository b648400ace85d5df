// The simulated disk itself: what a crash may leave of it, and what it may not.
#include "tests/storage/simulation/simulated_disk.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "storage/rocks/rocks.h"

namespace leat::test {
namespace {

using storage::File;
using storage::kBlockBytes;

std::vector<std::byte> filled(std::size_t bytes, int value) {
  return std::vector<std::byte>(bytes, std::byte(value));
}
std::unique_ptr<File> open(SimulatedDisk& disk, const std::string& path, bool through = false) {
  auto file = disk.open(path, {.create = true, .write = true, .write_through = through});
  EXPECT_TRUE(file) << file.error().message();
  return std::move(*file);
}
std::vector<std::byte> content(SimulatedDisk& disk, const std::string& path) {
  return storage::read_file(disk, path, 1 << 20).value_or(std::vector<std::byte>());
}

TEST(SimulatedDisk, KeepsWhatWasSyncedAndNamed) {
  SimulatedDisk disk({});
  auto file = open(disk, "/file");
  ASSERT_TRUE(file->write(0, filled(10'000, 1)));
  ASSERT_TRUE(file->sync());
  ASSERT_TRUE(disk.sync_directory("/"));
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    auto copy = disk.copy();
    copy->cut_power(seed);
    EXPECT_EQ(content(*copy, "/file"), filled(10'000, 1));
  }
}

TEST(SimulatedDisk, LosesTearsAndReordersTheRest) {
  SimulatedDisk disk({});
  auto file = open(disk, "/file");
  ASSERT_TRUE(file->write(0, filled(3 * kBlockBytes, 1)));
  ASSERT_TRUE(file->sync());
  ASSERT_TRUE(disk.sync_directory("/"));
  ASSERT_TRUE(file->write(0, filled(3 * kBlockBytes, 2)));
  bool lost = false, kept = false, torn = false, reordered = false;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    auto copy = disk.copy();
    copy->cut_power(seed);
    const auto bytes = content(*copy, "/file");
    ASSERT_EQ(bytes.size(), 3 * kBlockBytes);
    lost |= bytes == filled(3 * kBlockBytes, 1);
    kept |= bytes == filled(3 * kBlockBytes, 2);
    torn |= !std::ranges::equal(Bytes(bytes).first(512), Bytes(bytes).subspan(512, 512));
    reordered |= bytes.front() == std::byte(1) && bytes.back() == std::byte(2);
  }
  EXPECT_TRUE(lost && kept && torn && reordered);
}

TEST(SimulatedDisk, LosesNamesThatNoDirectorySyncCovers) {
  SimulatedDisk disk({});
  ASSERT_TRUE(open(disk, "/old")->sync());
  ASSERT_TRUE(disk.sync_directory("/"));
  ASSERT_TRUE(open(disk, "/new")->sync());
  ASSERT_TRUE(disk.rename("/old", "/renamed"));
  std::set<std::vector<std::string>> seen;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    auto copy = disk.copy();
    copy->cut_power(seed);
    seen.insert(*copy->list("/"));
  }
  EXPECT_EQ(seen, (std::set<std::vector<std::string>>{
                      {"old"}, {"renamed"}, {"new", "old"}, {"new", "renamed"}}));
}

TEST(SimulatedDisk, LosesOnlyTheEndOfAppendsInADirectoryInOrder) {
  SimulatedDisk disk({.in_order = "/ordered"});
  ASSERT_TRUE(disk.make_directory("/ordered"));
  ASSERT_TRUE(disk.sync_directory("/"));
  auto file = open(disk, "/ordered/file");
  ASSERT_TRUE(disk.sync_directory("/ordered"));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(file->write(i * 300u, filled(300, 1)));
  std::set<std::size_t> sizes;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    auto copy = disk.copy();
    copy->cut_power(seed);
    const auto bytes = content(*copy, "/ordered/file");
    EXPECT_EQ(bytes, filled(bytes.size(), 1));
    sizes.insert(bytes.size());
  }
  EXPECT_GT(sizes.size(), 10u);
}

TEST(SimulatedDisk, AKilledProcessLeavesWhatAPowerCutMayStillTake) {
  SimulatedDisk disk({});
  ASSERT_TRUE(open(disk, "/file")->sync());
  ASSERT_TRUE(disk.sync_directory("/"));
  ASSERT_TRUE(open(disk, "/file")->write(0, filled(100, 1)));
  disk.kill_process(1);
  EXPECT_EQ(content(disk, "/file"), filled(100, 1));
  bool lost = false;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    auto copy = disk.copy();
    copy->cut_power(seed);
    lost |= content(*copy, "/file").empty();
  }
  EXPECT_TRUE(lost);
}

TEST(SimulatedDisk, ShowsTheWatcherAWriteThroughBeforeItIsDurable) {
  SimulatedDisk disk({});
  auto file = open(disk, "/file", true);
  ASSERT_TRUE(disk.sync_directory("/"));
  std::unique_ptr<SimulatedDisk> during;
  disk.watch([](std::uint64_t) { return true; }, [&](auto copy) { during = std::move(copy); });
  ASSERT_TRUE(file->write(0, filled(kBlockBytes, 1)));
  disk.watch({}, {});
  bool lost = false;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    auto before = during->copy(), after = disk.copy();
    before->cut_power(seed);
    after->cut_power(seed);
    lost |= content(*before, "/file") != filled(kBlockBytes, 1);
    EXPECT_EQ(content(*after, "/file"), filled(kBlockBytes, 1));
  }
  EXPECT_TRUE(lost);
}

TEST(SimulatedDisk, WhatAFailedSyncLeftNoLaterOneMakesDurable) {
  SimulatedDisk disk({});
  auto file = open(disk, "/file");
  ASSERT_TRUE(disk.sync_directory("/"));
  ASSERT_TRUE(file->write(0, filled(100, 1)));
  disk.fail_at(0, Failure::kIoError, false);
  EXPECT_FALSE(file->sync());
  EXPECT_TRUE(file->sync());
  EXPECT_EQ(disk.failures(), 1u);
  bool lost = false;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    auto copy = disk.copy();
    copy->cut_power(seed);
    lost |= content(*copy, "/file") != filled(100, 1);
  }
  EXPECT_TRUE(lost);
}

TEST(SimulatedDisk, LocksAreEachDisksOwn) {
  SimulatedDisk disk({});
  const auto lock = disk.lock("/LOCK");
  ASSERT_TRUE(lock);
  EXPECT_EQ(disk.lock("/LOCK").error(), ErrorCode::kDataDirLocked);
  EXPECT_TRUE(disk.copy()->lock("/LOCK"));
}

// RocksDB through a FileIo, buffered and direct: what was flushed survives, and nothing of it is
// outside.
TEST(SimulatedDisk, HoldsRocksDB) {
  for (const bool direct : {false, true}) {
    SimulatedDisk disk({.takes_direct_io = direct, .in_order = "/db"});
    ASSERT_TRUE(disk.make_directory("/db"));
    ASSERT_TRUE(disk.sync_directory("/"));
    {
      auto rocks = storage::Rocks::open({.directory = "/db", .io = &disk, .on_flushed = {}});
      ASSERT_TRUE(rocks) << rocks.error().message();
      rocksdb::WriteBatch batch;
      ASSERT_TRUE(batch.Put((*rocks)->family(storage::Family::kCatalog), "key", "value").ok());
      ASSERT_TRUE((*rocks)->write(batch));
      ASSERT_TRUE((*rocks)->db().Flush({}, (*rocks)->family(storage::Family::kCatalog)).ok());
    }
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      auto copy = disk.copy();
      copy->cut_power(seed);
      auto rocks = storage::Rocks::open({.directory = "/db", .io = copy.get(), .on_flushed = {}});
      ASSERT_TRUE(rocks) << rocks.error().message();
      EXPECT_EQ(storage::RocksFamilyReader(**rocks, storage::Family::kCatalog).get("key"), "value");
    }
  }
}

}  // namespace
}  // namespace leat::test
