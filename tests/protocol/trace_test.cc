// W3C Trace Context, and spans as OTLP has them in JSON.
#include <set>

#include <gtest/gtest.h>

#include "protocol/trace/otlp_json.h"
#include "protocol/trace/trace_context.h"

namespace leat {
namespace {

constexpr std::string_view kParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

std::string with(std::size_t at, char c) {
  std::string text(kParent);
  text[at] = c;
  return text;
}

TEST(TraceParent, ReadsWhatItWrites) {
  const auto context = parse_traceparent(kParent);
  ASSERT_TRUE(context);
  EXPECT_EQ(context->trace, (TraceId{0x0af7651916cd43dd, 0x8448eb211c80319c}));
  EXPECT_EQ(context->span, SpanId{0xb7ad6b7169203331});
  EXPECT_TRUE(context->sampled());
  EXPECT_EQ(format_traceparent(*context), kParent);
  EXPECT_EQ(hex(context->trace), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(hex(context->span), "b7ad6b7169203331");
  EXPECT_FALSE(parse_traceparent(with(54, '0'))->sampled());
  // Of the flags what is known.
  EXPECT_EQ(parse_traceparent(with(53, 'f'))->flags, 1);
  EXPECT_EQ(format_traceparent(*parse_traceparent(with(54, '3'))), with(54, '3'));
}

TEST(TraceParent, OfALaterVersionItsBeginningCounts) {
  const std::string later = "cc" + std::string(kParent.substr(2));
  EXPECT_EQ(parse_traceparent(later), parse_traceparent(kParent));
  EXPECT_EQ(parse_traceparent(later + "-what-comes"), parse_traceparent(kParent));
  EXPECT_FALSE(parse_traceparent(later + ".what-comes"));
  EXPECT_FALSE(parse_traceparent("ff" + std::string(kParent.substr(2))));
}

TEST(TraceParent, AnythingElseIsNone) {
  EXPECT_FALSE(parse_traceparent(""));
  EXPECT_FALSE(parse_traceparent(std::string(kParent) + "-x"));
  EXPECT_FALSE(parse_traceparent(std::string(kParent) + "0"));
  for (std::size_t size = 0; size < kParent.size(); ++size)
    EXPECT_FALSE(parse_traceparent(kParent.substr(0, size))) << size;
  // Every character that does not belong, everywhere: upper case, signs, blanks, what is no text.
  for (std::size_t at = 0; at < kParent.size(); ++at)
    for (const char c : {'A', 'g', ' ', '+', 'x', '\0', '\xff', '\n'})
      EXPECT_FALSE(parse_traceparent(with(at, c))) << at << " " << c;
  EXPECT_FALSE(parse_traceparent("00-00000000000000000000000000000000-b7ad6b7169203331-01"));
  EXPECT_FALSE(parse_traceparent("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"));
}

TEST(TraceState, IsAListOfMembers) {
  for (const char* good : {"a=1", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "a=1 , b=2",
                           "a=1,,b=2", "fw529a3039@dt=x", "a_-*/=!~ x"})
    EXPECT_TRUE(valid_tracestate(good)) << good;
  for (const char* bad :
       {"", ",", "a", "=1", "a=", "A=1", "a=1=2", "a=1,a=2", "a=\xc3\xa4", "a=\n"})
    EXPECT_FALSE(valid_tracestate(bad)) << bad;
  std::string many;
  for (int i = 0; i < 32; ++i) many += "k" + std::to_string(i) + "=v,";
  EXPECT_TRUE(valid_tracestate(many));
  EXPECT_FALSE(valid_tracestate(many + "k32=v"));
  EXPECT_FALSE(valid_tracestate("a=" + std::string(257, 'v')));
  EXPECT_FALSE(valid_tracestate(std::string(kMaxTraceStateBytes + 1, ',')));
}

TEST(TraceIds, AreNeverNoneAndFollowTheSeeds) {
  TraceIds ids(Random(1), Random(2)), same(Random(1), Random(2));
  std::set<std::string> seen;
  for (int i = 0; i < 1'000; ++i) {
    const TraceId trace = ids.trace();
    const SpanId span = ids.span();
    EXPECT_EQ(trace, same.trace());
    EXPECT_EQ(span, same.span());
    EXPECT_TRUE(trace);
    EXPECT_TRUE(span);
    EXPECT_TRUE(seen.insert(hex(trace)).second);
    EXPECT_TRUE(seen.insert(hex(span)).second);
  }
}

TEST(Otlp, HasTheShapeOfTheSpecification) {
  TraceSpan span;
  span.name = "send orders";
  span.kind = SpanKind::kProducer;
  span.context = *parse_traceparent(kParent);
  span.parent = {1};
  span.trace_state = "a=1";
  span.start_ns = 1'544'712'660'000'000'001;
  span.end_ns = 1'544'712'661'000'000'002;
  span.add("messaging.system", "leat");
  span.add("messaging.leat.offset", std::int64_t{9'007'199'254'740'993});
  span.links.push_back(*parse_traceparent(kParent));
  span.error = "timed out";
  EXPECT_EQ(
      encode_otlp({&span, 1}, "shop"),
      R"({"resourceSpans":[{"resource":{"attributes":[)"
      R"({"key":"service.name","value":{"stringValue":"shop"}},)"
      R"({"key":"telemetry.sdk.name","value":{"stringValue":"leat"}},)"
      R"({"key":"telemetry.sdk.language","value":{"stringValue":"cpp"}}]},)"
      R"("scopeSpans":[{"scope":{"name":"leat"},"spans":[)"
      R"({"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331",)"
      R"("traceState":"a=1","parentSpanId":"0000000000000001","flags":1,)"
      R"("name":"send orders","kind":4,)"
      R"("startTimeUnixNano":"1544712660000000001","endTimeUnixNano":"1544712661000000002",)"
      R"("attributes":[{"key":"messaging.system","value":{"stringValue":"leat"}},)"
      R"({"key":"messaging.leat.offset","value":{"intValue":"9007199254740993"}}],)"
      R"("links":[{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331"}],)"
      R"("status":{"code":2,"message":"timed out"}}]}]}]})");
}

TEST(Otlp, ARootHasNoParentAndWhatWentWellNoStatus) {
  TraceSpan span;
  span.context = *parse_traceparent(kParent);
  span.start_ns = 5;
  span.end_ns = 4;  // never before it began
  const std::string json = encode_otlp({&span, 1}, "shop");
  for (const char* absent : {"parentSpanId", "traceState", "status", "links"})
    EXPECT_EQ(json.find(absent), std::string::npos) << absent;
  EXPECT_NE(json.find(R"("endTimeUnixNano":"5")"), std::string::npos);
}

std::string json_of(std::string_view text) {
  std::string json;
  append_json_string(json, text);
  return json;
}

TEST(Otlp, EveryTextIsJson) {
  EXPECT_EQ(json_of("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(json_of(std::string_view("\0\n\x1f\x7f", 4)), R"("\u0000\u000a\u001f\u007f")");
  EXPECT_EQ(json_of("grün 水 😀"), "\"grün 水 😀\"");
  // What is no UTF-8: cut off, overlong, a surrogate, beyond the last character, a lone byte.
  for (const char* bad : {"\xc3", "\xe6\xb0", "\xf0\x9f\x98", "\xc0\xaf", "\xe0\x80\xaf",
                          "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80", "\xff"}) {
    const std::string json = json_of(std::string("<") + bad + ">");
    EXPECT_EQ(json.substr(0, 2), "\"<");
    EXPECT_EQ(json.substr(json.size() - 2), ">\"");
    std::string inside = json.substr(2, json.size() - 4);
    for (std::size_t at = 0; at < inside.size(); at += 3)
      EXPECT_EQ(inside.substr(at, 3), "\xef\xbf\xbd");
  }
}

}  // namespace
}  // namespace leat
