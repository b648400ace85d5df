// What ties messages together: read from headers, handed on, put into what is sent.
#include "client/context/message_context.h"

#include <gtest/gtest.h>

#include "client/context/sending.h"
#include "protocol/record_batch.h"
#include "protocol/record_extras.h"
#include "protocol/reserved_headers.h"
#include "tests/temporary_directory.h"

namespace leat {
namespace {
namespace names = reserved_headers;

constexpr std::string_view kParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
struct Header {
  std::string_view name;
  std::optional<std::string_view> value;
};
using Headers = std::vector<Header>;

// A record with headers as they lie in a batch, which it keeps.
class Given {
 public:
  explicit Given(const Headers& headers) {
    std::vector<RecordHeader> given;
    for (const auto& [name, value] : headers)
      given.push_back({name, value ? std::optional(as_bytes(*value)) : std::nullopt});
    RecordBatchBuilder builder;
    builder.append({.headers = given}, 1);
    batch_ = builder.take();
    reader_.emplace(RecordReader::open(*RecordBatchView::parse(batch_)).value());
    record.headers = (*reader_->begin()).headers;
    record.topic = "orders";
    record.partition = PartitionIndex(3);
    record.offset = Offset(42);
  }
  ConsumedRecord record;

 private:
  std::vector<std::byte> batch_;
  std::optional<RecordReader> reader_;
};

MessageContext context_in(const Headers& headers) {
  return MessageContext::from_record(Given(headers).record);
}

TEST(MessageContext, IsReadFromHeaders) {
  const auto context = context_in({{"other", "x"},
                                   {names::kCorrelationId, "flow"},
                                   {names::kCausationId, "cause"},
                                   {names::kTraceParent, kParent},
                                   {names::kTraceState, "a=1"}});
  EXPECT_EQ(context.correlation_id, "flow");
  EXPECT_EQ(context.causation_id, "cause");
  ASSERT_TRUE(context.trace);
  EXPECT_EQ(format_traceparent(*context.trace), kParent);
  EXPECT_EQ(context.trace_state, "a=1");
  EXPECT_FALSE(context.empty());
  EXPECT_TRUE(context_in({}).empty());
  EXPECT_TRUE(context_in({{"other", "x"}}).empty());
}

TEST(MessageContext, TheFirstOfANameCountsAndAFlowsIdBeforeARequests) {
  EXPECT_EQ(context_in({{names::kCorrelationId, "1"}, {names::kCorrelationId, "2"}}).correlation_id,
            "1");
  EXPECT_EQ(context_in({{names::kCorrelationId, "me-1"}, {names::kFlowId, "flow"}}).correlation_id,
            "flow");
}

TEST(MessageContext, WhatIsMalformedIsAsIfItWereNotThere) {
  const std::string long_id(kMaxCorrelationBytes + 1, 'x');
  EXPECT_TRUE(context_in({{names::kCorrelationId, long_id},
                          {names::kCausationId, std::nullopt},
                          {names::kFlowId, ""},
                          {names::kTraceParent, "00-nonsense"},
                          {names::kTraceState, "a=1"}})
                  .empty());
  // A state that is none takes nothing with it.
  const auto context = context_in({{names::kTraceParent, kParent}, {names::kTraceState, "A"}});
  EXPECT_TRUE(context.trace);
  EXPECT_EQ(context.trace_state, "");
}

TEST(MessageContext, AChildKeepsTheFlowAndIsCausedByTheRecord) {
  const Given first(Headers{{names::kId, "order-7"}});
  const auto begun = MessageContext::child_of(first.record);
  EXPECT_EQ(begun.correlation_id, "order-7");  // the flow begins with it
  EXPECT_EQ(begun.causation_id, "order-7");
  EXPECT_FALSE(begun.trace);
  const Given second(Headers{{names::kCorrelationId, "order-7"}, {names::kTraceParent, kParent}});
  const auto child = MessageContext::child_of(second.record);
  EXPECT_EQ(child.correlation_id, "order-7");
  EXPECT_EQ(child.causation_id, "orders/3/42");
  EXPECT_EQ(format_traceparent(*child.trace), kParent);
}

TEST(MessageContext, NoIdIsLongerThanAHeaderTakes) {
  Given given(Headers{});
  const std::string topic(249, 't');
  given.record.topic = topic;
  given.record.partition = PartitionIndex(2'147'483'647);
  given.record.offset = Offset(9'223'372'036'854'775'807);
  EXPECT_EQ(causation_id_of(given.record).size(), kMaxCorrelationBytes);
  EXPECT_TRUE(causation_id_of(given.record).ends_with("/2147483647/9223372036854775807"));
}

TEST(MessageContext, ReadsTheHeadersItMakes) {
  MessageContext context{"flow", "cause", *parse_traceparent(kParent), "a=1"};
  const auto headers = context.to_headers();
  EXPECT_EQ(headers, (std::vector<OwnedHeader>{{"leat-correlation-id", "flow"},
                                               {"leat-causation-id", "cause"},
                                               {"traceparent", std::string(kParent)},
                                               {"tracestate", "a=1"}}));
  Headers given;
  for (const OwnedHeader& header : headers) given.push_back({header.name, header.value});
  EXPECT_EQ(context_in(given).to_headers(), headers);
  EXPECT_TRUE(MessageContext().to_headers().empty());
}

// ---- scopes ----

TEST(MessageScope, IsTheThreadsInnermost) {
  EXPECT_FALSE(MessageScope::current());
  const MessageScope outer(std::make_shared<MessageContext>(MessageContext::begin("outer")));
  EXPECT_EQ(MessageScope::current()->correlation_id, "outer");
  {
    const Given given(Headers{{names::kCorrelationId, "inner"}});
    const MessageScope inner(given.record);
    EXPECT_EQ(MessageScope::current()->correlation_id, "inner");
    EXPECT_EQ(MessageScope::current()->causation_id, "orders/3/42");
    EXPECT_EQ(MessageScope::current(), MessageScope::current());  // made once
    const MessageScope nothing(nullptr);
    EXPECT_FALSE(MessageScope::current());
  }
  EXPECT_EQ(MessageScope::current()->correlation_id, "outer");
}

TEST(MessageScope, AHandlersBeginsNoFlow) {
  const Given with(Headers{{names::kCorrelationId, "flow"}}), without(Headers{{"other", "x"}});
  {
    const MessageScope scope(MessageScope::Lazily(), without.record, nullptr);
    EXPECT_FALSE(MessageScope::current());
  }
  {
    const MessageScope scope(MessageScope::Lazily(), with.record, nullptr);
    EXPECT_EQ(MessageScope::current()->correlation_id, "flow");
  }
  const MessageScope asked_for(without.record);
  EXPECT_EQ(MessageScope::current()->correlation_id, "orders/3/42");
}

// ---- what is sent ----

// All headers, in the order in which they are found, as NAME=VALUE.
std::vector<std::string> sent(const OutgoingRecord& record, std::shared_ptr<Tracer> tracer = {},
                              const RecordHeaders& own = {}) {
  const auto sending = Sending::make(std::move(tracer), "orders", record, own);
  if (!sending) return {sending.error().message()};
  RecordBatchBuilder builder;
  builder.append({.headers = sending->record().headers, .first_headers = sending->own()}, 1);
  const auto batch = builder.take();
  EXPECT_TRUE(RecordBatchView::parse(batch)->validate(1 << 20));
  const auto reader = RecordReader::open(*RecordBatchView::parse(batch)).value();
  std::vector<std::string> all;
  const RecordView first = *reader.begin();
  for (const RecordHeader& header : first.headers)
    all.push_back(std::string(header.key) + "=" + std::string(as_text(*header.value)));
  return all;
}

std::shared_ptr<const MessageContext> context(std::string correlation) {
  return std::make_shared<MessageContext>(
      MessageContext{std::move(correlation), "cause", *parse_traceparent(kParent), "a=1"});
}

TEST(Sending, IsNeededOnlyWhereThereIsSomethingToAdd) {
  EXPECT_FALSE(Sending::needed(nullptr, {}));
  EXPECT_TRUE(Sending::needed(nullptr, {.context = context("flow")}));
  const MessageScope scope(context("flow"));
  EXPECT_TRUE(Sending::needed(nullptr, {}));
}

TEST(Sending, PutsTheContextIntoHeadersBehindWhatGoesInFront) {
  RecordExtras extras;
  extras.id = as_bytes("order-7");
  const ExtraHeaders own(extras);
  const OutgoingRecord record{.headers = {{"mine", as_bytes("x")}}, .context = context("flow")};
  const std::string trace = "traceparent=" + std::string(kParent);
  EXPECT_EQ(
      sent(record, nullptr, own.headers()),
      (std::vector<std::string>{"leat-id=order-7", "leat-correlation-id=flow",
                                "leat-causation-id=cause", trace, "tracestate=a=1", "mine=x"}));
}

TEST(Sending, ARecordsOwnContextComesBeforeTheScopes) {
  const MessageScope scope(context("scope"));
  EXPECT_EQ(sent({}).front(), "leat-correlation-id=scope");
  EXPECT_EQ(sent({.context = context("record")}).front(), "leat-correlation-id=record");
  EXPECT_TRUE(sent({.context = std::make_shared<MessageContext>()}).empty());
}

TEST(Sending, WhatTheApplicationSetStands) {
  const OutgoingRecord record{.headers = {{names::kCorrelationId, as_bytes("me-1")},
                                          {names::kTraceParent, as_bytes(kParent)}},
                              .context = context("flow")};
  EXPECT_EQ(sent(record),
            (std::vector<std::string>{"leat-causation-id=cause", "leat-correlation-id=me-1",
                                      "traceparent=" + std::string(kParent)}));
}

TEST(Sending, ASpanTakesThePlaceOfItsParentInTheHeaders) {
  const test::TemporaryDirectory directory;
  const auto tracer = Tracer::open({.endpoint = "file://" + directory / "spans"}, "tests").value();
  const OutgoingRecord record{
      .headers = {{names::kTraceParent, as_bytes(kParent)}, {names::kTraceState, as_bytes("b=2")}}};
  const auto headers = sent(record, tracer);
  ASSERT_EQ(headers.size(), 2u);
  const auto own = parse_traceparent(std::string_view(headers[0]).substr(12));
  ASSERT_TRUE(own) << headers[0];
  EXPECT_EQ(own->trace, parse_traceparent(kParent)->trace);
  EXPECT_NE(own->span, parse_traceparent(kParent)->span);
  EXPECT_EQ(headers[1], "tracestate=b=2");
  EXPECT_EQ(sent({}, tracer).size(), 1u);  // the first of a trace
}

TEST(Sending, IdsHaveALimitThatItNames) {
  const auto refused = sent({.context = context(std::string(256, 'x'))});
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_NE(refused[0].find("a correlation id of 256 bytes; use at most 255"), std::string::npos);
}

TEST(Sending, GivesTheHandlerBackWhenNothingWasSent) {
  const test::TemporaryDirectory directory;
  const auto tracer = Tracer::open({.endpoint = "file://" + directory / "spans"}, "tests").value();
  auto sending = Sending::make(tracer, "orders", {}, {}).value();
  int called = 0;
  Completion<Ack> handler = [&](const Result<Ack>&) { ++called; };
  {
    const Completion<Ack> traced = sending.traced(handler);
    EXPECT_FALSE(handler);
  }
  sending.give_back(handler, ErrorCode::kQueueFull);
  ASSERT_TRUE(handler);
  EXPECT_EQ(called, 0);
  handler(Ack());
  EXPECT_EQ(called, 1);
}

}  // namespace
}  // namespace leat
