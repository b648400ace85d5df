// The batch format: what is built is read back, byte for byte as Kafka clients write it.
#include "protocol/record_batch.h"

#include <gtest/gtest.h>

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
    EXPECT_LE(builder.size() - before, RecordBatchBuilder::max_record_size(data));
  }
  const Bytes batch = builder.finish();
  return {batch.begin(), batch.end()};
}

std::string hex(Bytes bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::byte b : bytes) {
    text.push_back(kDigits[static_cast<unsigned>(b) >> 4]);
    text.push_back(kDigits[static_cast<unsigned>(b) & 15]);
  }
  return text;
}

TEST(RecordBatch, WhatIsCompressedIsReadBack) {
  Random random(11);
  for (const Compression type : {Compression::kNone, Compression::kGzip, Compression::kSnappy,
                                 Compression::kLz4, Compression::kZstd}) {
    for (int round = 0; round < 40; ++round) {
      const auto records = random_records(random, random.below(200) + 1);
      const std::string alike(4'000, 'a');  // so that it does get smaller
      RecordBatchBuilder builder;
      for (const Owned& record : records)
        builder.append({bytes_of(record.key), as_bytes(alike), {}}, record.timestamp_ms);
      const Bytes finished = builder.finish(type);
      EXPECT_LE(finished.size(), builder.size());
      const std::vector<std::byte> bytes(finished.begin(), finished.end());
      EXPECT_EQ(builder.take(type), bytes);
      EXPECT_TRUE(builder.empty());
      const auto batch = RecordBatchView::parse(bytes);
      ASSERT_TRUE(batch && batch->validate());
      EXPECT_EQ(batch->compression(), type);
      const auto reader = RecordReader::open(*batch);
      ASSERT_TRUE(reader);
      std::size_t i = 0;
      for (const RecordView& record : *reader) {
        EXPECT_EQ(record.offset, Offset(static_cast<std::int64_t>(i)));
        EXPECT_EQ(record.timestamp_ms, records.at(i).timestamp_ms);
        EXPECT_EQ(text_of(record.key), records.at(i).key);
        EXPECT_EQ(text_of(record.value), alike);
        ++i;
      }
      EXPECT_EQ(i, records.size());
    }
  }
}

TEST(RecordBatch, WhatWouldGetNoSmallerStaysAsItIs) {
  RecordBatchBuilder builder;
  for (int round = 0; round < 2; ++round) {
    builder.append({as_bytes("k"), as_bytes("v"), {}}, 1);
    const auto bytes = builder.take(Compression::kGzip);
    const auto batch = RecordBatchView::parse(bytes);
    ASSERT_TRUE(batch && batch->validate());
    EXPECT_EQ(batch->compression(), Compression::kNone);
    EXPECT_EQ(as_text(*batch->begin()->value), "v");
  }
}

TEST(RecordBatch, AUsedBufferMakesNoDifference) {
  Random random(12);
  for (const std::size_t used : {0, 1, 60, 500, 100'000}) {
    const auto records = random_records(random, 20);
    RecordBatchBuilder fresh, again(std::vector<std::byte>(used, std::byte{0xa5}));
    for (const Owned& record : records) {
      const RecordData data{bytes_of(record.key), bytes_of(record.value), {}};
      fresh.append(data, record.timestamp_ms);
      again.append(data, record.timestamp_ms);
    }
    EXPECT_EQ(again.size(), fresh.size());
    EXPECT_EQ(again.take(), fresh.take()) << used;
  }
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

// What kafka-python 3.0.12 builds from the same four records: an implementation of the format that
// is not ours. It leaves the leader epoch at 0, the Java client and we at -1 (none known).
TEST(RecordBatch, HasTheBytesOfAKafkaClient) {
  const std::string header =
      "0000000000000000"
      "000000c1"
      "ffffffff"
      "02"
      "d9c1deb2"
      "0000"
      "00000003"
      "0000018bcfe5687b"
      "0000018bcfe56be8"
      "ffffffffffffffff"
      "ffff"
      "ffffffff"
      "00000004";
  const std::string records =
      "1a00000004"
      "3432"
      "0a68656c6c6f"
      "00"
      "38002d020101"
      "06"
      "0a7472616365"
      "0400ff"
      "0a656d707479"
      "00"
      "086e756c6c"
      "01"
      "0e00da0d04000000"
      "b60100f20506"
      "066b6b6b"
      "8c01";
  RecordBatchBuilder builder;
  const RecordHeader second[] = {
      {"trace", as_bytes(std::string_view("\0\xff", 2))}, {"empty", Bytes()}, {"null", {}}};
  const RecordHeader fourth[] = {{"leat-id", as_bytes("x")}};
  const std::string value(70, 'v');
  builder.append({as_bytes("42"), as_bytes("hello"), {}}, 1'700'000'000'123);
  builder.append({{}, {}, second}, 1'700'000'000'100);
  builder.append({Bytes(), Bytes(), {}}, 1'700'000'001'000);
  builder.append({as_bytes("kkk"), as_bytes(value), fourth}, 1'700'000'000'500);
  EXPECT_EQ(hex(builder.finish()),
            header + records + hex(as_bytes(value)) + "020e" + hex(as_bytes("leat-id")) + "0278");
}

TEST(RecordBatch, NullAndEmptyStayApart) {
  RecordBatchBuilder builder;
  builder.append({{}, Bytes(), {}}, 1);
  const Bytes bytes = builder.finish();
  const auto batch = RecordBatchView::parse(bytes);
  ASSERT_TRUE(batch);
  EXPECT_FALSE(batch->begin()->key);
  ASSERT_TRUE(batch->begin()->value);
  EXPECT_TRUE(batch->begin()->value->empty());
}

TEST(RecordBatch, HeadersAreFoundByName) {
  RecordBatchBuilder builder;
  const RecordHeader headers[] = {{"a", as_bytes("1")}, {"b", {}}, {"a", as_bytes("2")}};
  builder.append({{}, {}, headers}, 1);
  const auto batch = RecordBatchView::parse(builder.finish());
  ASSERT_TRUE(batch);
  const RecordHeaders read = batch->begin()->headers;
  EXPECT_EQ(as_text(*read.find("a")->value), "1");
  ASSERT_TRUE(read.find("b"));
  EXPECT_FALSE(read.find("b")->value);
  EXPECT_FALSE(read.find("c"));
}

TEST(RecordBatch, ABuilderStartsAfreshAfterTakeAndClear) {
  RecordBatchBuilder builder;
  EXPECT_TRUE(builder.empty());
  EXPECT_EQ(builder.size(), batch_layout::kHeaderBytes);
  builder.append({as_bytes("a"), as_bytes("1"), {}}, 50);
  const auto first = builder.take();
  EXPECT_TRUE(builder.empty());
  EXPECT_EQ(builder.size(), batch_layout::kHeaderBytes);
  builder.append({as_bytes("much longer than before"), {}, {}}, 70);
  builder.clear();
  builder.append({as_bytes("a"), as_bytes("1"), {}}, 50);
  EXPECT_EQ(hex(builder.finish()), hex(first));
  EXPECT_EQ(builder.size(), first.size());
}

TEST(RecordBatch, TimestampsAtTheEndsOfTimeDoNotOverflow) {
  RecordBatchBuilder builder;
  for (const std::int64_t timestamp : {INT64_MAX, INT64_MIN, std::int64_t{0}, INT64_MAX})
    builder.append({{}, {}, {}}, timestamp);
  const auto batch = RecordBatchView::parse(builder.finish());
  ASSERT_TRUE(batch);
  EXPECT_TRUE(batch->validate());
  std::vector<std::int64_t> read;
  for (const RecordView& record : *batch) read.push_back(record.timestamp_ms);
  const std::int64_t end = (std::int64_t{1} << 62) - 1;
  EXPECT_EQ(read, (std::vector<std::int64_t>{end, -end, 0, end}));
  EXPECT_EQ(batch->max_timestamp_ms(), end);
}

TEST(RecordBatch, ParseTakesTheFirstOfSeveral) {
  Random random(6);
  const auto first = build(random_records(random, 3)), second = build(random_records(random, 2));
  auto both = first;
  both.insert(both.end(), second.begin(), second.end());
  const auto batch = RecordBatchView::parse(both);
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->bytes().size(), first.size());
  EXPECT_TRUE(batch->validate());
  EXPECT_EQ(RecordBatchView::parse(Bytes(both).subspan(first.size()))->record_count(), 2);
}

}  // namespace
}  // namespace leat
