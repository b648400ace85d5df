// The producer's logic without a broker: lingering, resending, numbering.
#include "client/producer_logic.h"

#include <deque>
#include <functional>
#include <set>

#include <gtest/gtest.h>

#include "protocol/base/random.h"
#include "protocol/record_extras.h"
#include "storage/state/producer_store.h"

namespace leat {
namespace {

using namespace std::chrono_literals;

constexpr ProducerLogic::Target kFirst{0, PartitionIndex(0)}, kSecond{0, PartitionIndex(1)};

Ack ack(std::int64_t offset) {
  return {PartitionIndex(0), Offset(offset), Durability::kSync, false};
}

TEST(ProducerLogic, ABatchLingersForCompany) {
  ProducerLogic logic({.linger = 5ms, .idempotent = false});
  const MonotonicTime start{1h};
  logic.append(kFirst, {{}, as_bytes("a"), {}}, 1, {}, start);
  logic.append(kFirst, {{}, as_bytes("b"), {}}, 1, {}, start + 1ms);
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
      kFirst, {{}, as_bytes("a"), {}}, 1, [&](const auto& ack) { failures += !ack; }, start);
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
  logic.append(kSecond, {{}, as_bytes(large), {}}, 1, {}, now);
  logic.ready(now);
  const std::size_t unacknowledged = logic.buffered_bytes();
  std::vector<ProducerLogic::Outcome> outcomes;
  for (int i = 0; i < 1'000; ++i) {
    logic.append(kFirst, {{}, as_bytes("x"), {}}, 1, {}, now);
    for (const auto& batch : logic.ready(now)) logic.acknowledged(batch.name, ack(i), outcomes);
  }
  EXPECT_EQ(logic.buffered_bytes(), unacknowledged);
}

// What each of a batch's records is told when the broker says this.
std::string told(const Ack& first, const std::vector<native::KnownRecords>& known) {
  ProducerLogic logic({.linger = 0ms, .idempotent = false});
  const MonotonicTime now{1h};
  std::string told;
  for (int i = 0; i < 5; ++i)
    logic.append(
        kFirst, {{}, as_bytes("x"), {}}, 1,
        [&](const Result<Ack>& ack) {
          told += std::to_string(ack->offset.value) + (ack->duplicate ? "= " : "+ ");
        },
        now);
  std::vector<ProducerLogic::Outcome> outcomes;
  for (const auto& batch : logic.ready(now)) logic.acknowledged(batch.name, first, outcomes, known);
  for (auto& outcome : outcomes) outcome.handler(outcome.result);
  return told;
}

TEST(ProducerLogic, ARecordThatWasThereIsAckedWithItsOriginal) {
  EXPECT_EQ(told(ack(10), {}), "10+ 11+ 12+ 13+ 14+ ");
  EXPECT_EQ(told(ack(10), {{1, 2, Offset(4)}, {4, 1, Offset(1)}}), "10+ 4= 5= 13+ 1= ");
  Ack again = ack(7);
  again.duplicate = true;
  EXPECT_EQ(told(again, {{1, 1, Offset(2)}}), "7= 2= 9= 10= 11= ");
  EXPECT_EQ(told(ack(10), {{3, 4'000'000'000, Offset(4)}}), "10+ 11+ 12+ 4= 5= ");
}

TEST(ProducerLogic, ABatchHasNoMoreRecordsThanMayHaveIds) {
  ProducerLogic logic({.linger = 0ms, .batch_bytes = 64 << 20, .idempotent = false});
  const MonotonicTime now{1h};
  for (std::size_t i = 0; i <= kMaxIdsInBatch; ++i) logic.append(kFirst, {}, 1, {}, now);
  const auto out = logic.ready(now);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(RecordBatchView::parse(out[1].bytes)->record_count(), 1);
}

TEST(ProducerLogic, AFlushCoversWhatWasAppendedBeforeIt) {
  ProducerLogic logic({.linger = 1h, .idempotent = false});
  const MonotonicTime now{1h};
  std::vector<ProducerLogic::Outcome> outcomes;
  EXPECT_TRUE(logic.append(kFirst, {{}, as_bytes("a"), {}}, 1, {}, now));
  EXPECT_FALSE(logic.append(kFirst, {{}, as_bytes("b"), {}}, 1, {}, now));
  const auto flushed = logic.flush();
  const auto out = logic.ready(now);
  ASSERT_EQ(out.size(), 1u);
  logic.append(kFirst, {{}, as_bytes("later"), {}}, 1, {}, now);
  EXPECT_FALSE(logic.done_through(flushed));
  logic.acknowledged(out[0].name, ack(0), outcomes);
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
      auto& log = stored[batch.name.target.partition.value];
      const auto base = static_cast<std::int64_t>(log.size());
      const auto view = RecordBatchView::parse(batch.bytes);
      for (const RecordView& record : *view)
        log.push_back(std::stoi(std::string(as_text(*record.value))));
      if (reply) logic.acknowledged(batch.name, ack(base), outcomes);
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
              number % 2 == 0 ? kFirst : kSecond, {{}, as_bytes(value), {}}, 1,
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
      ProducerLogic::BatchName name;
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
        replies.push_back([&, name = batch.name, error] { logic.refused(name, error, outcomes); });
      };
      auto verdict = producers.check(PartitionId(1), view);
      if (!verdict) return answer(verdict.error());
      if (!*verdict && random.below(15) == 0) return answer(ErrorCode::kBatchTooLarge);
      Ack reply = ack(static_cast<std::int64_t>(stored.size()));
      if (*verdict) {
        reply.offset = **verdict;
        reply.duplicate = true;
      } else {
        std::vector<std::byte> copy(batch.bytes.begin(), batch.bytes.end());
        assign_offset(copy, reply.offset, LeaderEpoch(1));
        producers.apply(PartitionId(1), *RecordBatchView::parse(copy),
                        JournalPosition(static_cast<std::uint64_t>(++position)));
        for (const RecordView& record : view)
          stored.push_back(std::stoi(std::string(as_text(*record.value))));
      }
      replies.push_back(
          [&, name = batch.name, reply] { logic.acknowledged(name, reply, outcomes); });
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
            wire.push_back({batch.name, {batch.bytes.begin(), batch.bytes.end()}});
          break;
        case 3:
          if (logic.wants_identity()) asked = true;
          if (asked && random.below(2) == 0) {
            producers.apply(storage::ProducerInitialized{storage::ProducerId(next_producer), 0});
            logic.identified({next_producer++, 0});
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
              kFirst, {{}, as_bytes(std::to_string(number)), {}}, 1,
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

TEST(ProducerLogic, CompressesWhatGetsSmaller) {
  for (const Compression type : {Compression::kNone, Compression::kLz4}) {
    ProducerLogic logic({.linger = 5ms, .compression = type, .idempotent = false});
    std::vector<ProducerLogic::Outcome> outcomes;
    logic.append(kFirst, {{}, as_bytes(std::string(10'000, 'c')), {}}, 1, {}, MonotonicTime{1h});
    logic.flush();
    const auto out = logic.ready(MonotonicTime{1h});
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(RecordBatchView::parse(out[0].bytes)->compression(), type);
    EXPECT_TRUE(RecordBatchView::parse(out[0].bytes)->validate());
    logic.acknowledged(out[0].name, ack(0), outcomes);
    EXPECT_EQ(logic.buffered_bytes(), 0u);
  }
}

// ---- numbering ----

class NumberingTest : public ::testing::Test {
 protected:
  void append(const std::string& value, ProducerLogic::Target target = kFirst) {
    logic.append(
        target, {{}, as_bytes(value), {}}, 1,
        [this, value](const Result<Ack>& result) {
          told += value + (result ? (result->duplicate ? "=" : "+") : "-") + " ";
        },
        now);
  }
  // What goes out: producer/sequence of each batch.
  std::string send() {
    std::string text;
    for (const auto& batch : logic.ready(now)) {
      const auto view = *RecordBatchView::parse(batch.bytes);
      EXPECT_TRUE(view.validate());
      text += std::to_string(view.producer_id()) + "/" + std::to_string(view.base_sequence()) + " ";
      names.push_back(batch.name);
    }
    return text;
  }
  void accept(std::size_t i) { logic.acknowledged(names[i], ack(0), outcomes), tell(); }
  void refuse(std::size_t i, ErrorCode code) { logic.refused(names[i], code, outcomes), tell(); }
  void tell() {
    for (auto& outcome : outcomes) outcome.handler(std::move(outcome.result));
    outcomes.clear();
  }

  ProducerLogic logic{{.linger = 0ms, .batch_bytes = 1, .delivery_timeout = 10s}};
  MonotonicTime now{1h};
  std::vector<ProducerLogic::BatchName> names;
  std::vector<ProducerLogic::Outcome> outcomes;
  std::string told;
};

TEST_F(NumberingTest, NothingGoesOutBeforeTheBrokerGaveAnIdentity) {
  append("a");
  EXPECT_EQ(send(), "");
  EXPECT_TRUE(logic.wants_identity());
  EXPECT_FALSE(logic.wants_identity());  // asked once
  logic.disconnected();
  EXPECT_TRUE(logic.wants_identity());
  logic.identified({7, 0});
  EXPECT_EQ(send(), "7/0 ");
}

TEST_F(NumberingTest, SequencesCountRecordsPerPartitionAndSurviveALostConnection) {
  logic.identified({7, 0});
  for (const char* value : {"a", "b"}) append(value);
  append("c", kSecond);
  EXPECT_EQ(send(), "7/0 7/1 7/0 ");
  logic.disconnected();
  append("d");
  EXPECT_EQ(send(), "7/0 7/1 7/2 7/0 ");
}

TEST_F(NumberingTest, AtMostFiveBatchesAreUnderWay) {
  logic.identified({7, 0});
  for (int i = 0; i < 8; ++i) append(std::to_string(i));
  EXPECT_EQ(send(), "7/0 7/1 7/2 7/3 7/4 ");
  EXPECT_EQ(send(), "");
  accept(0);
  EXPECT_EQ(send(), "7/5 ");
}

TEST_F(NumberingTest, BehindARefusedBatchTheRestIsNumberedAnewOnceAllIsAnswered) {
  logic.identified({7, 0});
  for (const char* value : {"a", "b", "c"}) append(value);
  append("x", kSecond);
  EXPECT_EQ(send(), "7/0 7/1 7/2 7/0 ");
  append("d");
  refuse(0, ErrorCode::kBatchTooLarge);
  EXPECT_EQ(send(), "");  // b and c are still under way
  refuse(1, ErrorCode::kOutOfSequence);
  EXPECT_EQ(send(), "");
  refuse(2, ErrorCode::kOutOfSequence);
  EXPECT_EQ(send(), "");
  EXPECT_TRUE(logic.wants_identity());
  logic.identified({8, 0});
  EXPECT_EQ(send(), "8/0 8/1 8/2 ");
  append("y", kSecond);
  EXPECT_EQ(send(), "7/1 ");  // the other partition goes on as it was
  for (std::size_t i = 3; i < names.size(); ++i) accept(i);
  EXPECT_EQ(told, "a- x+ b+ c+ d+ y+ ");
}

TEST_F(NumberingTest, WhatMayBeStoredKeepsItsNumberThroughALostConnection) {
  logic.identified({7, 0});
  append("a");
  now += 9s;
  append("b");
  EXPECT_EQ(send(), "7/0 7/1 ");
  now += 1s;
  logic.expire(now, outcomes);
  tell();
  EXPECT_EQ(told, "a- ");
  logic.disconnected();
  append("c");
  EXPECT_EQ(send(), "7/1 ");  // not c: there is a gap before b, perhaps
  accept(2);
  EXPECT_TRUE(send().empty());
  EXPECT_TRUE(logic.wants_identity());
  logic.identified({8, 0});
  EXPECT_EQ(send(), "8/0 ");
}

TEST_F(NumberingTest, WhatTheBrokerKnowsIsAcknowledgedWithoutAnOffset) {
  logic.identified({7, 0});
  append("a");
  send();
  refuse(0, ErrorCode::kDuplicateSequence);
  EXPECT_EQ(told, "a= ");
  append("b");
  EXPECT_EQ(send(), "7/1 ");
}

TEST_F(NumberingTest, AForgottenProducerGetsANewIdentityUnlessABatchMayBeStored) {
  logic.identified({7, 0});
  append("a");
  append("b");
  send();
  refuse(0, ErrorCode::kUnknownProducer);
  refuse(1, ErrorCode::kUnknownProducer);
  EXPECT_EQ(send(), "");
  logic.identified({8, 0});
  EXPECT_EQ(send(), "8/0 8/1 ");
  logic.disconnected();
  EXPECT_EQ(send(), "8/0 8/1 ");
  refuse(4, ErrorCode::kUnknownProducer);  // stored before the connection broke, or not
  EXPECT_EQ(told, "a- ");
}

TEST_F(NumberingTest, AFencedProducerFailsForGood) {
  logic.identified({7, 0});
  append("a");
  append("b", kSecond);
  send();
  refuse(0, ErrorCode::kProducerFenced);
  EXPECT_EQ(told, "a- b- ");
  EXPECT_TRUE(logic.fenced());
}

TEST_F(NumberingTest, ATopicCreatedAgainIsNumberedFromZero) {
  logic.identified({7, 0});
  append("a");
  send();
  logic.topic_gone(names[0]);
  append("b");
  EXPECT_EQ(send(), "");
  logic.release(0);
  EXPECT_EQ(send(), "");
  logic.identified({8, 0});
  EXPECT_EQ(send(), "8/0 8/1 ");
  logic.fail_topic(0, ErrorCode::kUnknownTopic, outcomes);
  tell();
  EXPECT_EQ(told, "a- b- ");
}

TEST(Numbers, WrapBehindTheLargest) {
  EXPECT_EQ(next_sequence(0x7ffffffe, 1), 0x7fffffff);
  EXPECT_EQ(next_sequence(0x7fffffff, 1), 0);
  EXPECT_EQ(next_sequence(0x7ffffff0, 32), 16);
}

}  // namespace
}  // namespace leat
