// Batches that are damaged or lie: refused with the right code, never read beyond their bytes (the
// sanitizers watch).
#include <algorithm>

#include <gtest/gtest.h>

#include "protocol/base/crc32c.h"
#include "protocol/base/random.h"
#include "protocol/base/varint.h"
#include "protocol/record_batch.h"

namespace leat {
namespace {

using namespace batch_layout;

std::vector<std::byte> sample_batch(Random& random, int records) {
  RecordBatchBuilder builder;
  for (int i = 0; i < records; ++i) {
    std::string key(random.below(20), 'k'), value(random.below(200), 'v');
    for (char& c : value) c = static_cast<char>(random.next());
    const RecordHeader headers[] = {{"name", as_bytes(key)}, {"null", {}}};
    const std::span<const RecordHeader> some(headers, random.below(3));
    builder.append({as_bytes(key), as_bytes(value), some}, 1'700'000'000'000 + i);
  }
  return builder.take();
}

void reseal(std::vector<std::byte>& batch) {
  store_be<std::uint32_t>(&batch[kCrc], crc32c(Bytes(batch).subspan(kAttributes)));
}

// What parse() or validate() says; kOk where neither objects.
ErrorCode verdict(const std::vector<std::byte>& bytes) {
  const auto batch = RecordBatchView::parse(bytes);
  if (!batch) return batch.error().code;
  const auto valid = batch->validate();
  return valid ? ErrorCode::kOk : valid.error().code;
}

// Iterates everything that the batch claims to hold; returns the number of records seen.
std::int64_t read_all(const RecordBatchView& batch) {
  std::int64_t records = 0;
  volatile unsigned sink = 0;
  const auto touch = [&](Bytes bytes) {
    for (const std::byte b : bytes) sink = sink + static_cast<unsigned>(b);
  };
  for (const RecordView& record : batch) {
    ++records;
    if (record.key) touch(*record.key);
    if (record.value) touch(*record.value);
    for (const RecordHeader& header : record.headers) {
      touch(as_bytes(header.key));
      if (header.value) touch(*header.value);
    }
  }
  return records;
}

TEST(HostileBatch, EveryFlippedBitIsRefused) {
  Random random(1);
  const auto intact = sample_batch(random, 5);
  ASSERT_EQ(verdict(intact), ErrorCode::kOk);
  for (std::size_t at = kBatchLength; at < intact.size(); ++at) {
    if (at >= kLeaderEpoch && at < kMagic) continue;  // the broker's to write
    for (unsigned bit = 0; bit < 8; ++bit) {
      auto flipped = intact;
      flipped[at] ^= static_cast<std::byte>(1u << bit);
      const ErrorCode found = verdict(flipped);
      EXPECT_NE(found, ErrorCode::kOk) << at << " bit " << bit;
      if (at >= kCrc) {
        EXPECT_EQ(found, ErrorCode::kCorruptBatch) << at;
      }
    }
  }
}

TEST(HostileBatch, EveryTruncationIsRefused) {
  Random random(2);
  const auto intact = sample_batch(random, 5);
  for (std::size_t size = 0; size < intact.size(); ++size) {
    const std::vector<std::byte> cut(intact.begin(),
                                     intact.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(verdict(cut), ErrorCode::kInvalidBatch) << size;
  }
}

TEST(HostileBatch, LyingFieldsAreRefusedThoughTheChecksumFits) {
  Random random(3);
  const auto intact = sample_batch(random, 5);
  const auto with = [&](std::size_t field, auto value) {
    auto lying = intact;
    store_be(&lying[field], value);
    reseal(lying);
    return verdict(lying);
  };
  for (const std::int32_t lie : {0, -1, 3, 6, INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(with(kRecordCount, lie), ErrorCode::kInvalidBatch) << lie;
    EXPECT_EQ(with(kBatchLength, lie), ErrorCode::kInvalidBatch) << lie;
    EXPECT_EQ(with(kLastOffsetDelta, lie), ErrorCode::kInvalidBatch) << lie;
  }
  for (const std::int8_t magic : {0, 1, 3, -1})
    EXPECT_EQ(with(kMagic, magic), ErrorCode::kInvalidBatch);
  EXPECT_EQ(with(kBaseOffset, std::int64_t{-1}), ErrorCode::kInvalidBatch);
  EXPECT_EQ(with(kBaseOffset, INT64_MAX - 3), ErrorCode::kInvalidBatch);
  EXPECT_EQ(with(kBaseOffset, INT64_MAX - 4), ErrorCode::kOk);
}

TEST(HostileBatch, AttributesAreKnownOrRefused) {
  Random random(4);
  auto batch = sample_batch(random, 2);
  const auto with = [&](int attributes) {
    store_be(&batch[kAttributes], static_cast<std::int16_t>(attributes));
    reseal(batch);
    return verdict(batch);
  };
  EXPECT_EQ(with(0x08), ErrorCode::kOk);      // stamped at append
  for (const int compression : {1, 2, 3, 4})  // which these bytes are not
    EXPECT_EQ(with(compression), ErrorCode::kInvalidBatch) << compression;
  for (const int compression : {5, 6, 7})
    EXPECT_EQ(with(compression), ErrorCode::kUnsupportedCompression) << compression;
  EXPECT_EQ(with(0x10), ErrorCode::kInvalidBatch);  // transactional
  EXPECT_EQ(with(0x20), ErrorCode::kInvalidBatch);  // control
  for (int bit = 6; bit < 16; ++bit) EXPECT_EQ(with(1 << bit), ErrorCode::kInvalidBatch) << bit;
}

TEST(HostileBatch, ABatchStampedAtAppendHasOneTimestamp) {
  Random random(5);
  auto bytes = sample_batch(random, 3);
  store_be<std::int16_t>(&bytes[kAttributes], 0x08);
  store_be<std::int64_t>(&bytes[kMaxTimestamp], 4'711);
  reseal(bytes);
  const auto batch = RecordBatchView::parse(bytes);
  ASSERT_TRUE(batch && batch->validate());
  for (const RecordView& record : *batch) EXPECT_EQ(record.timestamp_ms, 4'711);
}

TEST(HostileBatch, ACompressedBatchIsNotIterated) {
  Random random(6);
  auto bytes = sample_batch(random, 3);
  store_be<std::int16_t>(&bytes[kAttributes], 4);
  const auto batch = RecordBatchView::parse(bytes);
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->begin(), batch->end());
}

// ---- compressed batches ----

constexpr Compression kCodecs[] = {Compression::kGzip, Compression::kSnappy, Compression::kLz4,
                                   Compression::kZstd};

// The batch with its records compressed, whatever they are.
std::vector<std::byte> compress_batch(const std::vector<std::byte>& plain, Compression type) {
  std::vector<std::byte> bytes(plain.begin(), plain.begin() + kHeaderBytes);
  compress(type, Bytes(plain).subspan(kHeaderBytes), bytes);
  store_be(&bytes[kBatchLength], static_cast<std::int32_t>(bytes.size() - kLengthPrefixBytes));
  store_be(&bytes[kAttributes], static_cast<std::int16_t>(type));
  reseal(bytes);
  return bytes;
}

TEST(HostileBatch, CompressedBatchesAreCheckedAsOthers) {
  Random random(9);
  for (const Compression type : kCodecs) {
    auto plain = sample_batch(random, 5);
    ASSERT_EQ(verdict(compress_batch(plain, type)), ErrorCode::kOk) << name_of(type);
    for (const std::int32_t lie : {0, -1, 4, 6, INT32_MAX}) {
      auto lying = plain;
      store_be(&lying[kRecordCount], lie);
      store_be(&lying[kLastOffsetDelta], lie - 1);
      EXPECT_EQ(verdict(compress_batch(lying, type)), ErrorCode::kInvalidBatch)
          << name_of(type) << " " << lie;
    }
    auto longer = plain;
    longer.push_back(std::byte{0});
    EXPECT_EQ(verdict(compress_batch(longer, type)), ErrorCode::kInvalidBatch) << name_of(type);
    plain.resize(plain.size() - 1);
    EXPECT_EQ(verdict(compress_batch(plain, type)), ErrorCode::kInvalidBatch) << name_of(type);
    const std::vector<std::byte> nothing(plain.begin(), plain.begin() + kHeaderBytes);
    EXPECT_EQ(verdict(compress_batch(nothing, type)), ErrorCode::kInvalidBatch) << name_of(type);
  }
}

TEST(HostileBatch, DamageInACompressedBatchIsFoundBeforeItIsDecompressed) {
  Random random(10);
  for (const Compression type : kCodecs) {
    const auto intact = compress_batch(sample_batch(random, 3), type);
    for (std::size_t at = kCrc; at < intact.size(); ++at) {
      auto flipped = intact;
      flipped[at] ^= std::byte{0x10};
      EXPECT_EQ(verdict(flipped), ErrorCode::kCorruptBatch) << name_of(type) << " " << at;
      if (at < kHeaderBytes) continue;
      reseal(flipped);  // a lie, and not damage
      const ErrorCode found = verdict(flipped);
      EXPECT_TRUE(found == ErrorCode::kOk || found == ErrorCode::kInvalidBatch ||
                  found == ErrorCode::kBatchTooLarge)
          << name_of(type) << " " << at;
    }
  }
}

TEST(HostileBatch, ABatchThatDecompressesToTooMuchIsRefused) {
  RecordBatchBuilder builder;
  builder.append({{}, as_bytes(std::string(1 << 20, 'b')), {}}, 1);
  for (const Compression type : kCodecs) {
    const Bytes bytes = builder.finish(type);
    const auto batch = RecordBatchView::parse(bytes);
    ASSERT_EQ(batch->compression(), type);
    EXPECT_TRUE(batch->validate());
    EXPECT_EQ(batch->validate(1 << 20).error().code, ErrorCode::kBatchTooLarge);
    EXPECT_EQ(RecordReader::open(*batch, 100).error().code, ErrorCode::kBatchTooLarge);
  }
}

// ---- records written by hand ----

struct RawRecord {
  std::vector<std::int64_t> varints;  // what stands behind the attributes byte, in order
  std::int64_t length_lie = 0;        // added to the true length
  int surplus = 0;                    // zero bytes behind the last field, within the record
};

std::vector<std::byte> batch_of(const std::vector<RawRecord>& records, std::int64_t base_time,
                                int behind = 0) {
  std::vector<std::byte> bytes(kHeaderBytes);
  const auto put = [](std::vector<std::byte>& to, std::int64_t value) {
    std::byte varint[kMaxVarintBytes];
    to.insert(to.end(), varint, put_varint(varint, value));
  };
  for (const RawRecord& record : records) {
    std::vector<std::byte> body(1);
    for (const std::int64_t value : record.varints) put(body, value);
    body.resize(body.size() + static_cast<std::size_t>(record.surplus));
    put(bytes, static_cast<std::int64_t>(body.size()) + record.length_lie);
    bytes.insert(bytes.end(), body.begin(), body.end());
  }
  bytes.resize(bytes.size() + static_cast<std::size_t>(behind));
  const auto count = static_cast<std::int32_t>(records.size());
  store_be(&bytes[kBatchLength], static_cast<std::int32_t>(bytes.size() - kLengthPrefixBytes));
  store_be<std::int8_t>(&bytes[kMagic], 2);
  store_be(&bytes[kLastOffsetDelta], count - 1);
  store_be(&bytes[kBaseTimestamp], base_time);
  store_be(&bytes[kRecordCount], count);
  reseal(bytes);
  return bytes;
}

constexpr std::int64_t kNull = -1;

TEST(HostileBatch, RecordsThatLieAreRefused) {
  // timestamp delta, offset delta, key length, value length, header count (+ headers)
  const RawRecord good{{0, 0, kNull, kNull, 0}};
  ASSERT_EQ(verdict(batch_of({good}, 0)), ErrorCode::kOk);
  const RawRecord with_header{{0, 0, kNull, kNull, 1, 0, kNull}};
  ASSERT_EQ(verdict(batch_of({with_header}, 0)), ErrorCode::kOk);

  const std::pair<const char*, RawRecord> lies[] = {
      {"offset delta", {{0, 1, kNull, kNull, 0}}},
      {"offset delta beyond 32 bits", {{0, std::int64_t{1} << 32, kNull, kNull, 0}}},
      {"key length", {{0, 0, 1, kNull, 0}}},
      {"key length -2", {{0, 0, -2, kNull, 0}}},
      {"key length 2^31", {{0, 0, std::int64_t{1} << 31, kNull, 0}}},
      {"key length 2^63-1", {{0, 0, INT64_MAX, kNull, 0}}},
      {"key length -2^63", {{0, 0, INT64_MIN, kNull, 0}}},
      {"value length", {{0, 0, kNull, 2, 0}}},
      {"value length -2^63", {{0, 0, kNull, INT64_MIN, 0}}},
      {"header count", {{0, 0, kNull, kNull, 1}}},
      {"header count -1", {{0, 0, kNull, kNull, -1}}},
      {"header count 2^31", {{0, 0, kNull, kNull, std::int64_t{1} << 31, 0, 0}}},
      {"header count 2^63-1", {{0, 0, kNull, kNull, INT64_MAX, 0, 0}}},
      {"header with a null key", {{0, 0, kNull, kNull, 1, kNull, kNull}}},
      {"header key length", {{0, 0, kNull, kNull, 1, 9, kNull}}},
      {"header value length", {{0, 0, kNull, kNull, 1, 0, 1}}},
      {"fewer headers than bytes", {{0, 0, kNull, kNull, 1, 0, kNull, 0, kNull}}},
      {"bytes behind the fields", {{0, 0, kNull, kNull, 0}, 0, 1}},
      {"fields cut off", {{0, 0, kNull, kNull}}},
      {"no fields", {{}}},
      {"length too long", {{0, 0, kNull, kNull, 0}, 1, 0}},
      {"length too short", {{0, 0, kNull, kNull, 0}, -1, 0}},
      {"length 0", {{0, 0, kNull, kNull, 0}, -6, 0}},
      {"length negative", {{0, 0, kNull, kNull, 0}, -7, 0}},
      {"length 2^31", {{0, 0, kNull, kNull, 0}, std::int64_t{1} << 31, 0}},
      {"length near 2^63", {{0, 0, kNull, kNull, 0}, INT64_MAX - 6, 0}},
  };
  for (const auto& [what, lie] : lies) {
    const auto bytes = batch_of({lie}, 0);
    EXPECT_EQ(verdict(bytes), ErrorCode::kInvalidBatch) << what;
    EXPECT_LE(read_all(*RecordBatchView::parse(bytes)), 1) << what;
  }
  EXPECT_EQ(verdict(batch_of({good}, 0, 1)), ErrorCode::kInvalidBatch);     // behind the records
  EXPECT_EQ(verdict(batch_of({good, good}, 0)), ErrorCode::kInvalidBatch);  // offset 0 twice
}

TEST(HostileBatch, TimestampsThatOverflowAreRefused) {
  const auto with = [](std::int64_t base, std::int64_t delta) {
    const auto bytes = batch_of({{{delta, 0, kNull, kNull, 0}}}, base);
    EXPECT_EQ(read_all(*RecordBatchView::parse(bytes)), 1);
    return verdict(bytes);
  };
  EXPECT_EQ(with(INT64_MAX, 0), ErrorCode::kOk);
  EXPECT_EQ(with(INT64_MAX, 1), ErrorCode::kInvalidBatch);
  EXPECT_EQ(with(-2, INT64_MIN), ErrorCode::kInvalidBatch);
  EXPECT_EQ(with(-1, INT64_MAX), ErrorCode::kOk);
}

// ---- random damage ----

TEST(HostileBatch, DamagedBatchesAreReadWithinTheirBytes) {
  Random random(7);
  for (int round = 0; round < 6'000; ++round) {
    auto bytes = sample_batch(random, 3);
    for (std::uint64_t n = random.below(4) + 1; n > 0; --n)
      bytes[kMagic + 1 + random.below(bytes.size() - kMagic - 1)] =
          static_cast<std::byte>(random.next());
    bytes.shrink_to_fit();
    const auto damaged = RecordBatchView::parse(bytes);
    ASSERT_TRUE(damaged);
    static_cast<void>(damaged->last_offset());
    EXPECT_LE(read_all(*damaged), std::max(damaged->record_count(), 0));
    reseal(bytes);
    if (damaged->validate()) {
      EXPECT_EQ(read_all(*damaged), damaged->record_count());
    }
  }
}

TEST(HostileBatch, RandomBytesAreReadWithinTheirBytes) {
  Random random(8);
  for (int round = 0; round < 2'000; ++round) {
    std::vector<std::byte> bytes(kHeaderBytes + random.below(200));
    for (std::byte& b : bytes) b = static_cast<std::byte>(random.next());
    static_cast<void>(verdict(bytes));
    store_be<std::int8_t>(&bytes[kMagic], 2);
    store_be(&bytes[kBatchLength], static_cast<std::int32_t>(bytes.size() - kLengthPrefixBytes));
    store_be(&bytes[kAttributes], std::int16_t{0});
    store_be(&bytes[kRecordCount], INT32_MAX);
    const auto batch = RecordBatchView::parse(bytes);
    ASSERT_TRUE(batch);
    EXPECT_EQ(batch->validate().error().code, ErrorCode::kCorruptBatch);
    EXPECT_LT(read_all(*batch), static_cast<std::int64_t>(bytes.size()));
  }
}

}  // namespace
}  // namespace leat
