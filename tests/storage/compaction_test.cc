// Key compaction on a real disk: of each key the newest record stays, offsets and order as they
// were.
#include <filesystem>

#include <gtest/gtest.h>

#include "storage/retention/key_map.h"
#include "tests/storage/disk_storage_fixture.h"

namespace leat::storage {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

struct Kept {
  Offset offset;
  std::string key;
  std::optional<std::string> value;
  friend bool operator==(const Kept&, const Kept&) = default;
};

class CompactionTest : public DiskStorageTest {
 protected:
  void SetUp() override {
    memory_bytes = 16 << 20;
    open();
    partition = create("t", 1, {.cleanup = Cleanup::kCompact});
  }
  // Records of one batch; a value that is not there is a deletion.
  void put(const std::vector<std::pair<std::string, std::optional<std::string>>>& records,
           Compression compression = Compression::kNone) {
    RecordBatchBuilder builder;
    for (const auto& [key, value] : records) {
      RecordData record{.key = as_bytes(key), .value = {}, .headers = {}};
      if (value) record.value = as_bytes(*value);
      builder.append(record, 1'000);
      model[key] = value;
    }
    if (!storage->has_room()) poll_until([this] { return storage->has_room(); });
    ASSERT_TRUE(storage->append(partition, {}, builder.finish(compression)));
  }
  std::vector<Kept> kept() {
    std::vector<Kept> all;
    Offset from = storage->bounds(partition).log_start;
    while (from < storage->bounds(partition).high_watermark) {
      auto outcome = storage->read(partition, from, 64 << 10, ++token);
      if (std::holds_alternative<ReadLater>(outcome)) {
        poll_until([this] { return events.reads.contains(token); });
        auto& result = events.reads.at(token);
        EXPECT_TRUE(result) << result.error().message();
        if (!result) return all;
        outcome = std::move(*result);
      }
      const Offset before = from;
      for (const auto& stored : std::get<ReadResult>(outcome).batches)
        for (Bytes rest = stored.bytes; !rest.empty();) {
          const auto batch = RecordBatchView::parse(rest);
          EXPECT_TRUE(batch->check());
          EXPECT_EQ(batch->base_offset(), from);  // ranges adjoin whatever went
          from = batch->last_offset() + 1;
          const auto records = RecordReader::open(*batch, kMaxStoredDecompressedBytes);
          for (const RecordView& record : *records) {
            Kept one{record.offset, std::string(as_text(*record.key)), {}};
            if (record.value) one.value = as_text(*record.value);
            all.push_back(std::move(one));
          }
          rest = rest.subspan(batch->bytes().size());
        }
      if (from == before) break;
    }
    return all;
  }
  // The last value of each key, in the order of the offsets, must be what was put last.
  void expect_model(const std::vector<Kept>& all) {
    std::map<std::string, std::optional<std::string>> last;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (i > 0) {
        EXPECT_GT(all[i].offset, all[i - 1].offset);
      }
      last[all[i].key] = all[i].value;
    }
    for (const auto& [key, value] : model) {
      if (!value && !last.contains(key)) continue;  // the deletion went, and what it deleted
      ASSERT_TRUE(last.contains(key)) << key;
      EXPECT_EQ(last[key], value) << key;
    }
    EXPECT_LE(last.size(), model.size());
  }
  void compact_to(std::size_t most, WallTime now = WallTime()) {
    // The roll that brings the last of it to files may still be going on.
    compact_until([&] { return kept().size() <= most; }, now);
  }

  PartitionId partition;
  std::map<std::string, std::optional<std::string>> model;
};

TEST_F(CompactionTest, OfEachKeyTheNewestStays) {
  for (int round = 0; round < 100; ++round)
    for (int key = 0; key < 10; ++key)
      put({{"k" + std::to_string(key), "value " + std::to_string(round)},
           {"second " + std::to_string(key), std::string(100, 'v')}});
  settle();
  fill_until_rolled();
  expect_model(kept());
  compact_to(40);
  const auto all = kept();
  expect_model(all);
  EXPECT_EQ(storage->bounds(partition).high_watermark, Offset(2'000));
  EXPECT_EQ(all.back().offset, Offset(1'999));
  put({{"k0", "again"}});
  settle();
  expect_model(kept());
}

// Seeded, with every compression, through several rolls, compactions and restarts.
TEST_F(CompactionTest, WhateverComesTheLastValuesStay) {
  Random seeded(11);
  for (int life = 0; life < 4; ++life) {
    for (int i = 0; i < 300; ++i) {
      std::vector<std::pair<std::string, std::optional<std::string>>> records;
      for (std::uint64_t n = 1 + seeded.below(5); n > 0; --n) {
        std::optional<std::string> value;
        if (seeded.below(10) > 0) value = std::string(seeded.below(2'000), 'v') + std::to_string(i);
        records.emplace_back("k" + std::to_string(seeded.below(50)), value);
      }
      put(records, static_cast<Compression>(seeded.below(5)));
    }
    settle();
    fill_until_rolled();
    compact();
    expect_model(kept());
    open();
    expect_model(kept());
  }
  compact_to(400);
  expect_model(kept());
}

// What limits.decompressed_bytes let in is not stopped by a smaller bound later.
TEST_F(CompactionTest, ABatchThatDecompressedIsLargeIsCompactedToo) {
  const std::string mib(1 << 20, 'v');
  ASSERT_GT(66u * mib.size(), kMaxDecompressedBytes);
  put(std::vector<std::pair<std::string, std::optional<std::string>>>(66, {"k", mib}),
      Compression::kZstd);
  put({{"k", "newest"}, {"other", "value"}});
  settle();
  fill_until_rolled();
  compact_to(40);
  expect_model(kept());
}

TEST_F(CompactionTest, ADeletionStaysForADayAndThenGoesWithItsKey) {
  for (int i = 0; i < 50; ++i) put({{"k", "value"}, {"other", "value"}});
  put({{"k", std::nullopt}});
  settle();
  fill_until_rolled();
  compact_to(2, WallTime(milliseconds(1'000) + hours(23)));
  EXPECT_EQ(kept().back(), (Kept{Offset(100), "k", std::nullopt}));
  for (int i = 0; i < 50; ++i) put({{"other", "new"}});
  settle();
  fill_until_rolled();
  compact_to(1, WallTime(milliseconds(1'001) + hours(24)));
  EXPECT_EQ(kept().front().key, "other");
}

TEST_F(CompactionTest, GivesSpaceBack) {
  for (int i = 0; i < 200; ++i) put({{"k" + std::to_string(i % 4), std::string(50'000, 'v')}});
  settle();
  for (int roll = 0; roll < 3; ++roll) fill_until_rolled();  // two may have been going on
  const std::uint64_t before = storage->stored_bytes();
  compact_until([&] { return storage->stored_bytes() + 9'000'000 <= before; });
  open();
  EXPECT_LT(storage->stored_bytes() + 9'000'000, before);  // the footers know it
  expect_model(kept());
}

TEST(KeyMap, IsBoundedAndTellsPartitionsApart) {
  KeyMap keys(1'000);
  const std::string key = "some key";
  ASSERT_TRUE(keys.put(PartitionId(1), as_bytes(key), Offset(1)));
  ASSERT_TRUE(keys.put(PartitionId(1), as_bytes(key), Offset(5)));
  ASSERT_TRUE(keys.put(PartitionId(2), as_bytes(key), Offset(2)));
  EXPECT_EQ(keys.newest(PartitionId(1), as_bytes(key)), Offset(5));
  EXPECT_EQ(keys.newest(PartitionId(2), as_bytes(key)), Offset(2));
  EXPECT_FALSE(keys.newest(PartitionId(3), as_bytes(key)));
  int more = 0;
  while (more < 100 && keys.put(PartitionId(3), as_bytes(key + std::to_string(more)), Offset(0)))
    ++more;
  EXPECT_LT(more, 10);
  EXPECT_TRUE(keys.put(PartitionId(1), as_bytes(key), Offset(7)));  // a known key always fits
}

}  // namespace
}  // namespace leat::storage
