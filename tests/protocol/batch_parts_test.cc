// One batch divided among readers: every record is in one part, as it was, and each part is a
// batch.
#include "protocol/batch_parts.h"

#include <set>

#include <gtest/gtest.h>

namespace leat {
namespace {

class BatchPartsTest : public ::testing::TestWithParam<Compression> {};

TEST_P(BatchPartsTest, EachRecordIsInOnePartAsItWas) {
  constexpr std::size_t kParts = 3;
  RecordBatchBuilder builder;
  const RecordHeader header{"h", as_bytes("x")};
  for (int i = 0; i < 100; ++i) {
    const std::string key = "key" + std::to_string(i);
    builder.append({as_bytes(key), as_bytes("value"), {&header, 1}}, 1'000 + (i * 37) % 100);
  }
  std::vector<std::byte> bytes = builder.take(GetParam());
  assign_offset(bytes, Offset(500), LeaderEpoch(7));
  const auto whole = *RecordBatchView::parse(bytes);
  const auto records = *RecordReader::open(whole);
  BatchParts parts(whole, kParts + 1);
  const auto part_of = [](Offset offset) {
    return static_cast<std::size_t>(offset.value) % kParts;
  };
  for (auto it = records.begin(); it != records.end(); ++it) parts.add(part_of(it->offset), it);

  EXPECT_EQ(parts.count(kParts), 0) << "nobody's";
  std::set<Offset> seen;
  for (std::size_t i = 0; i < kParts; ++i) {
    const auto part_bytes = parts.take(i);
    const auto part = *RecordBatchView::parse(part_bytes);
    ASSERT_TRUE(part.check());
    EXPECT_EQ(part.compression(), Compression::kNone);
    EXPECT_EQ(part.base_offset(), Offset(500));
    EXPECT_EQ(part.last_offset(), Offset(599));
    EXPECT_EQ(part.leader_epoch(), LeaderEpoch(7));
    std::int64_t latest = 0;
    const auto reader = *RecordReader::open(part);
    for (const RecordView& record : reader) {
      const auto n = record.offset.value - 500;
      EXPECT_EQ(part_of(record.offset), i);
      EXPECT_TRUE(seen.insert(record.offset).second);
      EXPECT_EQ(as_text(*record.key), "key" + std::to_string(n));
      EXPECT_EQ(as_text(*record.value), "value");
      EXPECT_EQ(record.timestamp_ms, 1'000 + (n * 37) % 100);
      EXPECT_TRUE(record.headers.find("h"));
      latest = std::max(latest, record.timestamp_ms);
    }
    EXPECT_EQ(part.max_timestamp_ms(), latest);
  }
  EXPECT_EQ(seen.size(), 100u);
}

TEST_P(BatchPartsTest, APartIsSplitInTwo) {
  RecordBatchBuilder builder;
  for (int i = 0; i < 10; ++i) {
    const std::string value = "value" + std::to_string(i * i * i);
    builder.append({as_bytes("key"), as_bytes(value), {}}, 1'000 - i);
  }
  std::vector<std::byte> bytes = builder.take(GetParam());
  assign_offset(bytes, Offset(500), LeaderEpoch(7));
  const auto whole = *RecordBatchView::parse(bytes);
  const auto records = *RecordReader::open(whole);
  for (int first = 1; first < 4; ++first) {
    BatchPart part;
    for (auto it = records.begin(); it != records.end(); ++it)
      if (it->offset.value % 2 == 1) part.add(whole, it);  // 501, 503 … 509
    BatchPart front = part.split(first);
    EXPECT_EQ(front.count(), first);
    EXPECT_EQ(front.newest(), Offset(499 + 2 * first));
    EXPECT_EQ(part.count(), 5 - first);
    EXPECT_EQ(part.newest(), Offset(509));
    std::int64_t offset = 501;
    for (BatchPart* one : {&front, &part}) {
      const auto taken = one->take();
      const auto view = *RecordBatchView::parse(taken);
      ASSERT_TRUE(view.check());
      EXPECT_EQ(view.base_offset(), Offset(500));
      EXPECT_EQ(view.max_timestamp_ms(), 999);
      const auto reader = *RecordReader::open(view);
      for (const RecordView& record : reader) {
        const auto n = record.offset.value - 500;
        EXPECT_EQ(record.offset, Offset(offset));
        EXPECT_EQ(as_text(*record.value), "value" + std::to_string(n * n * n));
        EXPECT_EQ(record.timestamp_ms, 1'000 - n);
        offset += 2;
      }
    }
    EXPECT_EQ(offset, 511);
  }
}

INSTANTIATE_TEST_SUITE_P(Compressions, BatchPartsTest,
                         ::testing::Values(Compression::kNone, Compression::kGzip,
                                           Compression::kLz4, Compression::kZstd));

}  // namespace
}  // namespace leat
