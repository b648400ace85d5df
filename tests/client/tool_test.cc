// What the command line is made of.
#include "client/tool/tool.h"

#include <cstdlib>
#include <set>

#include <gtest/gtest.h>

#include "client/tool/color.h"
#include "client/tool/dlq/dead_letter.h"
#include "client/tool/dlq/offset_set.h"
#include "client/tool/progress.h"
#include "client/tool/record_format.h"
#include "client/tool/sharing.h"
#include "client/tool/start.h"
#include "client/tool/topic_settings.h"
#include "protocol/record_batch.h"

namespace leat {
namespace {

using namespace std::chrono_literals;

TEST(Color, FollowsTheChoiceThenNoColorThenTheTerminal) {
  using tool::ColorChoice, tool::wants_color;
  EXPECT_TRUE(wants_color(ColorChoice::kAuto, nullptr, true));
  EXPECT_TRUE(wants_color(ColorChoice::kAuto, "", true));
  EXPECT_FALSE(wants_color(ColorChoice::kAuto, nullptr, false));
  EXPECT_FALSE(wants_color(ColorChoice::kAuto, "1", true));
  EXPECT_TRUE(wants_color(ColorChoice::kAlways, "1", false));
  EXPECT_FALSE(wants_color(ColorChoice::kNever, nullptr, true));
}

struct StoppedClock final : Clock {
  MonotonicTime time{1h};
  MonotonicTime now() const override { return time; }
  WallTime wall_now() const override { return {}; }
};

TEST(Progress, IsDrawnOnATerminalOnceItTakesLongAndClearedAtTheEnd) {
  for (const bool terminal : {false, true}) {
    StoppedClock clock;
    char* text = nullptr;
    std::size_t size = 0;
    std::FILE* to = ::open_memstream(&text, &size);
    {
      tool::Progress progress(to, terminal, clock, 100);
      progress.records(1, 1);
      clock.time += 400ms;
      progress.records(2, 2);
      std::fflush(to);
      EXPECT_EQ(size, 0u);
      clock.time += 600ms;
      progress.records(50, 25);
      progress.records(51, 26);  // too soon after the last drawing
    }
    std::fclose(to);
    EXPECT_EQ(std::string(text, size),
              terminal ? "\r\033[K[#####...............]  25 %  50 records, 50/s\r\033[K" : "");
    ::free(text);
  }
}

TEST(Progress, SaysWhatIsKnown) {
  EXPECT_EQ(tool::progress_line(7, 7, std::nullopt, 2s), "7 records, 3/s");
  EXPECT_EQ(tool::progress_line(7, 7, 7, 1s), "[####################] 100 %  7 records, 7/s");
  EXPECT_EQ(tool::progress_line(9, 9, 7, 1s), "[####################] 100 %  9 records, 9/s");
  EXPECT_EQ(tool::progress_line(0, 0, 0, 0s), "0 records");
}

TEST(RecordFormat, FormatsAndRefuses) {
  EXPECT_TRUE(tool::check_format("%t %p %o %k %v %h %T %%\\n\\t\\\\"));
  for (const char* bad : {"%", "%x", "\\", "\\q"}) EXPECT_FALSE(tool::check_format(bad)) << bad;
  const ConsumedRecord record{PartitionIndex(3), Offset(9), 77, as_bytes("k"), std::nullopt, {}};
  std::string out;
  tool::append_formatted(out, "%t/%p/%o %k=%v%%\\n", "orders", record);
  EXPECT_EQ(out, "orders/3/9 k=%\n");
  ConsumedRecord again = record;
  again.attempts = 4;
  out.clear();
  tool::append_formatted(out, "%a", "orders", again);
  EXPECT_EQ(out, "4");
}

TEST(RecordFormat, JsonIsEscapedAndHonestAboutBytes) {
  const ConsumedRecord record{PartitionIndex(0), Offset(1),           5,
                              as_bytes("\xff"),  as_bytes("a\"\n\\"), {}};
  std::string out;
  tool::append_json(out, "t", record);
  EXPECT_EQ(
      out,
      "{\"topic\":\"t\",\"partition\":0,\"offset\":1,\"timestamp_ms\":5,\"key\":{\"hex\":\"ff\"},"
      "\"value\":\"a\\\"\\u000a\\\\\",\"headers\":[]}\n");
}

TEST(Start, IsSaidInManyWays) {
  using tool::parse_start;
  using Kind = StartFrom::Kind;
  const auto parsed = [](const char* text) { return parse_start(text, "--from").value(); };
  for (const char* text : {"", "start", "earliest"}) EXPECT_EQ(parsed(text).kind, Kind::kEarliest);
  for (const char* text : {"end", "latest"}) EXPECT_EQ(parsed(text).kind, Kind::kLatest);
  EXPECT_EQ(parsed("17").value, 17);
  EXPECT_EQ(parsed("-3").kind, Kind::kLast);
  EXPECT_EQ(parsed("-3").value, 3);
  EXPECT_EQ(parsed("1970-01-02").value, 86'400'000);
  for (const char* bad :
       {"yesterday", "1.5", "1970-13-01", "1970-01-01T", "1970-01-01T00:00:00",
        "1970-01-01T24:00:00Z", "1970-01-01T00:00:00+1:00", "99999999999999999999"})
    EXPECT_FALSE(parse_start(bad, "--from")) << bad;
}

TEST(Start, KnowsTimesAndDurations) {
  const auto ms = [](const char* text) { return tool::parse_time(text)->time_since_epoch() / 1ms; };
  EXPECT_EQ(ms("1970-01-01T00:00:01Z"), 1'000);
  EXPECT_EQ(ms("1970-01-01T01:00:00.5+01:00"), 500);
  EXPECT_EQ(ms("1970-01-01 00:00:00.0049z"), 4);
  const Timestamp now{1'000'000ms};
  EXPECT_EQ(tool::parse_since("10s", "--since", now)->value, 990'000);
  EXPECT_EQ(tool::parse_since("1970-01-01T00:00:01Z", "--since", now)->value, 1'000);
  for (const char* bad : {"", "10", "-1m", "1w", "99999999999999999d"})
    EXPECT_FALSE(tool::parse_since(bad, "--since", now)) << bad;
}

TEST(Partitions, AreRangesAndNumbers) {
  EXPECT_EQ(tool::parse_partitions("0-2,7")->size(), 4u);
  EXPECT_TRUE(tool::parse_partitions("")->empty());
  for (const char* bad : {"a", "3-1", "-1", "1-", "0-99999999"})
    EXPECT_FALSE(tool::parse_partitions(bad)) << bad;
}

TEST(Sharing, IsWhatTheFlagsSay) {
  ConsumerOptions options{.topics = {"orders"}, .group = Group{"g"}};
  EXPECT_TRUE(tool::apply({}, options));
  EXPECT_EQ(options.kind, GroupKind::kPartitioned);
  tool::Sharing sharing{.shared = true,
                        .ack = "manual",
                        .ack_timeout = "5s",
                        .dead_letter = "dead",
                        .backoff = "1s..1m",
                        .max_deliveries = 3,
                        .dead_letter_expired = true};
  ASSERT_TRUE(tool::apply(sharing, options));
  EXPECT_EQ(options.kind, GroupKind::kShared);
  EXPECT_EQ(options.ack_timeout, 5s);
  EXPECT_EQ(options.max_deliveries, 3u);
  EXPECT_EQ(options.dead_letter, "dead");
  EXPECT_TRUE(options.dead_letter_expired);
  EXPECT_EQ(options.min_backoff, 1s);
  EXPECT_EQ(options.max_backoff, 60s);
  options.start = StartFrom::latest();
  ASSERT_TRUE(tool::apply({.key_shared = true, .backoff = "200ms"}, options));
  EXPECT_EQ(options.kind, GroupKind::kKeyShared);
  EXPECT_EQ(options.min_backoff, 200ms);
  EXPECT_EQ(options.max_backoff, 200ms);
}

TEST(Sharing, SaysWhatToDoAboutMistakes) {
  const auto refusal = [](const tool::Sharing& sharing, auto change) {
    ConsumerOptions options{.topics = {"orders"}, .group = Group{"g"}};
    change(options);
    const auto ok = tool::apply(sharing, options);
    if (ok) return std::string();
    EXPECT_EQ(ok.error(), ErrorCode::kUsage);
    return ok.error().detail;
  };
  const auto nothing = [](ConsumerOptions&) {};
  const auto says = [&](const tool::Sharing& sharing, const char* what, auto change) {
    EXPECT_NE(refusal(sharing, change).find(what), std::string::npos) << refusal(sharing, change);
  };
  const tool::Sharing shared{.shared = true};
  says(shared, "--group", [](ConsumerOptions& options) { options.group.reset(); });
  says(shared, "--partitions",
       [](ConsumerOptions& options) { options.partitions = {PartitionIndex(0)}; });
  says(shared, "leat group seek",
       [](ConsumerOptions& options) { options.start = StartFrom::last(3); });
  says({.shared = true, .key_shared = true}, "choose one", nothing);
  says({.ack = "manual"}, "--ack goes with --shared or --key-shared", nothing);
  says({.ack_timeout = "5s"}, "--ack-timeout", nothing);
  says({.dead_letter = "dead"}, "--dead-letter", nothing);
  says({.dead_letter_expired = true}, "--dead-letter-expired", nothing);
  says({.backoff = "5s"}, "--backoff", nothing);
  says({.max_deliveries = 3}, "--max-deliveries", nothing);
  says({.shared = true, .ack_timeout = "5"}, "--ack-timeout takes a duration", nothing);
  for (const char* bad : {"5", "1s..", "..1s", "1s..x", "2s..1s", "1s...2s"})
    says({.shared = true, .backoff = bad}, "--backoff takes", nothing);
}

TEST(TopicSettings, AreReadAsTheyAreWritten) {
  const std::pair<const char*, std::vector<const char*>> known[] = {
      {"durability", {"sync", "memory", "interval=100ms", "interval=3600000ms"}},
      {"retention", {"forever", "0ms", "500ms", "90s", "12h", "7d", "36h"}},
      {"retention-bytes", {"unlimited", "0B", "1000B", "64MiB", "1GiB", "3TiB"}},
      {"retention-records", {"unlimited", "0", "1000000"}},
      {"cleanup", {"delete", "compact", "compact,delete"}},
      {"on-full", {"reject", "drop-oldest"}},
      {"ttl", {"forever", "0ms", "90s", "7d"}},
      {"dedup-window", {"off", "500ms", "10m", "7d"}},
      {"dedup-ids", {"1", "1000000", "12000000"}},
      {"timestamps", {"create", "append"}},
      {"max-batch-bytes", {"broker", "1B", "64KiB", "8MiB"}}};
  ASSERT_EQ(std::size(known), tool::topic_settings().size());
  for (std::size_t i = 0; i < std::size(known); ++i) {
    const tool::TopicSetting& setting = tool::topic_settings()[i];
    ASSERT_STREQ(setting.name, known[i].first);
    for (const char* text : known[i].second) {
      TopicConfig config;
      EXPECT_TRUE(setting.set(text, config)) << text;
      EXPECT_EQ(setting.text(config), text);
      EXPECT_TRUE(check_config(config)) << text;
    }
    for (const char* text : {"", "-1", "x", "7", "1.5h", "interval=0ms", "interval=2h", "-7d"}) {
      if (std::string_view(text) == "7" && ((i >= 2 && i <= 3) || i == 8 || i == 10)) continue;
      TopicConfig config;
      EXPECT_FALSE(setting.set(text, config)) << setting.name << " " << text;
      EXPECT_EQ(config, TopicConfig()) << setting.name << " " << text;
    }
  }
}

TEST(TopicSettings, WhatIsNotGivenStays) {
  const TopicConfig before{.cleanup = Cleanup::kCompactDelete, .retention = {1h, 5, 6}};
  EXPECT_EQ(*tool::with_settings(before, {}), before);
  const auto after =
      tool::with_settings(before, {{"retention", "7d"}, {"durability", "interval=5ms"}});
  ASSERT_TRUE(after);
  TopicConfig expected = before;
  expected.retention.time = 24h * 7;
  expected.durability = Durability::kInterval;
  expected.interval = 5ms;
  EXPECT_EQ(*after, expected);
  EXPECT_EQ(tool::with_settings(*after, {{"durability", "sync"}})->interval, 0ms);
  const auto refused = tool::with_settings(before, {{"on-full", "block"}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().detail, "--on-full takes reject or drop-oldest; not 'block'");
}

// ---- dead letters ----

struct Letters {
  // One record that died as the headers say.
  explicit Letters(std::vector<RecordHeader> headers) {
    RecordBatchBuilder builder;
    builder.append({.key = bytes("k"), .value = bytes("v"), .headers = headers}, 5);
    batch = builder.take();
    const RecordView view = *RecordBatchView::parse(batch)->records().begin();
    record.timestamp_ms = view.timestamp_ms;
    record.key = view.key;
    record.value = view.value;
    record.headers = view.headers;
  }
  std::vector<std::byte> batch;
  ConsumedRecord record;
};

TEST(DeadLetter, IsToldByTheLastHeadersAndWasWhatTheOthersSay) {
  const Letters letters({{"a", bytes("1")},
                         {"leat-dead-topic", bytes("first")},
                         {"leat-dead-reason", bytes("boom")},
                         {"leat-dead-group", bytes("g")},
                         {"leat-dead-topic", bytes("orders")},
                         {"leat-dead-partition", bytes("3")},
                         {"leat-dead-offset", bytes("17")},
                         {"leat-dead-attempts", bytes("many")},
                         {"leat-dead-at", bytes("0")},
                         {"leat-deliver-at", bytes("1")},
                         {"leat-expires-at", bytes("2")}});
  const tool::DeadLetter letter = tool::dead_letter(letters.record);
  EXPECT_EQ(letter.reason, "boom");
  EXPECT_EQ(letter.topic, "orders");
  EXPECT_EQ(letter.partition, 3);
  EXPECT_EQ(letter.attempts, std::nullopt);
  const OutgoingRecord was = tool::as_it_was(letters.record, letter, "orders.dlq/0/0");
  ASSERT_EQ(was.headers.size(), 2u);
  EXPECT_EQ(was.headers[0].key, "a");
  EXPECT_EQ(as_text(*was.headers[1].value), "first");
  EXPECT_EQ(was.timestamp_ms, 5);
  EXPECT_EQ(was.partition, std::nullopt);
  std::string front;
  tool::append_front(front, letters.record, letter);
  EXPECT_EQ(front, "0/0\t1970-01-01T00:00:00Z\torders 3/17\tg\t- attempts\tboom\t");
}

TEST(DeadLetter, OneWithAnIdSaysWhichLetterItIs) {
  const Letters letters({{"leat-id", bytes("7")},
                         {"leat-redriven", bytes("orders.dlq/0/3")},
                         {"leat-dead-topic", bytes("orders")}});
  const OutgoingRecord was =
      tool::as_it_was(letters.record, tool::dead_letter(letters.record), "orders.dlq/0/9");
  ASSERT_EQ(was.headers.size(), 2u);
  EXPECT_EQ(was.headers[0].key, "leat-id");
  EXPECT_EQ(was.headers[1].key, "leat-redriven");
  EXPECT_EQ(as_text(*was.headers[1].value), "orders.dlq/0/9");
}

TEST(DeadLetter, IsChosenByAllThatIsGiven) {
  const Letters letters({{"leat-dead-reason", bytes("card\tdeclined")},
                         {"leat-dead-group", bytes("billing")},
                         {"leat-dead-topic", bytes("orders")}});
  const tool::DeadLetter letter = tool::dead_letter(letters.record);
  using Filter = tool::LetterFilter;
  const auto matches = [&](const Filter& filter) { return filter.matches(letters.record, letter); };
  const std::pair<PartitionIndex, Offset> here{PartitionIndex(0), Offset(0)},
      there{PartitionIndex(0), Offset(1)};
  EXPECT_TRUE(matches({}));
  EXPECT_TRUE(matches({"declined", "billing", "orders", "k", here}));
  EXPECT_FALSE(matches({"lost", "", "", {}, {}}));
  EXPECT_FALSE(matches({"", "bill", "", {}, {}}));
  EXPECT_FALSE(matches({"", "", "order", {}, {}}));
  EXPECT_FALSE(matches({"", "", "", "kk", {}}));
  EXPECT_FALSE(matches({"", "", "", {}, there}));
  EXPECT_EQ(tool::as_column(letter.reason), "card declined");
}

TEST(DeadLetter, PlacesAndRatesAreReadOrRefused) {
  EXPECT_EQ(*tool::parse_place("2/17"), std::pair(PartitionIndex(2), Offset(17)));
  for (const char* bad : {"", "7", "/", "1/", "/1", "-1/0", "0/-1", "0/1/2", "9999999999/0"})
    EXPECT_FALSE(tool::parse_place(bad)) << bad;
  EXPECT_EQ(*tool::parse_rate("100/s"), 100.0);
  EXPECT_EQ(*tool::parse_rate("0.5"), 0.5);
  for (const char* bad : {"", "/s", "0", "-1/s", "nan", "inf", "1e3", "1/m", "1/s/s"})
    EXPECT_FALSE(tool::parse_rate(bad)) << bad;
}

TEST(OffsetSet, IsWhatASetWouldBe) {
  tool::OffsetSet set;
  std::set<std::pair<int, int>> model;
  std::uint32_t state = 1;
  for (int i = 0; i < 2'000; ++i) {
    state = state * 1664525 + 1013904223;
    const int partition = static_cast<int>(state >> 16) % 2,
              offset = static_cast<int>(state >> 20) % 500;
    EXPECT_EQ(set.add(PartitionIndex(partition), Offset(offset)),
              model.emplace(partition, offset).second);
  }
  EXPECT_EQ(set.size(), model.size());
  for (int partition = 0; partition < 3; ++partition)
    for (int offset = 0; offset < 502; ++offset)
      EXPECT_EQ(set.contains(PartitionIndex(partition), Offset(offset)),
                model.contains({partition, offset}));
}

}  // namespace
}  // namespace leat
