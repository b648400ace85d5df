// RocksDB behind the journal, by itself.
#include "storage/store.h"

#include <gtest/gtest.h>

#include "storage/keys.h"
#include "storage/tail_cache.h"
#include "tests/temporary_directory.h"

namespace leat::storage {
namespace {

using test::TemporaryDirectory;

constexpr PartitionId kPartition{1};

JournalEntry records_at(std::uint64_t position, Offset base, std::size_t bytes) {
  RecordBatchBuilder builder;
  const std::string value(bytes, 'v');
  builder.append({{}, as_bytes(value), {}}, 1);
  JournalEntry entry = RecordsAppended::encode(kPartition, base, LeaderEpoch(1), builder.finish());
  entry.position = JournalPosition(position);
  return entry;
}

std::unique_ptr<Store> open(const std::string& directory) {
  auto store =
      Store::open({.directory = directory, .memtable_bytes = 2 << 20, .roll_bytes = 1 << 20});
  EXPECT_TRUE(store) << store.error().message();
  return store ? std::move(*store) : nullptr;
}

// Rolls faster than the disk flushes: RocksDB stops writes and takes no flush that does not wait.
TEST(Store, RollsFasterThanTheDiskDoNotFail) {
  TemporaryDirectory directory;
  auto store = open(directory.path());
  for (std::uint64_t i = 1; i <= 300; ++i) {
    const JournalEntry entry = records_at(i, Offset(static_cast<std::int64_t>(i - 1)), 600'000);
    const auto ok = store->apply({&entry, 1});
    ASSERT_TRUE(ok) << ok.error().message();
  }
  const auto read = store->read(kPartition, Offset(0), 1 << 30);
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_GT(read->batches.front().bytes.size(), 300u * 600'000);
}

// Rule 5: what a kill leaves of the open segment is not taken for applied, and comes back once.
TEST(Store, OnlyWhatAFooterProvesIsPersisted) {
  TemporaryDirectory directory;
  std::vector<JournalEntry> entries;
  for (std::uint64_t i = 1; i <= 10; ++i)
    entries.push_back(records_at(i, Offset(static_cast<std::int64_t>(i - 1)), 100));
  {
    auto store = open(directory.path());
    ASSERT_TRUE(store->apply(std::span(entries).first(6)));
    ASSERT_TRUE(store->roll_and_wait());
    ASSERT_TRUE(store->apply(std::span(entries).subspan(6)));
  }
  auto store = open(directory.path());
  EXPECT_EQ(store->persisted(), JournalPosition(6));
  EXPECT_FALSE(store->wants(Family::kRecords, JournalPosition(6)));
  EXPECT_TRUE(store->wants(Family::kRecords, JournalPosition(7)));
  EXPECT_EQ(store->log_at_open(kPartition).next_offset(), Offset(6));
  ASSERT_TRUE(store->apply(std::span(entries).subspan(6)));
  const auto read = store->read(kPartition, Offset(0), 1 << 20);
  ASSERT_TRUE(read) << read.error().message();
  Bytes rest = read->batches.front().bytes;
  std::int64_t next = 0;
  for (; !rest.empty(); ++next) {
    const auto batch = RecordBatchView::parse(rest);
    ASSERT_EQ(batch->base_offset(), Offset(next));
    rest = rest.subspan(batch->bytes().size());
  }
  EXPECT_EQ(next, 10);
}

TEST(RollTracker, ARollIsPersistedWhenEveryFamilyHasFlushedBeyondIt) {
  RollTracker tracker;
  tracker.rolled({JournalPosition(10), 1}, 100);
  tracker.rolled({JournalPosition(20), 2}, 200);
  EXPECT_FALSE(tracker.flushed(Family::kRecords, 300));  // beyond both, one family
  EXPECT_FALSE(tracker.flushed(Family::kOffsets, 300));
  EXPECT_FALSE(tracker.flushed(Family::kProducers, 300));
  EXPECT_FALSE(tracker.flushed(Family::kIds, 300));
  EXPECT_FALSE(tracker.flushed(Family::kCatalog, 100));  // up to the first roll's row, without it
  EXPECT_EQ(tracker.flushed(Family::kCatalog, 101)->position, JournalPosition(10));
  EXPECT_TRUE(tracker.pending());
  EXPECT_EQ(tracker.flushed(Family::kCatalog, 201)->segment, 2u);
  EXPECT_FALSE(tracker.pending());
}

TEST(TailCache, OnlyWhatIsAppliedLeaves) {
  TailCache cache(100);
  std::vector<PartitionId> dropped;
  const auto drop = [&](PartitionId partition) { dropped.push_back(partition); };
  for (std::uint32_t i = 1; i <= 3; ++i) cache.add(PartitionId(i), JournalPosition(i), 80);
  cache.evict(JournalPosition(1), 0, drop);
  EXPECT_EQ(dropped, std::vector{PartitionId(1)});  // 160 bytes are over the budget, and stay
  cache.evict(JournalPosition(3), 0, drop);
  EXPECT_EQ(dropped, (std::vector{PartitionId(1), PartitionId(2)}));  // no more than needed
  cache.evict(JournalPosition(3), 21, drop);
  EXPECT_EQ(cache.bytes(), 0u) << "others use what it would need";
}

std::size_t record_rows(const std::string& directory) {
  auto rocks = Rocks::open({.directory = directory, .on_flushed = {}});
  EXPECT_TRUE(rocks);
  std::size_t rows = 0;
  const auto ok = RocksFamilyReader(**rocks, Family::kRecords)
                      .each("", [&](std::string_view, std::string_view) -> Result<> {
                        ++rows;
                        return {};
                      });
  EXPECT_TRUE(ok);
  return rows;
}

// Rule 5: families flush independently. Replay starts at the lowest, and the records family, which
// is ahead, takes nothing twice: twice it would lie in two segments.
TEST(Store, AFamilyThatIsAheadTakesNothingTwice) {
  TemporaryDirectory directory;
  std::vector<JournalEntry> entries;
  for (std::uint64_t i = 1; i <= 6; ++i)
    entries.push_back(records_at(i, Offset(static_cast<std::int64_t>(i - 1)), 100));
  {
    auto store = open(directory.path());
    ASSERT_TRUE(store->apply(std::span(entries).first(4)));
    ASSERT_TRUE(store->roll_and_wait());
  }
  {  // as if the catalog's flush had not made it
    auto rocks = Rocks::open({.directory = directory.path(), .on_flushed = {}});
    ASSERT_TRUE(rocks);
    rocksdb::WriteBatch batch;
    RocksFamilyWriter(**rocks, Family::kCatalog, batch).remove(keys::kPosition);
    ASSERT_TRUE((*rocks)->write(batch));
    ASSERT_TRUE((*rocks)->db().Flush({}, (*rocks)->family(Family::kCatalog)).ok());
  }
  auto store = open(directory.path());
  ASSERT_EQ(store->persisted(), JournalPosition(0));
  ASSERT_TRUE(store->apply(entries));
  const auto read = store->read(kPartition, Offset(0), 1 << 20);
  ASSERT_TRUE(read) << read.error().message();
  std::int64_t next = 0;
  for (Bytes rest = read->batches.front().bytes; !rest.empty(); ++next) {
    const auto batch = RecordBatchView::parse(rest);
    ASSERT_EQ(batch->base_offset(), Offset(next));
    rest = rest.subspan(batch->bytes().size());
  }
  EXPECT_EQ(next, 6);
  ASSERT_TRUE(store->roll_and_wait());
  store.reset();
  EXPECT_EQ(record_rows(directory.path()), 6u + 2);  // batches and footers
}

// A segment without a footer that RocksDB flushed by itself: replay may split it differently, so
// its rows must not stay beside the new ones.
TEST(Store, RowsOfASegmentWithoutAFooterAreRemoved) {
  TemporaryDirectory directory;
  std::vector<JournalEntry> entries;
  for (std::uint64_t i = 1; i <= 6; ++i)
    entries.push_back(records_at(i, Offset(static_cast<std::int64_t>(i - 1)), 100));
  {
    auto rocks = Rocks::open({.directory = directory.path(), .on_flushed = {}});
    ASSERT_TRUE(rocks);
    rocksdb::WriteBatch batch;
    for (const JournalEntry& entry : entries) {
      const auto records = RecordsAppended::decode(entry);
      const Offset last = RecordBatchView::parse(records->batch)->last_offset();
      const auto key = keys::record(1, kPartition, last);
      RocksFamilyWriter(**rocks, Family::kRecords, batch)
          .put(keys::view(key), as_text(records->batch));
    }
    ASSERT_TRUE((*rocks)->write(batch));
    ASSERT_TRUE((*rocks)->db().Flush({}, (*rocks)->family(Family::kRecords)).ok());
  }
  auto store = open(directory.path());
  ASSERT_EQ(store->persisted(), JournalPosition(0));
  ASSERT_TRUE(store->apply(std::span(entries).first(3)));
  ASSERT_TRUE(store->roll());
  ASSERT_TRUE(store->apply(std::span(entries).subspan(3)));
  ASSERT_TRUE(store->roll_and_wait());
  const auto read = store->read(kPartition, Offset(0), 1 << 20);
  ASSERT_TRUE(read) << read.error().message();
  store.reset();
  EXPECT_EQ(record_rows(directory.path()), 6u + 2);
}

TEST(Store, ARecordThatIsMissingIsNotHidden) {
  TemporaryDirectory directory;
  auto store = open(directory.path());
  for (const int i : {1, 3}) {  // offset 1 never came
    const JournalEntry entry = records_at(static_cast<std::uint64_t>(i), Offset(i - 1), 100);
    ASSERT_TRUE(store->apply({&entry, 1}));
  }
  const auto before = store->read(kPartition, Offset(0), 1 << 20);
  ASSERT_TRUE(before);
  EXPECT_EQ(RecordBatchView::parse(before->batches.front().bytes)->bytes().size(),
            before->batches.front().bytes.size());
  const auto read = store->read(kPartition, Offset(1), 1 << 20);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kCorruptStorage);
  EXPECT_NE(read.error().detail.find("offsets 1 to 1"), std::string::npos);
  EXPECT_TRUE(store->read(kPartition, Offset(2), 1 << 20));
}

// What direct I/O needs is asked of a directory that is there: a first start must not go through
// the page cache where later ones do not.
TEST(Store, TheFirstStartWritesAsLaterOnesDo) {
  TemporaryDirectory directory;
  const auto writes_directly = [&] {
    auto rocks = Rocks::open({.directory = directory / "rocksdb", .on_flushed = {}});
    EXPECT_TRUE(rocks) << rocks.error().message();
    return (*rocks)->db().GetDBOptions().use_direct_io_for_flush_and_compaction;
  };
  const bool first = writes_directly();
  EXPECT_EQ(first, writes_directly());
}

}  // namespace
}  // namespace leat::storage
