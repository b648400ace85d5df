// The producer's logic with a source: batches that say where they lie in it, over lost connections,
// against the state machine that keeps the positions.
#include <deque>
#include <functional>
#include <memory>
#include <set>

#include <gtest/gtest.h>

#include "client/producer_logic.h"
#include "protocol/base/random.h"
#include "storage/state/source_store.h"

namespace leat {
namespace {

using namespace std::chrono_literals;

constexpr ProducerLogic::Target kFirst{0, PartitionIndex(0)}, kSecond{0, PartitionIndex(1)};

class ProducerSource : public ::testing::Test {
 protected:
  // Whether the record was admitted; what becomes of it is noted under its position.
  Result<> append(std::uint64_t position, ProducerLogic::Target target = kFirst) {
    const SourcePosition at{position, 0};
    if (auto ok = logic.admit(target, at); !ok) return ok;
    logic.append(
        target, {{}, as_bytes(std::to_string(position)), {}}, 1,
        [this, position](Result<Ack> ack) {
          told.push_back(std::to_string(position) + (!ack ? "!" : ack->duplicate ? "=" : "+"));
        },
        now, logic.reserve(), at);
    return {};
  }
  std::string outcomes() {
    logic.take_stored(waiting);
    for (auto& outcome : std::exchange(waiting, {})) outcome.handler(std::move(outcome.result));
    std::string all;
    for (const std::string& one : std::exchange(told, {})) all += one + " ";
    return all;
  }
  void acknowledge(const ProducerLogic::Outgoing& batch, std::int64_t offset = 0) {
    logic.acknowledged(batch.name, {PartitionIndex(0), Offset(offset), Durability::kSync, false},
                       waiting);
  }
  static std::string said(const ProducerLogic::Outgoing& batch) {
    return std::to_string(batch.source->from.high) + ">" + std::to_string(batch.source->to.high);
  }
  std::string send() {
    std::string all;
    for (const auto& batch : sent = logic.ready(now)) all += said(batch) + " ";
    return all;
  }

  MonotonicTime now{1h};
  ProducerLogic logic{{.linger = 0ms, .max_in_flight = 3, .delivery_timeout = 1s, .source = "s"}};
  std::vector<ProducerLogic::Outgoing> sent;
  std::vector<ProducerLogic::Outcome> waiting;
  std::vector<std::string> told;
};

TEST_F(ProducerSource, BatchesContinueOneAnother) {
  logic.learned(0, {{4, 0}, {}}, Durability::kSync);
  ASSERT_TRUE(append(3));  // is there
  ASSERT_TRUE(append(4));
  EXPECT_FALSE(logic.done_through(2));
  EXPECT_EQ(outcomes(), "3= 4= ");
  EXPECT_TRUE(logic.done_through(2));
  ASSERT_TRUE(append(7));
  ASSERT_TRUE(append(9));
  EXPECT_EQ(send(), "4>9 ");
  EXPECT_EQ(sent[0].source->source, "s");
  EXPECT_EQ(RecordBatchView::parse(sent[0].bytes)->producer_id(), -1);
  ASSERT_TRUE(append(10));
  ASSERT_TRUE(append(3, kSecond));
  EXPECT_EQ(send(), "9>10 0>3 ");
  logic.disconnected();
  EXPECT_EQ(send(), "4>9 9>10 0>3 ");  // as before
  acknowledge(sent[0], 5);
  EXPECT_EQ(outcomes(), "7+ 9+ ");
  EXPECT_FALSE(logic.wants_identity());
}

TEST_F(ProducerSource, PositionsRise) {
  logic.learned(0, {{}, {}}, Durability::kSync);
  EXPECT_EQ(append(0).error(), ErrorCode::kInvalidRequest);
  ASSERT_TRUE(append(5));
  EXPECT_EQ(append(5).error(), ErrorCode::kInvalidRequest);
  EXPECT_EQ(append(4).error(), ErrorCode::kInvalidRequest);
  ASSERT_TRUE(append(4, kSecond));
  EXPECT_EQ(logic.admit(kFirst, std::nullopt).error(), ErrorCode::kInvalidRequest);
  ProducerLogic without({});
  EXPECT_EQ(without.admit(kFirst, SourcePosition{1, 0}).error(), ErrorCode::kInvalidRequest);
  EXPECT_TRUE(without.admit(kFirst, std::nullopt));
}

TEST_F(ProducerSource, WhatFailsTakesAllBehindItWithIt) {
  logic.learned(0, {{}, {}}, Durability::kSync);
  for (const std::uint64_t i : {1u, 2u, 3u}) {
    ASSERT_TRUE(append(i));
    send();
  }
  ASSERT_TRUE(append(4));
  ASSERT_TRUE(append(1, kSecond));
  logic.disconnected();
  EXPECT_EQ(send(), "0>1 1>2 2>3 0>1 ");
  logic.refused(sent[1].name, {ErrorCode::kSourceConflict, "stored up to 9/0"}, waiting);
  EXPECT_EQ(outcomes(), "2! 3! 4! ");
  const auto later = append(5);
  ASSERT_FALSE(later);
  EXPECT_EQ(later.error(), ErrorCode::kSourceConflict);
  EXPECT_EQ(later.error().detail, "stored up to 9/0");
  acknowledge(sent[0]);
  acknowledge(sent[3]);
  EXPECT_EQ(outcomes(), "1+ 1+ ");
  EXPECT_TRUE(append(2, kSecond));  // another partition goes on
  EXPECT_TRUE(logic.ready(now).size() == 1);
}

TEST_F(ProducerSource, WhatIsGivenUpBreaksOffToo) {
  logic.learned(0, {{}}, Durability::kSync);
  ASSERT_TRUE(append(1));
  send();
  now += 600ms;
  ASSERT_TRUE(append(2));
  now += 500ms;
  logic.expire(now, waiting);
  EXPECT_EQ(outcomes(), "1! 2! ");
  EXPECT_EQ(append(3).error(), ErrorCode::kTimedOut);
  EXPECT_TRUE(logic.idle());
  EXPECT_EQ(logic.buffered_bytes(), 0u);
}

TEST_F(ProducerSource, ATopicThatIsThereAnewIsAskedAgain) {
  logic.learned(0, {{4, 0}}, Durability::kSync);
  ASSERT_TRUE(append(5));
  EXPECT_EQ(send(), "4>5 ");
  const auto first = sent[0];
  ASSERT_TRUE(append(6));
  EXPECT_EQ(send(), "5>6 ");
  const auto second = sent[0];
  logic.topic_gone(first.name);
  EXPECT_EQ(send(), "");
  logic.learned(0, {{}}, Durability::kSync);
  logic.release(0);
  EXPECT_EQ(send(), "");  // the second is not answered yet
  logic.topic_gone(second.name);
  logic.learned(0, {{}}, Durability::kSync);
  logic.release(0);
  EXPECT_EQ(send(), "0>5 5>6 ");
}

// A relay that reads a source, dies, begins anew from anywhere it has been and sends what follows,
// in batches cut as they come, over connections that break; its predecessor's batches may still be
// on their way. What is stored is the source; what was acked is stored.
TEST(ProducerSources, ARelayThatDiesLeavesNoDuplicateAndNoGap) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    storage::SourceStore sources(10);
    std::vector<std::uint64_t> stored[2];
    struct OnTheWire {
      int life;
      ProducerLogic::BatchName name;
      std::vector<std::byte> bytes;
      SourcePosition from, to;
    };
    std::deque<OnTheWire> wire;
    std::deque<std::pair<int, std::function<void(ProducerLogic&)>>> replies;
    std::vector<ProducerLogic::Outcome> outcomes;
    constexpr std::uint64_t kRecords = 120;
    std::uint64_t confirmed = 0;  // where a relay begins
    MonotonicTime now{1h};
    const auto id_of = [](ProducerLogic::Target target) {
      return PartitionId(static_cast<std::uint32_t>(target.partition.value) + 1);
    };
    int life = 0;
    std::unique_ptr<ProducerLogic> logic;
    std::uint64_t read = 0;
    std::set<std::uint64_t> acked;
    const auto begin = [&] {
      ++life;
      logic = std::make_unique<ProducerLogic>(
          ProducerOptions{.linger = 2ms, .batch_bytes = 300, .max_in_flight = 3, .source = "s"});
      logic->learned(0,
                     {sources.position(PartitionId(1), "s"), sources.position(PartitionId(2), "s")},
                     Durability::kSync);
      read = confirmed;
      acked.clear();
    };
    const auto arrive = [&] {
      const OnTheWire batch = wire.front();
      wire.pop_front();
      const PartitionId partition = id_of(batch.name.target);
      const auto verdict = sources.check(partition, {"s", batch.from, batch.to});
      if (!verdict)
        return replies.emplace_back(
            batch.life, [&, name = batch.name, error = verdict.error()](ProducerLogic& to) {
              to.refused(name, error, outcomes);
            });
      if (*verdict) {
        sources.apply({partition, "s", batch.to});
        const auto sent = RecordBatchView::parse(batch.bytes);
        for (const RecordView& record : *sent)
          stored[batch.name.target.partition.value].push_back(
              std::stoull(std::string(as_text(*record.value))));
      }
      return replies.emplace_back(batch.life, [&, name = batch.name,
                                               duplicate = !*verdict](ProducerLogic& to) {
        to.acknowledged(
            name, {name.target.partition, Offset(duplicate ? -1 : 0), Durability::kSync, duplicate},
            outcomes);
      });
    };
    begin();
    bool broken = false;
    for (int step = 0; step < 200'000 && confirmed < kRecords; ++step) {
      now += 1ms;
      switch (random.below(8)) {
        case 0:
          if (!wire.empty()) arrive();
          break;
        case 1: {
          if (replies.empty()) break;
          const auto [of, reply] = std::move(replies.front());
          replies.pop_front();
          if (of == life) reply(*logic);
          break;
        }
        case 2:
        case 3:
          for (const auto& batch : logic->ready(now))
            wire.push_back({life,
                            batch.name,
                            {batch.bytes.begin(), batch.bytes.end()},
                            batch.source->from,
                            batch.source->to});
          break;
        case 4:
          if (random.below(15) != 0) break;
          // The connection breaks: some of what was on its way arrives, later than what is new.
          while (!wire.empty() && random.below(2)) arrive();
          if (random.below(2)) wire.clear();
          replies.clear();
          logic->disconnected();
          break;
        case 5:
          if (broken || random.below(80) == 0) begin();  // dies, or gives up
          broken = false;
          break;
        default: {
          if (read == kRecords) break;
          const std::uint64_t position = read + 1;
          const auto target = position % 3 == 0 ? kFirst : kSecond;
          if (!logic->admit(target, SourcePosition{position, 0})) {
            broken = true;
            break;
          }
          read = position;
          const std::string value = std::to_string(position);
          logic->append(
              target, {{}, as_bytes(value), {}}, 1,
              [&, position, of = life](Result<Ack> ack) {
                if (of != life) return;
                if (!ack) {
                  broken = true;
                  return;
                }
                acked.insert(position);
                while (acked.contains(confirmed + 1)) ++confirmed;
              },
              now, logic->reserve(), SourcePosition{position, 0});
        }
      }
      logic->take_stored(outcomes);
      for (auto& outcome : std::exchange(outcomes, {})) outcome.handler(std::move(outcome.result));
    }
    ASSERT_EQ(confirmed, kRecords);
    while (!wire.empty()) arrive();
    for (int p = 0; p < 2; ++p) {
      std::vector<std::uint64_t> all;
      for (std::uint64_t i = 1; i <= kRecords; ++i)
        if ((i % 3 == 0) == (p == 0)) all.push_back(i);
      ASSERT_EQ(stored[p], all);
    }
  }
}

}  // namespace
}  // namespace leat
