// Spans on their way to a collector that is well, down, slow, or talks nonsense.
#include "client/tracing/span_exporter.h"

#include <fstream>
#include <future>

#include <gtest/gtest.h>

#include "client/tracing/tracer.h"
#include "tests/temporary_directory.h"
#include "tests/trace_collector.h"

namespace leat {
namespace {

using namespace std::chrono_literals;
using test::TraceCollector;

constexpr auto kHang = 60s;

TraceSpan named(const std::string& name) {
  TraceSpan span;
  span.name = name;
  span.context = {{1, 2}, {3}, TraceContext::kSampled};
  return span;
}

std::unique_ptr<SpanExporter> open(TraceOptions options) {
  options.service_name = "tests";
  auto opened = SpanExporter::open(std::move(options));
  EXPECT_TRUE(opened) << opened.error().message();
  return opened ? std::move(*opened) : nullptr;
}

void add(SpanExporter& exporter, int count) {
  for (int i = 0; i < count; ++i) exporter.add(named("span " + std::to_string(i)));
}

TEST(SpanExporter, PostsWhatAConformingCollectorTakes) {
  TraceCollector collector;
  const auto exporter = open({.endpoint = collector.endpoint(), .interval = kHang});
  add(*exporter, 3);
  ASSERT_TRUE(exporter->flush(kHang));
  const auto requests = collector.requests();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].find("POST /v1/traces HTTP/1.1\r\n"), 0u);
  EXPECT_NE(requests[0].find("\r\nContent-Type: application/json\r\n"), std::string::npos);
  EXPECT_NE(requests[0].find("\r\nHost: 127.0.0.1:"), std::string::npos);
  ASSERT_EQ(collector.spans().size(), 3u);
  EXPECT_EQ(collector.spans()[2].name, "span 2");
  EXPECT_EQ(exporter->stats().exported, 3u);
  EXPECT_EQ(exporter->stats().dropped, 0u);
  EXPECT_EQ(exporter->stats().failures, 0u);
}

TEST(SpanExporter, AFullBatchWaitsForNoCompanyAndCloseSendsTheRest) {
  TraceCollector collector;
  auto exporter = open({.endpoint = collector.endpoint(), .batch_spans = 4, .interval = kHang});
  add(*exporter, 4);
  collector.wait_for_requests(1);
  add(*exporter, 2);
  exporter.reset();
  EXPECT_EQ(collector.spans().size(), 6u);
}

TEST(SpanExporter, TriesAgainWhatMayBeMended) {
  TraceCollector collector([](std::size_t n) {
    return n == 0   ? TraceCollector::status(503)
           : n == 1 ? TraceCollector::status(429)
           : n == 2 ? "garbage\r\n\r\n"
                    : TraceCollector::status(200);
  });
  std::vector<std::string> told;
  const auto exporter = open({.endpoint = collector.endpoint(),
                              .min_backoff = 1ms,
                              .on_failure = [&](const std::string& why) { told.push_back(why); }});
  add(*exporter, 2);
  ASSERT_TRUE(exporter->flush(kHang));
  EXPECT_EQ(collector.requests().size(), 4u);
  EXPECT_EQ(collector.spans().size(), 2u);
  EXPECT_EQ(exporter->stats().exported, 2u);
  EXPECT_EQ(exporter->stats().failures, 3u);
  EXPECT_NE(exporter->stats().last_failure.find("is not HTTP"), std::string::npos);
  ASSERT_EQ(told.size(), 2u);  // once that it fails, once that it is well again
  EXPECT_NE(told[0].find("answers 503"), std::string::npos);
  EXPECT_EQ(told[1], "");
}

TEST(SpanExporter, WhatIsRefusedIsDroppedAndCounted) {
  TraceCollector collector([](std::size_t) { return TraceCollector::status(404); });
  const auto exporter = open({.endpoint = collector.endpoint() + "/wrong"});
  add(*exporter, 5);
  ASSERT_TRUE(exporter->flush(kHang));
  EXPECT_EQ(collector.requests().size(), 1u);
  EXPECT_EQ(collector.requests()[0].find("POST /wrong HTTP/1.1"), 0u);
  EXPECT_EQ(exporter->stats().dropped, 5u);
  EXPECT_NE(exporter->stats().last_failure.find("is its path right?"), std::string::npos);
}

TEST(SpanExporter, ACollectorThatStaysAwayCostsTheBatch) {
  std::string endpoint;
  {
    const TraceCollector gone;
    endpoint = gone.endpoint();
  }
  const auto exporter = open({.endpoint = endpoint, .attempts = 3, .min_backoff = 1ms});
  add(*exporter, 5);
  ASSERT_TRUE(exporter->flush(kHang));
  EXPECT_EQ(exporter->stats().dropped, 5u);
  EXPECT_EQ(exporter->stats().failures, 3u);
  EXPECT_NE(exporter->stats().last_failure.find("Connection refused"), std::string::npos);
}

TEST(SpanExporter, NobodyWaitsForOneThatDoesNotAnswer) {
  TraceCollector collector([](std::size_t) { return std::string(); });
  auto exporter = open({.endpoint = collector.endpoint(),
                        .queue_spans = 10,
                        .batch_spans = 10,
                        .timeout = kHang,
                        .close_timeout = 20ms});
  add(*exporter, 10);
  collector.wait_for_requests(1);  // these are with the collector, which keeps silent
  add(*exporter, 25);
  EXPECT_EQ(exporter->stats().dropped, 15u);
  EXPECT_FALSE(exporter->flush(0ms));
  auto closed = std::async(std::launch::async, [&] { exporter.reset(); });
  ASSERT_EQ(closed.wait_for(kHang / 2), std::future_status::ready) << "close waits for it";
}

TEST(SpanExporter, AnAttemptEndsWithItsTime) {
  TraceCollector collector(
      [](std::size_t n) { return n == 0 ? std::string() : TraceCollector::status(200); });
  const auto exporter =
      open({.endpoint = collector.endpoint(), .timeout = 20ms, .min_backoff = 1ms});
  add(*exporter, 1);
  ASSERT_TRUE(exporter->flush(kHang));
  EXPECT_GE(collector.requests().size(), 2u);
  EXPECT_EQ(exporter->stats().exported + exporter->stats().dropped, 1u);
  EXPECT_GE(exporter->stats().failures, 1u);
}

TEST(SpanExporter, WritesOneDocumentALine) {
  const test::TemporaryDirectory directory;
  const std::string path = directory / "spans";
  for (int round = 0; round < 2; ++round) {
    const auto exporter = open({.endpoint = "file://" + path, .batch_spans = 2});
    add(*exporter, 2);
    ASSERT_TRUE(exporter->flush(kHang));
  }
  std::ifstream file(path);
  std::string line;
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(std::getline(file, line));
    EXPECT_EQ(test::spans_in(line).size(), 2u);
  }
  EXPECT_FALSE(std::getline(file, line));
}

TEST(SpanExporter, AFileThatCannotBeWrittenIsToldAtOnce) {
  const auto opened = SpanExporter::open({.endpoint = "file:///nowhere/at/all"});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error(), ErrorCode::kIoError);
  EXPECT_NE(opened.error().detail.find("/nowhere/at/all"), std::string::npos);
  const auto full = open({.endpoint = "file:///dev/full"});
  add(*full, 3);
  ASSERT_TRUE(full->flush(kHang));
  EXPECT_EQ(full->stats().dropped, 3u);
  EXPECT_NE(full->stats().last_failure.find("No space left"), std::string::npos);
}

TEST(TraceEndpoint, IsHttpOrAFile) {
  const auto local = parse_trace_endpoint("http://collector");
  ASSERT_TRUE(local);
  EXPECT_EQ(local->host + " " + local->port + " " + local->path, "collector 4318 /v1/traces");
  const auto six = parse_trace_endpoint("http://[::1]:99/else/where");
  ASSERT_TRUE(six);
  EXPECT_EQ(six->host + " " + six->port + " " + six->path, "::1 99 /else/where");
  EXPECT_EQ(parse_trace_endpoint("http://a:1/")->path, "/v1/traces");
  EXPECT_EQ(parse_trace_endpoint("file:///tmp/x")->file, "/tmp/x");
  for (const std::string bad :
       {"", "collector:4318", "https://collector:4318", "http://", "http://:4318", "http://a:0",
        "http://a:99999", "http://a:b", "http://[::1", "http://[::1]x", "http://me@a", "file://x",
        "http://a/b c", "http://a/\r\nEvil: 1"}) {
    const auto parsed = parse_trace_endpoint(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error(), ErrorCode::kInvalidAddress);
    EXPECT_NE(parsed.error().detail.find("use http://HOST:PORT or file:///PATH"),
              std::string::npos);
    EXPECT_EQ(parsed.error().detail.find('\n'), std::string::npos);
  }
}

class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~Environment() { ::unsetenv(name_); }

 private:
  const char* name_;
};

TEST(TraceEndpoint, TheEnvironmentCountsWhereItIsAskedFor) {
  const Environment endpoint("OTEL_EXPORTER_OTLP_ENDPOINT", "http://there:1/");
  const Environment service("OTEL_SERVICE_NAME", "shop");
  EXPECT_EQ(with_environment({}).endpoint, "");
  EXPECT_EQ(with_environment({.from_environment = true}).endpoint, "http://there:1/v1/traces");
  EXPECT_EQ(with_environment({.from_environment = true}).service_name, "shop");
  EXPECT_EQ(with_environment({.endpoint = "http://here", .from_environment = true}).endpoint,
            "http://here");
  const Environment traces("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://there:1/x");
  EXPECT_EQ(with_environment({.from_environment = true}).endpoint, "http://there:1/x");
}

TEST(Tracer, SamplesTheShareItIsTold) {
  const test::TemporaryDirectory directory;
  const std::string endpoint = "file://" + directory / "spans";
  EXPECT_FALSE(*Tracer::open({}, "tests"));
  EXPECT_EQ(Tracer::open({.endpoint = endpoint, .sample = 1.5}, "tests").error(),
            ErrorCode::kUsage);
  for (const double share : {0.0, 0.25, 1.0}) {
    const auto tracer = Tracer::open({.endpoint = endpoint, .sample = share}, "tests").value();
    int sampled = 0;
    for (int i = 0; i < 4'000; ++i)
      sampled += tracer->start("x", SpanKind::kClient, std::nullopt).recorded();
    EXPECT_NEAR(sampled, 4'000 * share, share == 0.25 ? 250 : 0);
    // Whoever began the trace has decided.
    for (const std::uint8_t flags : {0, 1}) {
      const TraceContext parent{{1, 2}, {3}, flags};
      OpenSpan child = tracer->start("x", SpanKind::kClient, parent);
      EXPECT_EQ(child.recorded(), flags == 1);
      EXPECT_EQ(child.context().trace, parent.trace);
      EXPECT_EQ(child.span.parent, parent.span);
      EXPECT_NE(child.context().span, parent.span);
    }
  }
}

}  // namespace
}  // namespace leat
