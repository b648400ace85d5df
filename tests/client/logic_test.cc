// The client's logic without sockets: order, resending, bounds.
#include <set>

#include <gtest/gtest.h>

#include "client/consumer_logic.h"
#include "client/producer_logic.h"
#include "client/tool/color.h"
#include "client/tool/progress.h"
#include "client/tool/record_format.h"
#include "protocol/base/random.h"
#include "storage/state/producer_store.h"

namespace leat {
namespace {

using namespace std::chrono_literals;

TEST(ProducerLogic, ABatchLingersForCompany) {
  ProducerLogic logic({.linger = 5ms, .idempotent = false});
  const MonotonicTime start{1h};
  logic.append(PartitionIndex(0), {{}, as_bytes("a"), {}}, 1, {}, start);
  logic.append(PartitionIndex(0), {{}, as_bytes("b"), {}}, 1, {}, start + 1ms);
  EXPECT_TRUE(logic.ready(start + 4ms).empty());
  EXPECT_EQ(logic.next_deadline(start), start + 5ms);
  const auto out = logic.ready(start + 5ms);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(RecordBatchView::parse(out[0].bytes)->record_count(), 2);
}

TEST(ProducerLogic, FailsWhatIsOlderThanTheDeliveryTimeout) {
  ProducerLogic logic({.delivery_timeout = 1s});
  const MonotonicTime start{1h};
  int failures = 0;
  logic.append(
      PartitionIndex(0), {{}, as_bytes("a"), {}}, 1, [&](const auto& ack) { failures += !ack; },
      start);
  std::vector<ProducerLogic::Outcome> outcomes;
  logic.expire(start + 999ms, outcomes);
  EXPECT_TRUE(outcomes.empty());
  logic.expire(start + 1s, outcomes);
  for (auto& outcome : outcomes) outcome.handler(outcome.result);
  EXPECT_EQ(failures, 1);
  EXPECT_TRUE(logic.idle());
  EXPECT_EQ(logic.buffered_bytes(), 0u);
}

TEST(ProducerLogic, CountsExactlyWhatIsUnacknowledged) {
  ProducerLogic logic({.linger = 0ms, .idempotent = false});
  const MonotonicTime now{1h};
  const std::string large(10'000, 'x');
  logic.append(PartitionIndex(1), {{}, as_bytes(large), {}}, 1, {}, now);
  logic.ready(now);
  const std::size_t unacknowledged = logic.buffered_bytes();
  std::vector<ProducerLogic::Outcome> outcomes;
  for (int i = 0; i < 1'000; ++i) {
    logic.append(PartitionIndex(0), {{}, as_bytes("x"), {}}, 1, {}, now);
    for (const auto& batch : logic.ready(now)) logic.acknowledged(batch.id, {Offset(i)}, outcomes);
  }
  EXPECT_EQ(logic.buffered_bytes(), unacknowledged);
}

TEST(ProducerLogic, AFlushCoversWhatWasAppendedBeforeIt) {
  ProducerLogic logic({.linger = 1h, .idempotent = false});
  const MonotonicTime now{1h};
  std::vector<ProducerLogic::Outcome> outcomes;
  EXPECT_TRUE(logic.append(PartitionIndex(0), {{}, as_bytes("a"), {}}, 1, {}, now));
  EXPECT_FALSE(logic.append(PartitionIndex(0), {{}, as_bytes("b"), {}}, 1, {}, now));
  const auto flushed = logic.flush();
  const auto out = logic.ready(now);
  ASSERT_EQ(out.size(), 1u);
  logic.append(PartitionIndex(0), {{}, as_bytes("later"), {}}, 1, {}, now);
  EXPECT_FALSE(logic.done_through(flushed));
  logic.acknowledged(out[0].id, {Offset(0)}, outcomes);
  EXPECT_TRUE(logic.done_through(flushed));
  EXPECT_TRUE(logic.ready(now).empty());  // the later one lingers
}

// A broker that stores what reaches it, behind a connection that breaks at random: every record is
// acknowledged once, stored at least once, and first occurrences are in order.
TEST(ProducerLogic, BreaksNeverLoseNorReorder) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    ProducerLogic logic(
        {.linger = 2ms, .batch_bytes = 400, .idempotent = false, .max_in_flight = 3});
    MonotonicTime now{1h};
    std::vector<int> stored[2], acknowledged;
    std::deque<ProducerLogic::Outgoing> wire;
    std::vector<ProducerLogic::Outcome> outcomes;
    constexpr int kRecords = 120;
    int sent = 0;
    const auto deliver = [&](bool reply) {
      const auto batch = wire.front();
      wire.pop_front();
      auto& log = stored[batch.partition.value];
      const auto base = static_cast<std::int64_t>(log.size());
      const auto view = RecordBatchView::parse(batch.bytes);
      for (const RecordView& record : *view)
        log.push_back(std::stoi(std::string(as_text(*record.value))));
      if (reply) logic.acknowledged(batch.id, {Offset(base)}, outcomes);
    };
    for (int step = 0; step < 100'000 && (sent < kRecords || !logic.idle()); ++step) {
      now += 1ms;
      switch (random.below(sent < kRecords ? 4 : 3)) {
        case 0:
          if (!wire.empty()) deliver(true);
          break;
        case 1:
          for (const auto& batch : logic.ready(now)) wire.push_back(batch);
          break;
        case 2:
          if (random.below(6) != 0) break;
          while (!wire.empty() && random.below(2)) deliver(false);  // arrived, the reply is lost
          wire.clear();
          logic.disconnected();
          break;
        default: {
          const int number = sent++;
          const std::string value = std::to_string(number);
          logic.append(
              PartitionIndex(number % 2), {{}, as_bytes(value), {}}, 1,
              [&acknowledged, number](const Result<Ack>& ack) {
                if (ack) acknowledged.push_back(number);
              },
              now);
        }
      }
      for (auto& outcome : outcomes) outcome.handler(outcome.result);
      outcomes.clear();
    }
    ASSERT_TRUE(logic.idle()) << "seed " << seed;
    ASSERT_EQ(acknowledged.size(), static_cast<std::size_t>(kRecords)) << "seed " << seed;
    for (int p = 0; p < 2; ++p) {
      int next = p;
      for (const int number : stored[p]) {
        ASSERT_LE(number, next) << "seed " << seed;  // a repetition, or exactly the next
        if (number == next) next += 2;
      }
      ASSERT_EQ(next, kRecords + p) << "seed " << seed;
    }
  }
}

// As above with the broker's own table of producers: batches refused at random, connections that
// break, replies that are lost, batches given up. Stored once each, and in order.
TEST(ProducerLogic, WhateverBreaksNothingIsStoredTwiceOrOutOfOrder) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    Random random(seed);
    ProducerLogic logic({.linger = 2ms, .batch_bytes = 300, .delivery_timeout = 400ms});
    MonotonicTime now{1h};
    storage::ProducerStore producers(100);
    std::int64_t next_producer = 0, position = 0;
    std::vector<int> stored;
    std::set<int> settled;
    struct OnTheWire {
      ProducerLogic::BatchId id;
      std::vector<std::byte> bytes;
    };
    std::deque<OnTheWire> wire;
    std::deque<std::function<void()>> replies;
    std::vector<ProducerLogic::Outcome> outcomes;
    bool asked = false;
    constexpr int kRecords = 150;
    int sent = 0;
    const auto arrive = [&] {
      const OnTheWire batch = wire.front();
      wire.pop_front();
      const auto view = *RecordBatchView::parse(batch.bytes);
      ASSERT_TRUE(view.validate());
      const auto answer = [&](Error error) {
        replies.push_back([&, id = batch.id, error] { logic.failed(id, error, outcomes); });
      };
      auto verdict = producers.check(PartitionId(1), view);
      if (!verdict) return answer(verdict.error());
      if (!*verdict && random.below(15) == 0) return answer(ErrorCode::kBatchTooLarge);
      native::ProduceReply reply{Offset(static_cast<std::int64_t>(stored.size()))};
      if (*verdict) {
        reply = {**verdict, Durability::kSync, true};
      } else {
        std::vector<std::byte> copy(batch.bytes.begin(), batch.bytes.end());
        assign_offset(copy, reply.base_offset, LeaderEpoch(1));
        producers.apply(PartitionId(1), *RecordBatchView::parse(copy),
                        JournalPosition(static_cast<std::uint64_t>(++position)));
        for (const RecordView& record : view)
          stored.push_back(std::stoi(std::string(as_text(*record.value))));
      }
      replies.push_back([&, id = batch.id, reply] { logic.acknowledged(id, reply, outcomes); });
    };
    for (int step = 0; step < 100'000 && (sent < kRecords || !logic.idle()); ++step) {
      now += 1ms;
      switch (random.below(6)) {
        case 0:
          if (!wire.empty()) arrive();
          break;
        case 1:
          if (replies.empty()) break;
          replies.front()();
          replies.pop_front();
          break;
        case 2:
          for (const auto& batch : logic.ready(now))
            wire.push_back({batch.id, {batch.bytes.begin(), batch.bytes.end()}});
          break;
        case 3:
          if (logic.needs_identity() && !asked) asked = true;
          if (asked && random.below(2) == 0) {
            producers.apply(storage::ProducerInitialized{storage::ProducerId(next_producer), 0});
            logic.set_identity({next_producer++, 0});
            asked = false;
          }
          break;
        case 4:
          if (random.below(20) != 0) break;
          while (!wire.empty() && random.below(2)) arrive();
          wire.clear();
          replies.clear();
          asked = false;
          logic.disconnected();
          break;
        default: {
          if (sent == kRecords) {
            logic.expire(now, outcomes);
            break;
          }
          const int number = sent++;
          logic.append(
              PartitionIndex(0), {{}, as_bytes(std::to_string(number)), {}}, 1,
              [&settled, number](const Result<Ack>&) {
                EXPECT_TRUE(settled.insert(number).second);
              },
              now);
        }
      }
      for (auto& outcome : outcomes) outcome.handler(outcome.result);
      outcomes.clear();
    }
    ASSERT_TRUE(logic.idle()) << "seed " << seed;
    EXPECT_EQ(settled.size(), static_cast<std::size_t>(kRecords)) << "seed " << seed;
    for (std::size_t i = 1; i < stored.size(); ++i)
      ASSERT_LT(stored[i - 1], stored[i]) << "seed " << seed;  // no duplicate, no reordering
  }
}

std::vector<std::byte> batch_at(std::int64_t base, int records) {
  RecordBatchBuilder builder;
  for (int i = 0; i < records; ++i) builder.append({{}, as_bytes(std::to_string(base + i)), {}}, 1);
  auto bytes = builder.take();
  assign_offset(bytes, Offset(base), LeaderEpoch(0));
  return bytes;
}

TEST(ConsumerLogic, NeitherSkipsNorGoesBack) {
  ConsumerLogic logic(1 << 20);
  logic.assign(PartitionIndex(0), Offset(12));
  auto wanted = logic.wanted();
  ASSERT_EQ(wanted.size(), 1u);
  EXPECT_EQ(wanted[0].offset, Offset(12));
  EXPECT_TRUE(logic.wanted().empty());  // one in flight
  logic.lost(wanted[0]);
  wanted = logic.wanted();
  EXPECT_EQ(wanted.at(0).offset, Offset(12));
  ASSERT_TRUE(logic.fetched(wanted[0], batch_at(10, 5), Offset(15)));
  const auto records = logic.take().value();
  ASSERT_EQ(records.size(), 3u);  // the batch began below the position
  EXPECT_EQ(records[0].offset, Offset(12));
  EXPECT_EQ(as_text(*records[2].value), "14");
  EXPECT_EQ(logic.position(PartitionIndex(0)), Offset(15));
  wanted = logic.wanted();
  EXPECT_EQ(wanted.at(0).offset, Offset(15));
  EXPECT_EQ(wanted[0].epoch, LeaderEpoch(0));  // of what was read before it
  EXPECT_FALSE(logic.fetched(wanted[0], batch_at(16, 2), Offset(18)));  // a gap
}

TEST(ConsumerLogic, WhatComesForAnEarlierAssignmentIsIgnored) {
  ConsumerLogic logic(1 << 20);
  logic.assign(PartitionIndex(0), Offset(0));
  const auto early = logic.wanted().at(0);
  logic.assign(PartitionIndex(0), Offset(5));  // a seek
  const auto late = logic.wanted().at(0);
  ASSERT_TRUE(logic.fetched(early, batch_at(0, 5), Offset(9)));
  logic.lost(early);
  EXPECT_TRUE(logic.wanted().empty());  // the late one is still under way
  EXPECT_FALSE(logic.holds_records());
  ASSERT_TRUE(logic.fetched(late, batch_at(5, 2), Offset(9)));
  EXPECT_EQ(logic.take()->at(0).offset, Offset(5));
  logic.drop(PartitionIndex(0));
  ASSERT_TRUE(logic.fetched(late, batch_at(7, 2), Offset(9)));
  EXPECT_FALSE(logic.holds_records());
  EXPECT_TRUE(logic.positions().empty());
}

TEST(ConsumerLogic, APausedPartitionIsPassedOver) {
  ConsumerLogic logic(1 << 20);
  for (const int partition : {0, 1}) logic.assign(PartitionIndex(partition), Offset(0));
  for (const auto& fetch : logic.wanted())
    ASSERT_TRUE(logic.fetched(fetch, batch_at(0, 2), Offset(2)));
  logic.set_paused(PartitionIndex(0), true);
  EXPECT_EQ(logic.take()->at(0).partition, PartitionIndex(1));
  EXPECT_FALSE(logic.holds_records());
  EXPECT_TRUE(logic.take()->empty());
  logic.set_paused(PartitionIndex(0), false);
  EXPECT_EQ(logic.take()->at(0).partition, PartitionIndex(0));
}

TEST(ConsumerLogic, PrefetchesWithinItsBound) {
  ConsumerLogic logic(100);
  logic.assign(PartitionIndex(0), Offset(0));
  ASSERT_TRUE(logic.fetched(logic.wanted().at(0), batch_at(0, 20), Offset(40)));
  EXPECT_TRUE(logic.wanted().empty());
  EXPECT_EQ(logic.take()->size(), 20u);
  EXPECT_EQ(logic.wanted().size(), 1u);
}

std::vector<std::byte> compressed_batch_at(std::int64_t base, std::size_t value_bytes) {
  RecordBatchBuilder builder;
  builder.append({{}, as_bytes(std::string(value_bytes, 'z')), {}}, 1);
  auto bytes = builder.take(Compression::kZstd);
  assign_offset(bytes, Offset(base), LeaderEpoch(0));
  return bytes;
}

// Ten batches in one fetch, each far larger once decompressed: they come a few at a time.
TEST(ConsumerLogic, CompressedFetchesAreTakenInPieces) {
  constexpr std::size_t kValue = 100'000;
  ConsumerLogic logic(2 * kValue);
  logic.assign(PartitionIndex(0), Offset(0));
  const auto wanted = logic.wanted().at(0);
  std::vector<std::byte> fetch;
  for (std::int64_t base = 0; base < 10; ++base) {
    const auto batch = compressed_batch_at(base, kValue);
    ASSERT_LT(batch.size(), 1'000u);
    fetch.insert(fetch.end(), batch.begin(), batch.end());
  }
  ASSERT_TRUE(logic.fetched(wanted, fetch, Offset(10)));
  for (std::int64_t next = 0; next < 10;) {
    ASSERT_TRUE(logic.holds_records());
    const auto records = logic.take().value();
    ASSERT_GE(records.size(), 1u);
    ASSERT_LE(records.size(), 3u);
    for (const ConsumedRecord& record : records) {
      EXPECT_EQ(record.offset, Offset(next++));
      EXPECT_EQ(as_text(*record.value), std::string(kValue, 'z'));
    }
    EXPECT_EQ(logic.position(PartitionIndex(0)), Offset(next));
  }
  EXPECT_FALSE(logic.holds_records());
}

// What stands before it is given out; then the error, and nothing beyond.
TEST(ConsumerLogic, ABatchThatDecompressesToTooMuchStopsItsPartition) {
  ConsumerLogic logic(1 << 20, 10'000);
  logic.assign(PartitionIndex(0), Offset(0));
  const auto wanted = logic.wanted().at(0);
  auto fetch = compressed_batch_at(0, 5'000);
  const auto large = compressed_batch_at(1, 20'000);
  fetch.insert(fetch.end(), large.begin(), large.end());
  ASSERT_TRUE(logic.fetched(wanted, fetch, Offset(2)));
  EXPECT_EQ(logic.take()->size(), 1u);
  for (int again = 0; again < 2; ++again) {
    EXPECT_EQ(logic.take().error().code, ErrorCode::kBatchTooLarge);
    EXPECT_EQ(logic.position(PartitionIndex(0)), Offset(1));
  }
}

TEST(ProducerLogic, CompressesWhatGetsSmaller) {
  for (const Compression type : {Compression::kNone, Compression::kLz4}) {
    ProducerLogic logic({.linger = 5ms, .compression = type, .idempotent = false});
    std::vector<ProducerLogic::Outcome> outcomes;
    logic.append(PartitionIndex(0), {{}, as_bytes(std::string(10'000, 'c')), {}}, 1, {},
                 MonotonicTime{1h});
    logic.flush();
    const auto out = logic.ready(MonotonicTime{1h});
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(RecordBatchView::parse(out[0].bytes)->compression(), type);
    EXPECT_TRUE(RecordBatchView::parse(out[0].bytes)->validate());
    logic.acknowledged(out[0].id, {Offset(0)}, outcomes);
    EXPECT_EQ(logic.buffered_bytes(), 0u);
  }
}

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

}  // namespace
}  // namespace leat
