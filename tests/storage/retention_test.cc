// Old records go, what is kept stays readable, and the space comes back: decided purely, then on a
// real disk.
#include "storage/retention/retention.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "storage/segment_index.h"
#include "tests/storage/disk_storage_fixture.h"

namespace leat::storage {
namespace {

using std::chrono::milliseconds;

// ---- extents ----

Extent run(std::int64_t first, std::int64_t next, std::uint64_t bytes, std::int64_t ms = 0,
           std::uint32_t segment = 0) {
  return {.segment = segment,
          .first = Offset(first),
          .next = Offset(next),
          .bytes = bytes,
          .max_timestamp_ms = ms};
}

TEST(Extents, SmallBatchesShareAnExtentUntilItIsWorthOne) {
  Extents extents;
  for (int i = 0; i < 100; ++i) extents.add(run(i, i + 1, 100, i));
  EXPECT_EQ(extents.all().size(), 3u);  // 4 KiB each
  EXPECT_EQ(extents.bytes(), 10'000u);
  EXPECT_EQ(extents.all().front(), run(0, 40, 4'000, 39));
  for (int i = 100; i < 100'000; ++i) extents.add(run(i, i + 1, 1'000, i));
  EXPECT_LT(extents.all().size(), 700u);  // a large partition has larger ones
  extents.add(run(100'000, 100'001, 1, 0, 7));
  EXPECT_EQ(extents.all().back(), run(100'000, 100'001, 1, 0, 7));  // segments do not mix
}

// Against a model that keeps every batch.
TEST(Extents, TrimmingForgetsNoMoreAndNoLess) {
  Random random(7);
  for (int round = 0; round < 200; ++round) {
    Extents extents;
    std::int64_t next = 0, start = 0;
    std::uint64_t told = 0, added = 0;
    for (int step = 0; step < 300; ++step) {
      if (random.below(20) > 0) {
        const auto records = static_cast<std::int64_t>(1 + random.below(50));
        const std::uint64_t bytes = 50 + random.below(3'000);
        extents.add(run(next, next + records, bytes, 0, static_cast<std::uint32_t>(step / 100)));
        next += records;
        added += bytes;
      } else if (next > start) {
        start +=
            static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(next - start) + 1));
        extents.trim(Offset(start),
                     [&](std::uint32_t, std::uint64_t bytes, bool) { told += bytes; });
      }
      EXPECT_EQ(extents.bytes() + told, added);
      std::int64_t at = start;
      std::uint64_t sum = 0;
      for (const Extent& extent : extents.all()) {
        EXPECT_EQ(extent.first, Offset(at));
        at = extent.next.value;
        sum += extent.bytes;
      }
      EXPECT_EQ(at, next);
      EXPECT_EQ(sum, extents.bytes());
    }
  }
}

// ---- what retention says ----

class FirstKept : public ::testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 10; ++i) extents.load(run(i * 10, i * 10 + 10, 1'000, i * 1'000));
  }
  Offset kept(const Retention& retention, std::int64_t now_ms = 10'000, Offset end = Offset(100)) {
    return first_kept(extents, Offset(0), end, retention, WallTime(milliseconds(now_ms)));
  }
  Extents extents;
};

TEST_F(FirstKept, WithoutALimitEverythingIsKept) {
  EXPECT_EQ(kept({}, std::int64_t{1} << 60), Offset(0));
}

TEST_F(FirstKept, ByTimeWhatIsOlderGoesUpToTheFirstThatIsNot) {
  EXPECT_EQ(kept({.time = milliseconds(5'000)}), Offset(50));
  EXPECT_EQ(kept({.time = milliseconds(0)}), Offset(100));
  EXPECT_EQ(kept({.time = milliseconds(5'000)}, 3'000), Offset(0));
  Extents mixed;
  mixed.load(run(0, 10, 1, 9'999));
  mixed.load(run(10, 20, 1, 1));
  EXPECT_EQ(first_kept(mixed, Offset(0), Offset(20), {.time = milliseconds(5'000)},
                       WallTime(milliseconds(10'000))),
            Offset(0));
}

TEST_F(FirstKept, ByBytesAndRecordsAtLeastSoMuchStays) {
  EXPECT_EQ(kept({.bytes = 3'000}), Offset(70));
  EXPECT_EQ(kept({.bytes = 3'001}), Offset(60));
  EXPECT_EQ(kept({.bytes = 0}), Offset(100));
  EXPECT_EQ(kept({.records = 30}), Offset(70));
  EXPECT_EQ(kept({.records = 31}), Offset(60));
  EXPECT_EQ(kept({.bytes = 5'000, .records = 30}), Offset(70));  // beyond any of them
}

TEST_F(FirstKept, WhatIsNotYetDurableStays) {
  EXPECT_EQ(kept({.bytes = 0}, 0, Offset(45)), Offset(40));
}

// ---- the index ----

TEST(SegmentIndex, ASegmentIsDeadWhenNothingOfItCanBeReadAndThatIsPersisted) {
  SegmentIndex index;
  const PartitionId a(1), b(2);
  index.add(a, run(0, 10, 100, 0, 1));
  index.add(b, run(0, 5, 50, 0, 1));
  index.add(a, run(10, 20, 100, 0, 2));
  index.move_start(a, Offset(10), JournalPosition(7));
  EXPECT_EQ(index.space(1, 1).live, 50u);
  EXPECT_FALSE(index.dead(1, 1, JournalPosition(100)));
  EXPECT_TRUE(index.from(a, Offset(9), 1).empty());
  EXPECT_EQ(index.from(a, Offset(10), 1).front().segment, 2u);
  index.remove(b, JournalPosition(9));
  EXPECT_FALSE(index.dead(1, 1, JournalPosition(8)));
  EXPECT_TRUE(index.waits_to_be_persisted(2, JournalPosition(8)));
  EXPECT_TRUE(index.dead(1, 1, JournalPosition(9)));
  EXPECT_FALSE(index.starts().contains(b));
  index.move_start(a, Offset(5), JournalPosition(10));  // never falls
  EXPECT_EQ(index.span(a).start, Offset(10));
}

// How many bytes a part of an extent has is a guess; that something of it is left is not.
TEST(SegmentIndex, WhatIsLeftOfASegmentKeepsItAlive) {
  SegmentIndex index;
  const PartitionId a(1);
  index.load({.position = {}, .ranges = {{a, run(20, 34, 1'000, 0, 1)}}});
  index.move_start(a, Offset(27), JournalPosition(1));
  index.shrink(a, Offset(20), Offset(34), 0);
  EXPECT_EQ(index.space(1, 1).live, 0u);
  EXPECT_FALSE(index.dead(1, 1, JournalPosition(1)));
  EXPECT_EQ(index.shrink(a, Offset(20), Offset(34), 0), 0u);
  index.cleaned(1, 1, JournalPosition(1));
  EXPECT_FALSE(index.dead(1, 1, JournalPosition(1)));
  index.move_start(a, Offset(34), JournalPosition(2));
  EXPECT_TRUE(index.dead(1, 1, JournalPosition(2)));
}

TEST(SegmentIndex, ARewriteSaysWhatIsLeft) {
  SegmentIndex index;
  const PartitionId a(1);
  index.load({.position = {}, .ranges = {{a, run(0, 10, 1'000, 0, 1)}}});
  index.move_start(a, Offset(5), JournalPosition(1));
  EXPECT_EQ(index.shrink(a, Offset(0), Offset(10), 100), 400u);
  EXPECT_EQ(index.space(1, 1).live, 100u);
}

// ---- a partition ----

// The journal still has what the SSTs no longer have.
TEST(PartitionLog, AReplayMayBeginBelowTheLogStartWithAGap) {
  const auto batch_at = [](std::int64_t base, std::vector<std::byte>& bytes) {
    RecordBatchBuilder builder;
    for (int i = 0; i < 3; ++i) builder.append({.key = {}, .value = as_bytes("v")}, 1);
    bytes = builder.take();
    assign_offset(bytes, Offset(base), LeaderEpoch(1));
    return *RecordBatchView::parse(bytes);
  };
  std::vector<std::byte> bytes;
  PartitionLog log(Extents(), Offset(10), Offset(0));
  EXPECT_FALSE(log.check_adjoins(batch_at(11, bytes)));
  ASSERT_TRUE(log.check_adjoins(batch_at(4, bytes)));
  log.apply(batch_at(4, bytes), nullptr);
  EXPECT_EQ(log.next_offset(), Offset(7));
  EXPECT_FALSE(log.check_adjoins(batch_at(4, bytes)));
  EXPECT_EQ(log.extents().bytes(), 0u);
  log.replayed();
  EXPECT_EQ(log.next_offset(), Offset(10));
  EXPECT_EQ(log.bounds().high_watermark, Offset(10));
  EXPECT_FALSE(log.check_adjoins(batch_at(11, bytes)));
}

TEST(SegmentIndex, FootersThatDoNotAdjoinLeaveAHole) {
  SegmentIndex index;
  const PartitionId a(1);
  index.load({.position = {}, .ranges = {{a, run(0, 10, 1, 0, 1)}}});
  index.load({.position = {}, .ranges = {{a, run(15, 20, 1, 0, 3)}}});
  const auto hole = index.first_hole();
  ASSERT_TRUE(hole);
  EXPECT_EQ(hole->first, Offset(10));
  EXPECT_EQ(hole->next, Offset(15));
  index.move_start(a, Offset(15), JournalPosition(1));
  EXPECT_FALSE(index.first_hole());
}

TEST(SegmentIndex, AFooterReadsBackAsWritten) {
  const Footer footer{JournalPosition(9), {{PartitionId(3), run(1, 2, 3, 4, 5)}}};
  const auto read = Footer::decode(footer.encode(), 5);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->position, JournalPosition(9));
  ASSERT_EQ(read->ranges.size(), 1u);
  EXPECT_EQ(read->ranges[0].extent, run(1, 2, 3, 4, 5));
  EXPECT_FALSE(Footer::decode(footer.encode().substr(1), 5));
}

// ---- on a disk ----

class RetentionTest : public DiskStorageTest {
 protected:
  void SetUp() override {
    memory_bytes = 16 << 20;  // segments of 1.6 MiB
    open();
  }
  // `count` batches of `bytes`, one record each.
  void append_many(PartitionId partition, int count, std::size_t bytes) {
    for (int i = 0; i < count; ++i) append(partition, std::string(bytes, 'v'));
  }
  std::uint64_t bytes_on_disk() const {
    std::uint64_t bytes = 0;
    for (const auto& file : std::filesystem::directory_iterator(directory / "data/rocksdb"))
      if (std::error_code gone; file.path().extension() == ".sst")
        if (const auto size = file.file_size(gone); !gone) bytes += size;
    return bytes;
  }
  // Space comes back in the background: waits until it has.
  void wait_for_space(std::uint64_t most) {
    const auto deadline = std::chrono::steady_clock::now() + kHang;
    while (bytes_on_disk() > most && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(milliseconds(5));
    EXPECT_LE(bytes_on_disk(), most);
  }
  Offset log_start(PartitionId partition) { return storage->bounds(partition).log_start; }
};

TEST_F(RetentionTest, KeepsWhatTheTopicSaysAcrossRestarts) {
  const PartitionId partition = create("t", 1, {.retention = {.bytes = 1'000'000}});
  append_many(partition, 500, 10'000);
  settle();
  storage->retain(WallTime());
  settle();
  Offset start = log_start(partition);
  EXPECT_GE(start, Offset(380));
  EXPECT_LE(start, Offset(400));
  EXPECT_EQ(read_all(partition, start).size(), static_cast<std::size_t>(500 - start.value));
  for (int life = 0; life < 2; ++life) {
    open();
    EXPECT_EQ(log_start(partition), start);
    EXPECT_EQ(storage->bounds(partition).high_watermark, Offset(500));
    EXPECT_EQ(read_all(partition, start).size(), static_cast<std::size_t>(500 - start.value));
    storage->retain(WallTime());
    settle();
    EXPECT_GE(log_start(partition), start);
    EXPECT_LE(log_start(partition), Offset(400));
    start = log_start(partition);
    fill_until_rolled();
  }
}

// The 30-days topic beside the firehose.
TEST_F(RetentionTest, SpaceComesBackFromBetweenWhatStays) {
  large_batch_bytes = 1 << 20;
  open();
  const PartitionId fire = create("fire", 1, {.retention = {.bytes = 2'000'000}});
  const PartitionId slow = create("slow");
  for (int i = 0; i < 60; ++i) {
    append_many(fire, 8, 100'000);
    append(slow, "kept " + std::to_string(i));
  }
  settle();
  EXPECT_GT(bytes_on_disk(), 40'000'000u);
  storage->retain(WallTime());
  settle();
  wait_for_space(10'000'000);
  const auto check = [&] {
    const auto kept = read_all(slow);
    ASSERT_EQ(kept.size(), 60u);
    for (int i = 0; i < 60; ++i)
      EXPECT_EQ(kept[static_cast<std::size_t>(i)], "kept " + std::to_string(i));
    EXPECT_EQ(read_all(fire, log_start(fire)).size(),
              static_cast<std::size_t>(480 - log_start(fire).value));
  };
  check();
  open();
  check();
  fill_until_rolled();
  check();
}

TEST_F(RetentionTest, ADeletedTopicGivesItsSpaceBack) {
  create("doomed", 2);
  const PartitionId partition = storage->find_topic("doomed")->partitions.front();
  const PartitionId kept = create("kept");
  append(kept, "first");
  append_many(partition, 200, 100'000);
  append(kept, "second");
  settle();
  ASSERT_TRUE(storage->delete_topic(storage->find_topic("doomed")->id));
  settle();
  EXPECT_LT(storage->stored_bytes(), 10'000u);
  wait_for_space(4'000'000);
  EXPECT_EQ(read_all(kept), (std::vector<std::string>{"first", "second"}));
  open();
  EXPECT_EQ(read_all(kept), (std::vector<std::string>{"first", "second"}));
  EXPECT_FALSE(storage->find_topic("doomed"));
}

// Every segment goes but the newest: the partition still knows what comes next.
TEST_F(RetentionTest, APartitionOfWhichNothingIsLeftGoesOnWhereItWas) {
  const PartitionId partition = create("t");
  append_many(partition, 200, 50'000);
  settle();
  ASSERT_TRUE(storage->move_log_start(partition, Offset(200)));
  settle();
  fill_until_rolled();
  wait_for_space(8'000'000);
  for (int life = 0; life < 2; ++life) {
    open();
    EXPECT_EQ(log_start(partition), Offset(200));
    EXPECT_EQ(storage->bounds(partition).high_watermark, Offset(200));
    fill_until_rolled();
  }
  append(partition, "next");
  settle();
  EXPECT_EQ(read_all(partition, Offset(200)), std::vector<std::string>{"next"});
}

TEST_F(RetentionTest, WhoReadsMeanwhileSeesWholeRecordsOrThatTheyAreGone) {
  const PartitionId partition = create("t");
  append_many(partition, 400, 50'000);
  settle();
  std::vector<ReadToken> asked;
  for (int i = 0; i < 40; ++i) {
    const auto outcome = storage->read(partition, Offset(i * 5), 200'000, ++token);
    if (std::holds_alternative<ReadLater>(outcome)) asked.push_back(token);
    if (i % 4 == 0) {
      ASSERT_TRUE(storage->move_log_start(partition, Offset(i * 5 + 50)));
    }
  }
  poll_until([&] {
    return std::ranges::all_of(asked, [&](ReadToken t) { return events.reads.contains(t); });
  });
  ASSERT_GT(asked.size(), 20u);
  for (const ReadToken t : asked) {
    const auto& result = events.reads.at(t);
    if (!result) {
      EXPECT_EQ(result.error(), ErrorCode::kOffsetOutOfRange) << result.error().message();
      continue;
    }
    ASSERT_FALSE(result->batches.empty());
    EXPECT_GE(result->batches.front().bytes.size(), 150'000u);
  }
}

TEST_F(RetentionTest, TheOldestMakeRoomOnlyWhereTheTopicSaysSo) {
  const PartitionId a = create("a", 1, {.on_full = OnFull::kDropOldest});
  const PartitionId b = create("b");
  append_many(b, 50, 10'000);
  append_many(a, 50, 10'000);
  settle();
  EXPECT_FALSE(storage->drop_oldest(600'000));
  EXPECT_EQ(log_start(a), Offset(0));
  const std::uint64_t before = storage->stored_bytes();
  EXPECT_TRUE(storage->drop_oldest(100'000));
  EXPECT_LE(storage->stored_bytes(), before - 100'000);
  EXPECT_GE(storage->stored_bytes(), before - 120'000);
  EXPECT_GE(log_start(a), Offset(9));
  EXPECT_EQ(log_start(b), Offset(0));
}

TEST_F(RetentionTest, ATimeIsLookedForCloseToWhereItIs) {
  const PartitionId partition = create("t");
  for (int i = 0; i < 300; ++i) {
    RecordBatchBuilder builder;
    builder.append({.key = {}, .value = as_bytes(std::string_view("some value"))}, 1'000 + i);
    ASSERT_TRUE(storage->append(partition, {}, builder.finish()));
  }
  settle();
  const auto check = [&] {
    EXPECT_EQ(storage->look_from(partition, 0), Offset(0));
    for (const int ms : {1'100, 1'200, 1'299}) {
      const Offset from = storage->look_from(partition, ms);
      EXPECT_LE(from, Offset(ms - 1'000));
      EXPECT_GE(from, Offset(ms - 1'000 - 60));
    }
    EXPECT_EQ(storage->look_from(partition, 2'000), Offset(300));
    // Run by run from the newest on, and all of them.
    Offset end(300);
    for (auto run = storage->newest_run(partition); run;
         run = storage->newest_run(partition, run)) {
      EXPECT_EQ(run->next, end);
      EXPECT_EQ(run->newest_ms, 1'000 + end.value - 1);
      end = run->first;
    }
    EXPECT_EQ(end, Offset(0));
  };
  check();
  fill_until_rolled();
  open();
  check();
  ASSERT_TRUE(storage->move_log_start(partition, Offset(299)));
  EXPECT_EQ(storage->newest_run(partition)->first, Offset(299));
  EXPECT_FALSE(storage->newest_run(partition, storage->newest_run(partition)));
}

TEST_F(RetentionTest, AChangedConfigurationSurvives) {
  create("t");
  const TopicId id = storage->find_topic("t")->id;
  const TopicConfig config{.durability = Durability::kInterval,
                           .interval = milliseconds(20),
                           .cleanup = Cleanup::kCompactDelete,
                           .on_full = OnFull::kDropOldest,
                           .retention = {milliseconds(5), 6, 7},
                           .ttl = milliseconds(8),
                           .dedup = {milliseconds(9), 10},
                           .timed_records = true};
  ASSERT_TRUE(storage->configure_topic(id, config));
  EXPECT_EQ(storage->find_topic("t")->config, config);
  settle();
  for (int life = 0; life < 2; ++life) {
    open();
    EXPECT_EQ(storage->find_topic("t")->config, config);
    fill_until_rolled();
  }
}

TEST_F(RetentionTest, AWeakerLevelShowsNothingBeforeItsPredecessorIsDurable) {
  const PartitionId partition = create("t");
  const TopicId id = storage->find_topic("t")->id;
  settle();
  append(partition, "waits");
  const TopicConfig memory{.durability = Durability::kMemory};
  ASSERT_TRUE(storage->configure_topic(id, memory));
  RecordBatchBuilder builder;
  builder.append({.key = {}, .value = as_bytes("does not")}, 1);
  ASSERT_TRUE(storage->append(partition, memory, builder.finish()));
  EXPECT_EQ(storage->bounds(partition).high_watermark, Offset(0));
  poll_until([&] { return storage->bounds(partition).high_watermark == Offset(2); });
  EXPECT_EQ(read_all(partition), (std::vector<std::string>{"waits", "does not"}));
}

}  // namespace
}  // namespace leat::storage
