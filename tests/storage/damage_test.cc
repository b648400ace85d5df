// Damage at rest, found while a broker runs: what it concerns is answered with an error that says
// what is lost, and everything else goes on.
#include <filesystem>
#include <fstream>

#include "storage/recovery/repair.h"
#include "tests/storage/disk_storage_fixture.h"
#include "tests/storage/recording_file_io.h"

namespace leat::storage {
namespace {

namespace fs = std::filesystem;

// Changes the first byte of `marker` in the file; false: it is not there.
bool damage_file(const fs::path& path, const std::string& marker) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const auto at = bytes.find(marker);
  if (at == std::string::npos) return false;
  file.seekp(static_cast<std::streamoff>(at));
  file.put('!');
  return true;
}

// The same in RocksDB's file that holds it.
void damage_file_with(const std::string& rocksdb, const std::string& marker) {
  for (const auto& entry : fs::directory_iterator(rocksdb))
    if (entry.path().extension() == ".sst" && damage_file(entry.path(), marker)) return;
  FAIL() << marker << " is in no file";
}

class DamageTest : public DiskStorageTest {
 protected:
  DamageTest() { memory_bytes = 8 << 20; }
  std::string rocksdb() { return directory / "data/rocksdb"; }
  // Values of 1,000 bytes, named after their offsets.
  PartitionId fill(const std::string& name, int records, TopicConfig config = {}) {
    const PartitionId id = create(name, 1, config);
    settle();
    for (int i = 0; i < records; ++i)
      append(id, name + "-" + std::to_string(i) + "-" + std::string(1'000, 'v'));
    settle();
    return id;
  }
};

TEST_F(DamageTest, AReadSaysWhichOffsetsAreLostAndEverythingElseGoesOn) {
  open();
  const PartitionId hurt = fill("hurt", 300), well = fill("well", 300);
  fill_until_rolled();
  open();
  damage_file_with(rocksdb(), "hurt-150-");

  auto at = read(hurt, Offset(0));
  ASSERT_TRUE(at) << at.error().message();  // in front of it
  const auto lost = read(hurt, Offset(150));
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, ErrorCode::kCorruptStorage);
  EXPECT_NE(lost.error().detail.find("topic 'hurt' partition 0, offsets 150 to "),
            std::string::npos)
      << lost.error().detail;
  const auto behind = read(hurt, Offset(299));
  EXPECT_TRUE(behind) << behind.error().message();
  EXPECT_FALSE(read(hurt, Offset(150)));
  EXPECT_EQ(read_all(well).size(), 300u);
  ASSERT_EQ(events.damage.size(), 1u);  // once, though read twice
  EXPECT_NE(events.damage.front().find("topic 'hurt' partition 0"), std::string::npos);

  append(hurt, "more");
  settle();
  fill_until_rolled();
  EXPECT_EQ(read_all(hurt, Offset(300)), std::vector<std::string>{"more"});
  EXPECT_FALSE(events.failed);
}

// RocksDB would take no writes any more.
TEST_F(DamageTest, CompactionLeavesDamageAlone) {
  open();
  const TopicConfig compacts{.cleanup = Cleanup::kCompact};
  const PartitionId hurt = fill("hurt", 300, compacts);
  for (int roll = 0; roll < 3; ++roll) fill_until_rolled();
  damage_file_with(rocksdb(), "hurt-150-");
  for (int i = 0; i < 3; ++i) {
    compact();
    append(hurt, "more");
    fill_until_rolled();
  }
  EXPECT_FALSE(events.failed);
  EXPECT_FALSE(events.damage.empty());
  EXPECT_EQ(read_all(hurt, Offset(300)), std::vector<std::string>(3, "more"));
}

// What retention takes out of a file would be written anew without it.
TEST_F(DamageTest, ARewriteLeavesDamageAlone) {
  open();
  const PartitionId hurt = fill("hurt", 300);
  for (int roll = 0; roll < 3; ++roll) fill_until_rolled();
  damage_file_with(rocksdb(), "hurt-299-");
  ASSERT_TRUE(storage->move_log_start(hurt, Offset(290)));
  ASSERT_TRUE(
      storage->move_log_start(storage->find_topic("filler")->partitions.front(), Offset(1)));
  for (int roll = 0; roll < 5; ++roll) fill_until_rolled();
  EXPECT_FALSE(events.failed);
  EXPECT_FALSE(read(hurt, Offset(299)));
}

// Rule 3: an offset that was acknowledged is not given again, though its record is lost with the
// only entry that knew of it.
TEST_F(DamageTest, ARepairGivesNoOffsetAgain) {
  open();
  fill("hurt", 10);
  storage.reset();
  const std::string journal = directory / "data/journal/00000001.seg";
  ASSERT_TRUE(damage_file(journal, "hurt-9-"));
  ASSERT_FALSE(DiskStorage::open(options(), *io, [] {}));
  const auto repaired = repair_directory(*io, directory / "data", WallTime(), [](auto) {});
  ASSERT_TRUE(repaired) << repaired.error().message();
  EXPECT_GE(repaired->lost_offsets, 1u);
  open();
  const PartitionId hurt = storage->find_topic("hurt")->partitions.front();
  append(hurt, "more");
  settle();
  EXPECT_EQ(storage->bounds(hurt).high_watermark, Offset(11));
  EXPECT_TRUE(fs::exists(directory / "data/damaged"));
}

TEST_F(DamageTest, ARepairSaysBeforehandThatThereIsTooLittleRoom) {
  open();
  fill("hurt", 3'000);
  for (int roll = 0; roll < 2; ++roll) fill_until_rolled();
  storage.reset();
  damage_file_with(rocksdb(), "hurt-150-");
  test::RecordingFileIo small(real_file_io());
  small.set_free(1 << 20);
  const auto repair = [&] {
    return repair_directory(small, directory / "data", WallTime(), [](auto) {});
  };
  const auto refused = repair();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNoSpace);
  EXPECT_NE(refused.error().detail.find(" MiB are free"), std::string::npos);
  EXPECT_TRUE(fs::exists(rocksdb()));
  EXPECT_FALSE(fs::exists(directory / "data/damaged"));
  small.set_free(UINT64_MAX);
  EXPECT_TRUE(repair());
}

TEST_F(DamageTest, TheScrubberFindsWhatNobodyReads) {
  scrub_rate = 1 << 30;
  open();
  fill("hurt", 300);
  fill_until_rolled();
  const int before = passes;
  poll_until([&] { return passes > before; });
  EXPECT_TRUE(events.damage.empty());
  EXPECT_GT(storage->stats().scrubbed_bytes, 300'000u);
  damage_file_with(rocksdb(), "hurt-150-");
  poll_until([&] { return events.damage.size() >= 2; });
  EXPECT_NE(events.damage[0].find(".sst"), std::string::npos) << events.damage[0];
  EXPECT_NE(events.damage[1].find("topic 'hurt' partition 0, offsets "), std::string::npos)
      << events.damage[1];
  const int then = passes;
  poll_until([&] { return passes > then + 1; });
  EXPECT_EQ(events.damage.size(), 2u);  // once
  EXPECT_EQ(storage->stats().damage, 2u);
}

TEST_F(DamageTest, TheScrubberKeepsToItsRateAndStopsAtOnce) {
  open();
  fill("large", 5'000);
  fill_until_rolled();
  scrub_rate = 64 << 10;  // would take minutes
  open();
  const auto start = std::chrono::steady_clock::now();
  while (storage->stats().scrubbed_bytes == 0 && std::chrono::steady_clock::now() < start + kHang)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  storage.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - start, kHang / 2);
  EXPECT_EQ(passes, 0);
}

}  // namespace
}  // namespace leat::storage
