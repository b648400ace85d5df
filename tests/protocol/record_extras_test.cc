#include "protocol/record_extras.h"

#include <gtest/gtest.h>

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
  const auto read = extras_of({written.headers().begin(), written.headers().end()});
  ASSERT_TRUE(read);
  EXPECT_EQ(as_text(*read->id), "7");
  EXPECT_EQ(as_text(*read->redriven), "dlq/0/3");
  EXPECT_EQ(read->deliver_at_ms, 0);
  EXPECT_EQ(read->expires_at_ms, kMaxHeaderTimeMs);
  EXPECT_TRUE(ExtraHeaders({}).headers().empty());
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
