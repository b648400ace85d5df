// Which reply answers which request, and for how long one waits; and what a reply looks like.
#include "client/request_reply/requester_logic.h"

#include <gtest/gtest.h>

#include "client/requester.h"
#include "protocol/record_batch.h"
#include "protocol/reserved_headers.h"

namespace leat {
namespace {

using namespace std::chrono_literals;
namespace names = reserved_headers;

constexpr MonotonicTime kStart{};

// A record with headers, as a consumer gives it.
class Given {
 public:
  explicit Given(const std::vector<RecordHeader>& headers) : batch_(encoded(headers)) {
    reader_.emplace(RecordReader::open(*RecordBatchView::parse(batch_), 1 << 20).value());
    record.headers = (*reader_->begin()).headers;
  }
  ConsumedRecord record;

 private:
  static std::vector<std::byte> encoded(const std::vector<RecordHeader>& headers) {
    RecordBatchBuilder builder;
    builder.append({{}, as_bytes("value"), headers}, 1);
    return builder.take();
  }
  std::vector<std::byte> batch_;
  std::optional<RecordReader> reader_;
};

class RequesterLogicTest : public ::testing::Test {
 protected:
  void add(RequesterLogic::Number number, MonotonicTime now = kStart) {
    logic.add(
        number, {"quotes", OwnedRecord({.value = as_bytes("how much?")})},
        [](const Result<SharedRecord>&) {}, now);
  }
  bool answered(std::string_view id) {
    const Given reply({{names::kCorrelationId, as_bytes(id)}});
    return static_cast<bool>(logic.answered(reply.record));
  }
  RequesterLogic logic{"me", 1s};
};

TEST_F(RequesterLogicTest, AReplyFindsItsRequestOnce) {
  add(1);
  add(2);
  EXPECT_EQ(logic.correlation_id(2), "me-2");
  EXPECT_TRUE(answered("me-2"));
  EXPECT_FALSE(answered("me-2"));
  EXPECT_TRUE(answered("me-1"));
  EXPECT_FALSE(logic.next_deadline());
}

TEST_F(RequesterLogicTest, WhatIsNotItsOwnAnswersNothing) {
  add(1);
  for (const char* id : {"you-1", "me-2", "me-", "me", "", "1", "me-1x", "me- 1", "me--1",
                         "me-18446744073709551617"})
    EXPECT_FALSE(answered(id)) << id;
  EXPECT_FALSE(logic.answered(Given({}).record));
  EXPECT_FALSE(logic.answered(Given({{names::kCorrelationId, std::nullopt}}).record));
  EXPECT_TRUE(answered("me-1"));
}

TEST_F(RequesterLogicTest, TheOldestExpireFirstAndSayWhoDidNotAnswer) {
  add(7, kStart);
  add(3, kStart + 10ms);
  add(5, kStart + 20ms);
  EXPECT_TRUE(logic.take_unsent(3));
  std::vector<RequesterLogic::Outcome> outcomes;
  logic.expire(kStart + 999ms, outcomes);
  EXPECT_TRUE(outcomes.empty());
  EXPECT_EQ(logic.next_deadline(), kStart + 1s);
  logic.expire(kStart + 1'010ms, outcomes);
  ASSERT_EQ(outcomes.size(), 2u);
  EXPECT_EQ(outcomes[0].error, ErrorCode::kTimedOut);
  EXPECT_NE(outcomes[0].error.detail.find("nothing was sent to 'quotes'"), std::string::npos);
  EXPECT_EQ(outcomes[1].error.detail, "no reply from 'quotes' within 1000 ms");
  EXPECT_EQ(logic.next_deadline(), kStart + 1'020ms);
  EXPECT_FALSE(answered("me-3"));
  EXPECT_TRUE(answered("me-5"));
}

TEST_F(RequesterLogicTest, EachIsSentOnceInOrderUnlessItIsGone) {
  for (const RequesterLogic::Number number : {1, 2, 3}) add(number);
  EXPECT_TRUE(logic.take(2));
  EXPECT_EQ(logic.unsent(), (std::vector<RequesterLogic::Number>{1, 3}));
  const auto request = logic.take_unsent(1);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->topic, "quotes");
  EXPECT_EQ(as_text(*request->record.borrow().value), "how much?");
  EXPECT_FALSE(logic.take_unsent(1));
  EXPECT_FALSE(logic.take_unsent(2));
  EXPECT_EQ(logic.unsent(), (std::vector<RequesterLogic::Number>{3}));
}

TEST_F(RequesterLogicTest, AllFailTogether) {
  for (const RequesterLogic::Number number : {1, 2, 3}) add(number);
  std::vector<RequesterLogic::Outcome> outcomes;
  logic.fail_all({ErrorCode::kClosed, "why"}, outcomes);
  ASSERT_EQ(outcomes.size(), 3u);
  for (const auto& outcome : outcomes) EXPECT_EQ(outcome.error.detail, "why");
  EXPECT_TRUE(logic.unsent().empty());
}

// ---- replies ----

Result<Record> reply_to(const char* topic, const char* partition, const char* id) {
  std::vector<RecordHeader> headers{{"mine", as_bytes("x")}};
  if (topic) headers.push_back({names::kReplyTo, as_bytes(topic)});
  if (partition) headers.push_back({names::kReplyPartition, as_bytes(partition)});
  if (id) headers.push_back({names::kCorrelationId, as_bytes(id)});
  return make_reply(Given(headers).record, {});
}

TEST(MakeReply, GoesWhereTheRequestWantsIt) {
  const Given request({{names::kReplyTo, as_bytes("replies")},
                       {names::kReplyPartition, as_bytes("3")},
                       {names::kCorrelationId, as_bytes("me-1")}});
  const OutgoingRecord answer{.key = as_bytes("k"),
                              .value = as_bytes("v"),
                              .headers = {{"status", as_bytes("ok")}},
                              .partition = PartitionIndex(9)};
  const auto reply = make_reply(request.record, answer);
  ASSERT_TRUE(reply) << reply.error().message();
  EXPECT_EQ(reply->topic.name, "replies");
  EXPECT_EQ(reply->partition, PartitionIndex(3));
  EXPECT_EQ(as_text(*reply->key), "k");
  EXPECT_EQ(as_text(*reply->value), "v");
  ASSERT_EQ(reply->headers.size(), 2u);
  EXPECT_EQ(reply->headers[0].key, names::kCorrelationId);
  EXPECT_EQ(as_text(*reply->headers[0].value), "me-1");
  EXPECT_EQ(reply->headers[1].key, "status");
}

TEST(MakeReply, WhatAsksForNoneGetsNone) {
  EXPECT_TRUE(reply_to("replies", "0", "me-1"));
  EXPECT_EQ(reply_to(nullptr, "0", "me-1").error(), ErrorCode::kInvalidRequest);
  EXPECT_EQ(reply_to("replies", nullptr, "me-1").error(), ErrorCode::kInvalidRequest);
  EXPECT_EQ(reply_to("replies", "0", nullptr).error(), ErrorCode::kInvalidRequest);
  EXPECT_EQ(reply_to("re/plies", "0", "me-1").error(), ErrorCode::kInvalidRequest);
  EXPECT_EQ(reply_to("", "0", "me-1").error(), ErrorCode::kInvalidRequest);
  for (const char* partition : {"", "x", "1x", " 1", "99999999999"})
    EXPECT_EQ(reply_to("replies", partition, "me-1").error(), ErrorCode::kInvalidRequest);
}

}  // namespace
}  // namespace leat
