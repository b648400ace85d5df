// Large batches stay in the journal's segments: that they are there after the journal has given
// those up, that space comes back, and what happens when a segment is damaged or gone.
#include "storage/large/large_batches.h"

#include <filesystem>
#include <fstream>

#include "storage/recovery/repair.h"
#include "tests/storage/disk_storage_fixture.h"
#include "tests/storage/recording_file_io.h"

namespace leat::storage {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLarge = 50'000, kSmall = 100;

TEST(LargeRef, ReadsBackAsWrittenAndIsNoBatch) {
  const LargeRef ref{.file = {3, 7}, .at = std::uint64_t{1} << 40, .bytes = 70'000};
  const auto read = LargeRef::decode(ref.encode());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->file, ref.file);
  EXPECT_EQ(read->at, ref.at);
  EXPECT_EQ(read->bytes, ref.bytes);
  EXPECT_EQ(ref.file.name(), "00000003-00000007.seg");
  EXPECT_FALSE(LargeRef::decode(ref.encode().substr(1)));
  RecordBatchBuilder builder;
  builder.append({.key = {}, .value = {}}, 1);
  EXPECT_FALSE(LargeRef::decode(as_text(builder.finish())));
}

class LargeBatchesTest : public DiskStorageTest {
 protected:
  LargeBatchesTest() {
    memory_bytes = 16 << 20;
    journal_segment_bytes = 1 << 20;
  }
  // The n-th value of a topic, of which there is only one.
  static std::string value(const std::string& topic, int n, std::size_t bytes) {
    std::string text = topic + "-" + std::to_string(n) + "-";
    return text + std::string(bytes - text.size(), static_cast<char>('a' + n % 26));
  }
  // Every fourth is small.
  static std::size_t size_of(int n) { return n % 4 == 3 ? kSmall : kLarge; }
  PartitionId fill(const std::string& name, int records, TopicConfig config = {}) {
    const PartitionId id = create(name, 1, config);
    for (int i = 0; i < records; ++i) append(id, value(name, i, size_of(i)));
    settle();
    return id;
  }
  void expect_all(PartitionId id, const std::string& name, int records, int from = 0) {
    const auto found = read_all(id, Offset(from));
    ASSERT_EQ(found.size(), static_cast<std::size_t>(records - from));
    for (int i = from; i < records; ++i)
      EXPECT_EQ(found[static_cast<std::size_t>(i - from)], value(name, i, size_of(i))) << i;
  }
  // Records that are left of all that were appended.
  std::size_t read_all_records(PartitionId id) {
    std::size_t records = 0;
    for (Offset from(0); from < storage->bounds(id).high_watermark;) {
      const auto found = read(id, from);
      EXPECT_TRUE(found) << found.error().message();
      if (!found) return 0;
      for (const auto& stored : found->batches)
        for (Bytes rest = stored.bytes; !rest.empty();) {
          const auto batch = RecordBatchView::parse(rest);
          records += static_cast<std::size_t>(batch->record_count());
          from = batch->last_offset() + 1;
          rest = rest.subspan(batch->bytes().size());
        }
    }
    return records;
  }
  std::vector<std::string> files(const std::string& folder) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory / folder))
      if (entry.path().extension() == ".seg") names.push_back(entry.path().filename());
    return names;
  }
  std::size_t large_files() const { return files("data/large").size(); }
  // The file that holds the text; empty if none does.
  fs::path file_with(const std::string& text) const {
    for (const std::string& name : files("data/large")) {
      std::ifstream file(directory / ("data/large/" + name), std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(file), {}};
      if (bytes.find(text) != std::string::npos) return directory / ("data/large/" + name);
    }
    return {};
  }
  // Space comes back in the background.
  void wait_until_gone(const std::string& text) {
    const auto deadline = std::chrono::steady_clock::now() + kHang;
    while (!file_with(text).empty() && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_TRUE(file_with(text).empty()) << text;
  }
  void damage(const std::string& text) {
    const fs::path path = file_with(text);
    ASSERT_FALSE(path.empty()) << text;
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    file.seekp(static_cast<std::streamoff>(bytes.find(text)));
    file.put('!');
  }
};

TEST_F(LargeBatchesTest, AreWrittenOnceAndOutliveTheJournalsSegments) {
  open();
  const PartitionId id = fill("orders", 400);
  for (int i = 0; i < 3; ++i) fill_until_rolled();
  const DiskWrites writes = storage->stats().writes;
  EXPECT_GT(writes.payload, 15'000'000u);
  EXPECT_LT(writes.flushed, writes.payload / 10);
  const fs::path held = file_with("orders-0-");
  ASSERT_FALSE(held.empty());
  const auto deadline = std::chrono::steady_clock::now() + kHang;
  while (fs::hard_link_count(held) > 1 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(fs::hard_link_count(held), 1u) << "the journal keeps what RocksDB has";
  for (int life = 0; life < 2; ++life) {
    expect_all(id, "orders", 400);
    EXPECT_GT(cold_reads, 0);
    open();
  }
}

TEST_F(LargeBatchesTest, OneThatDoesNotFitIntoAReadIsNotReadForIt) {
  test::RecordingFileIo disk(real_file_io());
  io = &disk;
  open();
  const PartitionId id = create("orders");
  for (int i = 0; i < 8; ++i) append(id, value("orders", i, kLarge));
  settle();
  for (int i = 0; i < 3; ++i) fill_until_rolled();
  ASSERT_FALSE(file_with("orders-1-").empty());
  open();  // nothing of it is in memory
  const std::size_t before = disk.recorded().size();
  ASSERT_TRUE(read(id, Offset(0)));
  std::size_t bytes = 0;
  const auto all = disk.recorded();
  for (const auto& recorded : std::span(all).subspan(before))
    if (recorded.operation == test::Operation::kRead &&
        recorded.path.find("/large/") != std::string::npos)
      bytes += recorded.bytes;
  EXPECT_GE(bytes, kLarge);
  EXPECT_LT(bytes, 2 * kLarge);
  storage.reset();  // before its disk
}

TEST_F(LargeBatchesTest, ADeletedTopicGivesItsSpaceBack) {
  open();
  fill("doomed", 400);
  const PartitionId kept = fill("kept", 3);
  for (int i = 0; i < 2; ++i) fill_until_rolled();
  ASSERT_GT(large_files(), 10u);
  ASSERT_TRUE(storage->delete_topic(storage->find_topic("doomed")->id));
  ASSERT_TRUE(storage->delete_topic(storage->find_topic("filler")->id));
  fill_until_rolled();  // it is persisted
  fill_until_rolled();
  wait_until_gone("doomed-0-");
  expect_all(kept, "kept", 3);
  open();
  expect_all(kept, "kept", 3);
}

// What lies between it is copied, so that its segments can go.
TEST_F(LargeBatchesTest, WhatStaysIsTakenOutOfFilesThatAreHalfDead) {
  open();
  const PartitionId doomed = create("doomed"), kept = create("kept");
  for (int i = 0; i < 200; ++i) {
    for (int n = 0; n < 3; ++n) append(doomed, value("doomed", i, kLarge));
    append(kept, value("kept", i, size_of(i)));
  }
  for (int i = 0; i < 2; ++i) fill_until_rolled();
  ASSERT_FALSE(file_with("kept-0-").empty());
  ASSERT_TRUE(storage->move_log_start(doomed, Offset(600)));
  fill_until_rolled();
  wait_until_gone("kept-0-");
  EXPECT_GT(storage->stats().writes.rewritten, 1'000'000u);
  for (int life = 0; life < 2; ++life) {
    expect_all(kept, "kept", 200);
    EXPECT_EQ(storage->bounds(doomed).log_start, Offset(600));
    open();
  }
  EXPECT_TRUE(events.damage.empty());
}

TEST_F(LargeBatchesTest, CompactionKeepsTheNewestOfEachKey) {
  open();
  const PartitionId id = create("keys", 1, {.cleanup = Cleanup::kCompact});
  const auto put = [&](int key, int n) {
    RecordBatchBuilder builder;
    const std::string name = "key" + std::to_string(key), text = value("keys", n, kLarge);
    builder.append({.key = as_bytes(name), .value = as_bytes(text)}, 1);
    if (!storage->has_room()) poll_until([this] { return storage->has_room(); });
    ASSERT_TRUE(storage->append(id, {}, builder.finish()));
  };
  for (int n = 0; n < 200; ++n) put(n % 5, n);
  settle();
  for (int i = 0; i < 2; ++i) fill_until_rolled();
  ASSERT_FALSE(file_with("keys-0-").empty());
  compact_until([&] { return read_all_records(id) == 5u; });
  EXPECT_TRUE(file_with("keys-0-").empty());
  open();
  EXPECT_EQ(read_all_records(id), 5u);
}

TEST_F(LargeBatchesTest, AMissingOrCutFileIsRefusedByNameAndARepairSaysWhatIsLost) {
  open();
  fill("hurt", 400);
  const PartitionId well = fill("well", 3);
  for (int i = 0; i < 2; ++i) fill_until_rolled();
  const fs::path file = file_with("hurt-100-");
  ASSERT_FALSE(file.empty());
  storage.reset();
  {
    const auto sound = Inspection::run(*io, directory / "data", [](std::string_view line) {
      ADD_FAILURE() << "complains of what is whole: " << line;
    });
    ASSERT_TRUE(sound) << sound.error().message();
    const std::string summary = sound->summary();
    EXPECT_GT(std::stoull(summary.substr(summary.find(" bytes=") + 7)), 15'000'000u) << summary;
  }
  const auto size = fs::file_size(file);
  fs::resize_file(file, size / 2);
  auto opened = DiskStorage::open(options(), *io, [] {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kCorruptStorage);
  EXPECT_NE(opened.error().detail.find(file.filename()), std::string::npos);
  fs::remove(file);
  opened = DiskStorage::open(options(), *io, [] {});
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().detail.find(file.filename()), std::string::npos);
  std::string told;
  const auto repaired = repair_directory(*io, directory / "data", WallTime(),
                                         [&](std::string_view line) { told += line; });
  ASSERT_TRUE(repaired) << repaired.error().message();
  EXPECT_GT(repaired->lost_offsets, 0u);
  EXPECT_NE(told.find("topic 'hurt' partition 0, offsets "), std::string::npos) << told;
  open();
  expect_all(well, "well", 3);
  const PartitionId hurt = storage->find_topic("hurt")->partitions.front();
  EXPECT_EQ(storage->bounds(hurt).high_watermark, Offset(400));
  expect_all(hurt, "hurt", 400, 399);
}

TEST_F(LargeBatchesTest, ADamagedOneIsToldAndEverythingElseGoesOn) {
  open();
  const PartitionId hurt = fill("hurt", 400), well = fill("well", 30);
  for (int i = 0; i < 2; ++i) fill_until_rolled();
  open();
  damage("hurt-100-");
  EXPECT_FALSE(read(hurt, Offset(100)));
  EXPECT_TRUE(read(hurt, Offset(99)));
  EXPECT_TRUE(read(hurt, Offset(101)));
  ASSERT_EQ(events.damage.size(), 1u);
  EXPECT_NE(events.damage.front().find("topic 'hurt' partition 0, offsets 100 to 100"),
            std::string::npos)
      << events.damage.front();
  expect_all(well, "well", 30);
}

TEST_F(LargeBatchesTest, TheScrubberReadsThem) {
  scrub_rate = 1 << 30;
  open();
  fill("hurt", 400);
  for (int i = 0; i < 2; ++i) fill_until_rolled();
  const int before = passes;
  poll_until([&] { return passes > before + 1; });
  EXPECT_TRUE(events.damage.empty());
  EXPECT_GT(storage->stats().scrubbed_bytes, 15'000'000u);
  damage("hurt-100-");
  poll_until([&] { return events.damage.size() >= 2; });
  EXPECT_NE(events.damage[1].find("topic 'hurt' partition 0, offsets 100 to 100"),
            std::string::npos)
      << events.damage[1];
}

// A backup by cp -r: what was one file with two names is two.
TEST_F(LargeBatchesTest, ACopiedDirectoryStarts) {
  open();
  const PartitionId id = fill("orders", 200);
  for (int i = 0; i < 2; ++i) fill_until_rolled();
  append(id, value("orders", 200, size_of(200)));
  settle();
  storage.reset();
  ASSERT_FALSE(file_with("orders-0-").empty());
  fs::copy(directory / "data", directory / "copy", fs::copy_options::recursive);
  fs::remove_all(directory / "data");
  fs::rename(directory / "copy", directory / "data");
  for (int life = 0; life < 3; ++life) {
    open();
    expect_all(id, "orders", 201);
    fill_until_rolled();
  }
}

TEST_F(LargeBatchesTest, WhereFilesHaveOneNameOnlyTheyAreCopied) {
  test::RecordingFileIo no_links(real_file_io());
  no_links.refuse_links();
  io = &no_links;
  open();
  const PartitionId id = fill("orders", 200);
  for (int i = 0; i < 2; ++i) fill_until_rolled();
  EXPECT_EQ(large_files(), 0u);
  EXPECT_FALSE(events.failed);
  open();
  expect_all(id, "orders", 200);
  storage.reset();  // before its disk
}

TEST_F(LargeBatchesTest, ASnapshotHasThemWhenTheOriginHasGivenThemUp) {
  open();
  fill("orders", 200);
  for (int i = 0; i < 2; ++i) fill_until_rolled();
  ASSERT_FALSE(file_with("orders-0-").empty());
  ASSERT_TRUE(storage->snapshot("one"));
  poll_until([this] { return events.snapshot.has_value(); });
  ASSERT_TRUE(*events.snapshot) << events.snapshot->error().message();
  ASSERT_TRUE(storage->delete_topic(storage->find_topic("orders")->id));
  for (int i = 0; i < 3; ++i) fill_until_rolled();
  wait_until_gone("orders-0-");
  storage.reset();
  StorageOptions other = options();
  other.data_dir = **events.snapshot;
  auto opened = DiskStorage::open(std::move(other), *io, [this] { wake(); });
  ASSERT_TRUE(opened) << opened.error().message();
  storage = std::move(*opened);
  expect_all(storage->find_topic("orders")->partitions.front(), "orders", 200);
}

// A crash may leave files that nothing needs, and names that were not finished.
TEST_F(LargeBatchesTest, LeftoversGoAtTheNextStart) {
  open();
  const PartitionId id = fill("orders", 100);
  for (int i = 0; i < 2; ++i) fill_until_rolled();
  storage.reset();
  for (const char* name : {"00000099-00000001.seg", "00000099-00000002.seg.new"})
    std::ofstream(directory / ("data/large/" + std::string(name))) << "leftover";
  open();
  EXPECT_FALSE(fs::exists(directory / "data/large/00000099-00000001.seg"));
  EXPECT_FALSE(fs::exists(directory / "data/large/00000099-00000002.seg.new"));
  expect_all(id, "orders", 100);
}

}  // namespace
}  // namespace leat::storage
