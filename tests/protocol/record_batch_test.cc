// The batch format: what is built is read back, what is damaged is refused.
#include "protocol/record_batch.h"

#include <gtest/gtest.h>

#include "protocol/base/crc32c.h"
#include "protocol/base/random.h"

namespace leat {
namespace {

struct Owned {
  std::optional<std::string> key, value;
  std::vector<std::pair<std::string, std::optional<std::string>>> headers;
  std::int64_t timestamp_ms = 0;
};

std::optional<std::string> random_text(Random& random) {
  if (random.below(5) == 0) return std::nullopt;
  std::string text(random.below(4) == 0 ? 0 : random.below(300), ' ');
  for (char& c : text) c = static_cast<char>(random.next());
  return text;
}

std::vector<Owned> random_records(Random& random, std::size_t count) {
  std::vector<Owned> records(count);
  for (Owned& record : records) {
    record.key = random_text(random);
    record.value = random_text(random);
    record.timestamp_ms = static_cast<std::int64_t>(random.below(2'000'000'000'000));
    for (std::uint64_t i = random.below(4); i > 0; --i)
      record.headers.emplace_back("h" + std::to_string(i), random_text(random));
  }
  return records;
}

std::optional<Bytes> bytes_of(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  return as_bytes(*text);
}
std::optional<std::string> text_of(const std::optional<Bytes>& bytes) {
  if (!bytes) return std::nullopt;
  return std::string(as_text(*bytes));
}

std::vector<std::byte> build(const std::vector<Owned>& records) {
  RecordBatchBuilder builder;
  for (const Owned& record : records) {
    std::vector<RecordHeader> headers;
    for (const auto& [key, value] : record.headers) headers.push_back({key, bytes_of(value)});
    const RecordData data{bytes_of(record.key), bytes_of(record.value), headers};
    const std::size_t before = builder.size();
    builder.append(data, record.timestamp_ms);
    EXPECT_LE(builder.size() - before,
              RecordBatchBuilder::max_record_size(data) + batch_layout::kHeaderBytes);
  }
  const Bytes batch = builder.finish();
  return {batch.begin(), batch.end()};
}

TEST(RecordBatch, WhatIsBuiltIsReadBack) {
  Random random(1);
  for (int round = 0; round < 200; ++round) {
    const auto records = random_records(random, random.below(40) + 1);
    auto bytes = build(records);
    assign_offset(bytes, Offset(1'000'000'000'000), LeaderEpoch(7));
    const auto batch = RecordBatchView::parse(bytes);
    ASSERT_TRUE(batch);
    ASSERT_TRUE(batch->validate()) << batch->validate().error().message();
    EXPECT_EQ(batch->leader_epoch(), LeaderEpoch(7));
    EXPECT_EQ(batch->producer_id(), -1);
    std::size_t i = 0;
    std::int64_t newest = records[0].timestamp_ms;
    for (const RecordView& record : *batch) {
      const Owned& expected = records.at(i);
      EXPECT_EQ(record.offset, Offset(1'000'000'000'000) + static_cast<std::int64_t>(i));
      EXPECT_EQ(record.timestamp_ms, expected.timestamp_ms);
      EXPECT_EQ(text_of(record.key), expected.key);
      EXPECT_EQ(text_of(record.value), expected.value);
      ASSERT_EQ(record.headers.size(), expected.headers.size());
      auto header = record.headers.begin();
      for (const auto& [key, value] : expected.headers) {
        EXPECT_EQ(header->key, key);
        EXPECT_EQ(text_of(header->value), value);
        ++header;
      }
      newest = std::max(newest, expected.timestamp_ms);
      ++i;
    }
    EXPECT_EQ(i, records.size());
    EXPECT_EQ(batch->max_timestamp_ms(), newest);
  }
}

// Written out by hand from the format's description: one record, key "k", value "v", header a=b.
TEST(RecordBatch, HasKafkasBytes) {
  RecordBatchBuilder builder;
  const RecordHeader headers[] = {{"a", as_bytes("b")}};
  builder.append({as_bytes("k"), as_bytes("v"), headers}, 0x0102030405);
  const Bytes batch = builder.finish();
  const std::uint8_t record[] = {22, 0, 0, 0, 2, 'k', 2, 'v', 2, 2, 'a', 2, 'b'};
  ASSERT_EQ(batch.size(), 61 + sizeof record - 1 + 1);
  EXPECT_EQ(load_be<std::int64_t>(&batch[0]), 0);
  EXPECT_EQ(load_be<std::int32_t>(&batch[8]), static_cast<std::int32_t>(batch.size() - 12));
  EXPECT_EQ(static_cast<int>(batch[16]), 2);
  EXPECT_EQ(load_be<std::uint32_t>(&batch[17]), crc32c(batch.subspan(21)));
  EXPECT_EQ(load_be<std::int16_t>(&batch[21]), 0);
  EXPECT_EQ(load_be<std::int32_t>(&batch[23]), 0);
  EXPECT_EQ(load_be<std::int64_t>(&batch[27]), 0x0102030405);
  EXPECT_EQ(load_be<std::int64_t>(&batch[35]), 0x0102030405);
  EXPECT_EQ(load_be<std::int64_t>(&batch[43]), -1);
  EXPECT_EQ(load_be<std::int16_t>(&batch[51]), -1);
  EXPECT_EQ(load_be<std::int32_t>(&batch[53]), -1);
  EXPECT_EQ(load_be<std::int32_t>(&batch[57]), 1);
  // length 12 (zigzag 24) in front of the record's own twelve bytes
  EXPECT_EQ(static_cast<int>(batch[61]), 24);
  EXPECT_TRUE(
      std::equal(batch.begin() + 62, batch.end(), std::as_bytes(std::span(record)).begin() + 1));
}

TEST(RecordBatch, EveryFlippedBitAndEveryTruncationIsRefused) {
  Random random(2);
  const auto intact = build(random_records(random, 5));
  for (std::size_t at = batch_layout::kBatchLength; at < intact.size(); ++at) {
    if (at >= batch_layout::kLeaderEpoch && at < batch_layout::kMagic) continue;  // the broker's
    auto flipped = intact;
    flipped[at] ^= static_cast<std::byte>(1u << (at % 8));
    const auto batch = RecordBatchView::parse(flipped);
    EXPECT_FALSE(batch && batch->validate()) << at;
  }
  for (std::size_t size = 0; size < intact.size(); ++size) {
    EXPECT_FALSE(RecordBatchView::parse(Bytes(intact).first(size)));
  }
}

void reseal(std::vector<std::byte>& batch) {
  store_be<std::uint32_t>(&batch[batch_layout::kCrc],
                          crc32c(Bytes(batch).subspan(batch_layout::kAttributes)));
}

TEST(RecordBatch, LyingHeadersAreRefusedThoughTheChecksumFits) {
  Random random(3);
  const auto intact = build(random_records(random, 5));
  const auto refused = [&](std::size_t field, auto value) {
    auto lying = intact;
    store_be(&lying[field], value);
    reseal(lying);
    const auto batch = RecordBatchView::parse(lying);
    return !batch || !batch->validate();
  };
  using namespace batch_layout;
  for (const std::int32_t count : {0, -1, 4, 6, 0x7fffffff, INT32_MIN}) {
    EXPECT_TRUE(refused(kRecordCount, count)) << count;
    EXPECT_TRUE(refused(kBatchLength, count)) << count;
    if (count != 4) {
      EXPECT_TRUE(refused(kLastOffsetDelta, count)) << count;
    }
  }
  EXPECT_TRUE(refused(kAttributes, std::int16_t{0x40}));
  EXPECT_TRUE(refused(kAttributes, std::int16_t{0x10}));  // transactional
  auto compressed = intact;
  store_be<std::int16_t>(&compressed[kAttributes], 4);
  reseal(compressed);
  EXPECT_EQ(RecordBatchView::parse(compressed)->validate().error().code,
            ErrorCode::kUnsupportedCompression);
}

// Whatever the records say, reading them stays inside the batch (the sanitizers watch).
TEST(RecordBatch, HostileRecordsAreRefusedOrReadInBounds) {
  Random random(4);
  for (int round = 0; round < 3'000; ++round) {
    auto bytes = build(random_records(random, 3));
    for (int i = 0; i < 3; ++i)
      bytes[batch_layout::kHeaderBytes + random.below(bytes.size() - batch_layout::kHeaderBytes)] =
          static_cast<std::byte>(random.next());
    reseal(bytes);
    const auto batch = RecordBatchView::parse(bytes);
    if (!batch) continue;
    const bool valid = batch->validate().has_value();
    std::int32_t records = 0;
    std::size_t touched = 0;
    for (const RecordView& record : *batch) {
      ++records;
      for (const auto& part : {record.key, record.value})
        if (part)
          for (const std::byte b : *part) touched += static_cast<std::size_t>(b);
      for (const RecordHeader& header : record.headers) touched += header.key.size();
    }
    if (valid) {
      EXPECT_EQ(records, batch->record_count());
    }
  }
}

}  // namespace
}  // namespace leat
