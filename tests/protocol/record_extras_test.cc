#include "protocol/record_extras.h"

#include <limits>

#include <gtest/gtest.h>

#include "protocol/base/crc32c.h"
#include "protocol/base/random.h"
#include "protocol/record_batch.h"
#include "protocol/reserved_headers.h"

namespace leat {
namespace {

using Headers = std::vector<RecordHeader>;

RecordHeader header(std::string_view key, std::string_view value) {
  return {key, as_bytes(value)};
}

Result<RecordExtras> extras_of(const Headers& headers) {
  static std::vector<std::byte> batch;  // the extras borrow it
  RecordBatchBuilder builder;
  builder.append({.value = as_bytes("v"), .headers = headers}, 1);
  batch = builder.take();
  return read_extras((*RecordBatchView::parse(batch)->begin()).headers);
}

std::string refusal(const Headers& headers) {
  const auto extras = extras_of(headers);
  return extras ? "" : extras.error().detail;
}

TEST(RecordExtras, AreWhatTheReservedHeadersSay) {
  const auto extras =
      extras_of({header("trace", "x"), header("leat-id", "order-7"),
                 header("leat-deliver-at", "1700000000000"), header("leat-expires-at", "0"),
                 header("leat-redriven", "dlq/0/3"), header("leat-unknown", "")});
  ASSERT_TRUE(extras);
  EXPECT_EQ(as_text(*extras->id), "order-7");
  EXPECT_EQ(as_text(*extras->redriven), "dlq/0/3");
  EXPECT_EQ(extras->deliver_at_ms, 1'700'000'000'000);
  EXPECT_EQ(extras->expires_at_ms, 0);
  EXPECT_TRUE(extras->timed());
}

TEST(RecordExtras, ARecordMayHaveNone) {
  const auto extras = extras_of({header("leat-deliver-atx", "soon"), header("x-leat-id", "")});
  ASSERT_TRUE(extras);
  EXPECT_FALSE(extras->id || extras->redriven || extras->timed());
}

TEST(RecordExtras, OfANameThatStandsTwiceTheFirstCounts) {
  const auto extras = extras_of({header("leat-id", "a"), header("leat-id", "b"),
                                 header("leat-expires-at", "5"), header("leat-expires-at", "6")});
  ASSERT_TRUE(extras);
  EXPECT_EQ(as_text(*extras->id), "a");
  EXPECT_EQ(extras->expires_at_ms, 5);
}

TEST(RecordExtras, ADeadLetterHasNoTimes) {
  const auto extras = extras_of({header("leat-expires-at", "5"), header("leat-id", "a"),
                                 header("leat-dead-reason", "expired")});
  ASSERT_TRUE(extras);
  EXPECT_FALSE(extras->timed());
  EXPECT_TRUE(extras->id);
}

TEST(RecordExtras, AreWrittenAsTheyAreRead) {
  const RecordExtras extras{.id = as_bytes("7"),
                            .redriven = as_bytes(std::string_view("dlq/0/3")),
                            .deliver_at_ms = 0,
                            .expires_at_ms = kMaxHeaderTimeMs};
  const ExtraHeaders written(extras);
  ASSERT_EQ(written.headers().size(), 4u);
  const auto read = read_extras(written.headers());
  ASSERT_TRUE(read);
  EXPECT_EQ(as_text(*read->id), "7");
  EXPECT_EQ(as_text(*read->redriven), "dlq/0/3");
  EXPECT_EQ(read->deliver_at_ms, 0);
  EXPECT_EQ(read->expires_at_ms, kMaxHeaderTimeMs);
  EXPECT_TRUE(ExtraHeaders({}).headers().empty());
}

TEST(RecordExtras, TheLongestFit) {
  const std::string id(kMaxIdBytes, 'i'), redriven(kMaxRedrivenBytes, 'r');
  constexpr std::int64_t kLongest = std::numeric_limits<std::int64_t>::min();
  const ExtraHeaders written({as_bytes(id), as_bytes(redriven), kLongest, kLongest});
  std::vector<std::string> values;
  for (const RecordHeader& header : written.headers()) values.emplace_back(as_text(*header.value));
  const std::string time = std::to_string(kLongest);
  EXPECT_EQ(values, (std::vector<std::string>{id, redriven, time, time}));
}

TEST(RecordExtras, StandInFrontOfARecordsOtherHeaders) {
  const ExtraHeaders own({.id = as_bytes("mine"), .deliver_at_ms = 7});
  const RecordHeader others[] = {header("leat-id", "another"), header("trace", "x")};
  RecordBatchBuilder builder;
  const RecordData data{{}, as_bytes("v"), others, own.headers()};
  builder.append(data, 1);
  EXPECT_LE(builder.size(), batch_layout::kHeaderBytes + RecordBatchBuilder::max_record_size(data));
  const auto bytes = builder.take();
  const auto batch = RecordBatchView::parse(bytes);
  ASSERT_TRUE(batch && batch->validate());
  std::vector<std::string_view> names;
  const RecordHeaders headers = batch->begin()->headers;
  for (const RecordHeader& each : headers) names.push_back(each.key);
  EXPECT_EQ(names,
            (std::vector<std::string_view>{"leat-id", "leat-deliver-at", "leat-id", "trace"}));
  EXPECT_EQ(as_text(*read_extras(headers)->id), "mine");
}

// ---- as a batch is validated ----

using Told = std::vector<std::pair<std::int64_t, std::string>>;  // what of which record

std::string told_of(const RecordHeaders& headers) {
  const auto extras = read_extras(headers);
  if (!extras) return extras.error().detail;
  std::string told = extras->id ? "id " + std::string(as_text(*extras->id)) : "no id";
  if (extras->deliver_at_ms) told += ", from " + std::to_string(*extras->deliver_at_ms);
  if (extras->expires_at_ms) told += ", until " + std::to_string(*extras->expires_at_ms);
  return told;
}

std::vector<RecordHeader> random_headers(Random& random) {
  static const RecordHeader kSome[] = {
      header("leat-id", "a"),          header("leat-id", ""),
      header("leat-deliver-at", "17"), header("leat-deliver-at", "soon"),
      header("leat-expires-at", "18"), header("leat-dead-reason", "x"),
      header("trace", "12"),           {"leat-expires-at", std::nullopt}};
  std::vector<RecordHeader> headers(random.below(4));
  for (RecordHeader& each : headers) each = kSome[random.below(std::size(kSome))];
  return headers;
}

TEST(RecordExtras, TheHeadersShownAreThoseOfEachRecordThatHasSome) {
  Random random(21);
  for (int round = 0; round < 400; ++round) {
    RecordBatchBuilder builder;
    for (std::uint64_t n = random.below(30) + 1; n > 0; --n) {
      const std::string value(random.below(100), 'v');
      builder.append({.value = as_bytes(value), .headers = random_headers(random)}, 1);
    }
    const auto bytes = builder.take(static_cast<Compression>(random.below(5)));
    const auto batch = RecordBatchView::parse(bytes);
    Told shown, read;
    const auto visit = [&](std::int32_t delta, const RecordHeaders& headers) {
      shown.emplace_back(delta, told_of(headers));
    };
    ASSERT_TRUE(batch->validate(kMaxDecompressedBytes, false, visit));
    const auto reader = RecordReader::open(*batch);
    for (const RecordView& record : *reader)
      if (!record.headers.empty()) read.emplace_back(record.offset.value, told_of(record.headers));
    EXPECT_EQ(shown, read);
  }
}

TEST(RecordExtras, OfABatchThatLiesIntactHeadersAreShown) {
  Random random(22);
  for (int round = 0; round < 4'000; ++round) {
    RecordBatchBuilder builder;
    for (int i = 0; i < 5; ++i)
      builder.append({.value = as_bytes("v"), .headers = random_headers(random)}, 1);
    auto bytes = builder.take();
    const std::size_t records = bytes.size() - batch_layout::kHeaderBytes;
    for (std::uint64_t n = random.below(3) + 1; n > 0; --n)
      bytes[batch_layout::kHeaderBytes + random.below(records)] =
          static_cast<std::byte>(random.next());
    bytes.shrink_to_fit();  // the sanitizers watch its end
    store_be(&bytes[batch_layout::kCrc], crc32c(Bytes(bytes).subspan(batch_layout::kAttributes)));
    std::int32_t last = -1;
    const auto visit = [&](std::int32_t delta, const RecordHeaders& headers) {
      EXPECT_TRUE(last < delta && delta < 5) << delta;
      last = delta;
      std::size_t whole = 0;
      for ([[maybe_unused]] const RecordHeader& each : headers) ++whole;
      EXPECT_EQ(whole, headers.size());
      told_of(headers);
    };
    static_cast<void>(RecordBatchView::parse(bytes)->validate(kMaxDecompressedBytes, false, visit));
  }
}

TEST(RecordExtras, WhatIsWrongIsNamed) {
  EXPECT_EQ(refusal({header("leat-deliver-at", "tomorrow")}),
            "header leat-deliver-at is 'tomorrow'; use milliseconds since 1970, in decimal");
  for (const char* wrong :
       {"", "-1", "+5", " 5", "5 ", "1.5", "0x10", "999999999999999", "99999999999999999999999"})
    EXPECT_NE(refusal({header("leat-expires-at", wrong)}), "") << wrong;
  EXPECT_NE(refusal({{"leat-deliver-at", std::nullopt}}), "");
  EXPECT_EQ(refusal({header("leat-id", "")}), "header leat-id is ''; use 1 to 255 bytes");
  EXPECT_NE(refusal({header("leat-id", std::string(256, 'x'))}), "");
  EXPECT_EQ(refusal({header("leat-id", std::string(255, 'x'))}), "");
  EXPECT_NE(refusal({{"leat-id", std::nullopt}}), "");
  // The longest name of a topic, with any partition and offset.
  const std::string place = std::string(249, 't') + "/1023/9223372036854775807";
  EXPECT_EQ(refusal({header("leat-redriven", place)}), "");
  EXPECT_EQ(refusal({header("leat-deliver-at", "\x01\xff")}),
            "header leat-deliver-at is '\?\?'; use milliseconds since 1970, in decimal");
}

}  // namespace
}  // namespace leat
