// Snapshots of a storage that works: what they hold, and that neither side ever changes the other.
#include <filesystem>
#include <fstream>
#include <semaphore>

#include "storage/journal_format.h"
#include "tests/storage/disk_storage_fixture.h"
#include "tests/storage/recording_file_io.h"

namespace leat::storage {
namespace {

namespace fs = std::filesystem;

class SnapshotTest : public DiskStorageTest {
 protected:
  void TearDown() override {
    goes_on.release();
    storage.reset();  // before what its threads look at
  }
  // The first snapshot says so with `reached`, and waits for `goes_on`.
  void stop_between_halves() {
    on_point = [this](std::string_view point) {
      if (point != "snapshot.checkpoint" && point != "snapshot.sealed") return;
      if (stopped.exchange(true)) return;
      reached.release();
      goes_on.acquire();
    };
  }
  Result<std::string> snapshot(const std::string& name) {
    events.snapshot.reset();
    if (auto ok = storage->snapshot(name); !ok) return fail(ok.error());
    poll_until([this] { return events.snapshot.has_value(); });
    return events.snapshot.value_or(fail(ErrorCode::kTimedOut));
  }
  // Another storage, on a snapshot.
  std::unique_ptr<DiskStorage> open_at(const std::string& path) {
    StorageOptions other = options();
    other.data_dir = path;
    auto opened = DiskStorage::open(std::move(other), *io, [this] { wake(); });
    EXPECT_TRUE(opened) << opened.error().message();
    return opened ? std::move(*opened) : nullptr;
  }
  std::vector<std::string> values_in(const std::string& path, const std::string& topic) {
    auto other = open_at(path);
    if (!other) return {};
    std::swap(storage, other);
    const Topic* found = storage->find_topic(topic);
    std::vector<std::string> values;
    if (found) values = read_all(found->partitions.front());
    std::swap(storage, other);
    return values;
  }
  static std::map<std::string, std::string> contents(const fs::path& directory) {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      files[entry.path().lexically_relative(directory).string()] =
          std::string(std::istreambuf_iterator<char>(in), {});
    }
    return files;
  }

  std::counting_semaphore<2> reached{0}, goes_on{0};
  std::atomic<bool> stopped{false};
};

TEST_F(SnapshotTest, HoldsAllThatWasAcknowledgedAndNothingThatCameLater) {
  open();
  const PartitionId partition = create("orders");
  fill_until_rolled();
  append(partition, "before");
  settle();
  const auto made = snapshot("one");
  ASSERT_TRUE(made) << made.error().message();
  append(partition, "after");
  settle();
  EXPECT_EQ(values_in(*made, "orders"), std::vector<std::string>{"before"});
  EXPECT_EQ(read_all(partition), (std::vector<std::string>{"before", "after"}));
}

// Between its two halves everything may move on.
TEST_F(SnapshotTest, WhatIsPersistedWhileItIsMadeDoesNotHarmIt) {
  stop_between_halves();
  open();
  const PartitionId partition = create("orders");
  append(partition, "before");
  settle();
  ASSERT_TRUE(storage->snapshot("one"));
  reached.acquire();
  append(partition, "meanwhile");
  for (int i = 0; i < 3; ++i) fill_until_rolled();
  goes_on.release();
  poll_until([this] { return events.snapshot.has_value(); });
  ASSERT_TRUE(*events.snapshot) << events.snapshot->error().message();
  const auto values = values_in(**events.snapshot, "orders");
  ASSERT_FALSE(values.empty());
  EXPECT_EQ(values.front(), "before");
}

TEST_F(SnapshotTest, FlushesNothing) {
  open();
  const PartitionId partition = create("orders");
  append(partition, "kept in the journal");
  settle();
  const auto before = storage->stats().writes.flushed;
  const auto made = snapshot("one");
  ASSERT_TRUE(made);
  EXPECT_EQ(storage->stats().writes.flushed, before);
  EXPECT_EQ(values_in(*made, "orders"), std::vector<std::string>{"kept in the journal"});
}

TEST_F(SnapshotTest, OfASnapshotOfAnIdleStorageHoldsTheSame) {
  open();
  append(create("orders"), "one");
  settle();
  for (const char* name : {"a", "b", "c"}) {
    const auto made = snapshot(name);
    ASSERT_TRUE(made) << made.error().message();
    EXPECT_EQ(values_in(*made, "orders"), std::vector<std::string>{"one"});
  }
}

// A segment with a second name is never written, cut or recycled.
TEST_F(SnapshotTest, StaysAsItWasHoweverMuchIsWrittenOnEitherSide) {
  open();
  const PartitionId partition = create("orders");
  append(partition, "kept");
  fill_until_rolled();
  const auto made = snapshot("one");
  ASSERT_TRUE(made);
  const auto before = contents(*made);
  ASSERT_TRUE(before.contains("journal/MANIFEST"));
  for (int i = 0; i < 4; ++i) fill_until_rolled();
  open();
  for (int i = 0; i < 4; ++i) fill_until_rolled();
  EXPECT_EQ(contents(*made), before);

  // And a fork that works leaves its origin alone.
  fs::copy(*made, directory / "backup", fs::copy_options::recursive);
  const fs::path links = directory / "links";
  fs::create_directory(links);
  for (const auto& [name, bytes] : before) {
    fs::create_directories((links / name).parent_path());
    fs::create_hard_link(fs::path(*made) / name, links / name);
  }
  storage.reset();
  {
    auto fork = open_at(links.string());
    ASSERT_TRUE(fork);
    std::swap(storage, fork);
    for (int i = 0; i < 6; ++i) fill_until_rolled();
    std::swap(storage, fork);
  }
  EXPECT_EQ(contents(*made), before);
  EXPECT_EQ(values_in(directory / "backup", "orders"), std::vector<std::string>{"kept"});
}

TEST_F(SnapshotTest, TwoForksGoTheirOwnWays) {
  open();
  const PartitionId partition = create("orders");
  append(partition, "common");
  settle();
  const auto made = snapshot("one");
  ASSERT_TRUE(made);
  fs::copy(*made, directory / "left", fs::copy_options::recursive);
  fs::copy(*made, directory / "right", fs::copy_options::recursive);
  auto left = open_at(directory / "left");
  auto right = open_at(directory / "right");
  ASSERT_TRUE(left && right);
  for (auto* fork : {&left, &right}) {
    std::swap(storage, *fork);
    append(storage->find_topic("orders")->partitions.front(), fork == &left ? "left" : "right");
    settle();
    std::swap(storage, *fork);
  }
  left.reset();
  right.reset();
  EXPECT_EQ(values_in(directory / "left", "orders"), (std::vector<std::string>{"common", "left"}));
  EXPECT_EQ(values_in(directory / "right", "orders"),
            (std::vector<std::string>{"common", "right"}));
  EXPECT_EQ(read_all(partition), std::vector<std::string>{"common"});
}

// All of it was durable, so what is missing at its end is no torn tail.
TEST_F(SnapshotTest, ACutCopyIsRefused) {
  open();
  const PartitionId partition = create("orders");
  append(partition, std::string(20'000, 'x'));
  settle();
  const auto made = snapshot("one");
  ASSERT_TRUE(made);
  storage.reset();
  std::vector<fs::path> segments;
  for (const auto& entry : fs::directory_iterator(fs::path(*made) / "journal"))
    if (entry.path().extension() == ".seg") segments.push_back(entry.path());
  ASSERT_EQ(segments.size(), 1u);
  // A block of the entry; its header and the marker behind it stay.
  std::fstream file(segments.front(), std::ios::in | std::ios::out | std::ios::binary);
  std::string all(std::istreambuf_iterator<char>(file), {});
  const auto at = all.find(std::string(8'000, 'x'));
  ASSERT_NE(at, std::string::npos);
  file.clear();
  file.seekp(static_cast<std::streamoff>(at));
  file.write(std::string(4'096, '\0').data(), 4'096);
  file.close();
  StorageOptions other = options();
  other.data_dir = *made;
  const auto opened = DiskStorage::open(std::move(other), *io, [] {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error(), ErrorCode::kCorruptStorage);
}

TEST_F(SnapshotTest, RefusesWhatItCannotDoAndLeavesNothingOfIt) {
  open();
  append(create("orders"), "one");
  settle();
  ASSERT_TRUE(snapshot("one"));
  const auto again = snapshot("one");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error(), ErrorCode::kSnapshotExists);
  for (int i = 1; i < 16; ++i) ASSERT_TRUE(snapshot("more-" + std::to_string(i)));
  const auto beyond = snapshot("beyond");
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error(), ErrorCode::kLimitReached);
  EXPECT_NE(beyond.error().message().find("limits.snapshots"), std::string::npos);
  fs::remove_all(directory / "data/snapshots/one");
  EXPECT_TRUE(snapshot("one"));
  for (const auto& entry : fs::directory_iterator(directory / "data/snapshots"))
    EXPECT_NE(entry.path().filename().string().front(), '.') << entry.path();
}

TEST_F(SnapshotTest, ClosingWhileOneIsMadeEnds) {
  open();
  append(create("orders"), "one");
  ASSERT_TRUE(storage->snapshot("one"));
  storage.reset();
  open();
  EXPECT_EQ(read_all(storage->find_topic("orders")->partitions.front()),
            std::vector<std::string>{"one"});
}

// Nothing can be written: the snapshot fails, the storage goes on.
TEST_F(SnapshotTest, AFullDiskFailsTheSnapshotAlone) {
  test::RecordingFileIo full(real_file_io());
  io = &full;
  open();
  const PartitionId partition = create("orders");
  append(partition, "one");
  settle();
  full.set_full(true);
  const auto refused = snapshot("one");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), ErrorCode::kNoSpace);
  EXPECT_FALSE(fs::exists(directory / "data/snapshots/one"));
  full.set_full(false);
  // Storage looks by itself, each second.
  poll_until([&] {
    RecordBatchBuilder two;
    two.append({.key = {}, .value = as_bytes(std::string_view("two"))}, 1);
    return storage->append(partition, {}, two.finish()).has_value();
  });
  settle();
  const auto made = snapshot("one");
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(values_in(*made, "orders"), (std::vector<std::string>{"one", "two"}));
  storage.reset();  // before its disk
}

}  // namespace
}  // namespace leat::storage
