// Batches that name their source: stored where they continue it, duplicates where it is stored,
// refused otherwise; in the order of rule 2, at every durability, whatever else a batch waits for.
#include "server/broker/sources.h"

#include <gtest/gtest.h>

#include "tests/server/broker_fixture.h"

namespace leat::broker {
namespace {

SourceStep step(std::uint64_t from, std::uint64_t to, std::string_view source = "outbox") {
  return {source, {from, 0}, {to, 0}};
}

class SourcesTest : public BrokerFixture {
 protected:
  // The records (from, to] of the source.
  static std::vector<std::byte> batch(std::uint64_t from, std::uint64_t to,
                                      std::size_t value_bytes = 1, std::string_view id = {}) {
    RecordBatchBuilder builder;
    std::vector<RecordHeader> headers;
    if (!id.empty()) headers.push_back({"leat-id", as_bytes(id)});
    for (std::uint64_t i = from + 1; i <= to; ++i) {
      std::string text = std::to_string(i);
      text.resize(std::max(text.size(), value_bytes), '.');
      builder.append({.value = as_bytes(text), .headers = headers}, 1);
    }
    return builder.take(value_bytes > 1 ? Compression::kZstd : Compression::kNone);
  }
  void send(const SourceStep& said, int partition = 0, std::uint64_t connection = 1,
            std::size_t value_bytes = 1) {
    broker.produces().produce(next(connection), topic, PartitionIndex(partition),
                              batch(said.from.high, said.to.high, value_bytes), at(), said);
  }
  std::vector<int> stored(std::size_t partition = 0) {
    storage.make_durable(broker);
    std::vector<int> values;
    for (const auto& batches : storage.result_of(partition_id(topic, partition)).batches) {
      const auto reader = RecordReader::open(*RecordBatchView::parse(batches.bytes)).value();
      for (const RecordView& record : reader)
        values.push_back(std::stoi(std::string(as_text(*record.value))));
    }
    return values;
  }
  std::vector<SourcePosition> positions(std::string_view source = "outbox") {
    broker.produces().source_positions(next(), topic, source);
    storage.make_durable(broker);
    const auto* told = last<SourcePositions>();
    return told ? told->partitions : std::vector<SourcePosition>();
  }

  TopicId topic = create();
};

TEST_F(SourcesTest, AreStoredOnceAndInOrder) {
  send(step(0, 2));
  send(step(2, 3));
  EXPECT_EQ(last<Produced>(), nullptr);
  send(step(0, 2));
  EXPECT_EQ(last<Produced>(), nullptr) << "rule 2: a retry waits for what is not durable";
  EXPECT_EQ(stored(), (std::vector{1, 2, 3}));
  ASSERT_TRUE(last<Produced>());
  EXPECT_TRUE(last<Produced>()->duplicate);
  EXPECT_EQ(last<Produced>()->base, Offset(-1));
  send(step(3, 4), 1);
  storage.make_durable(broker);
  EXPECT_EQ(last_error(), ErrorCode::kSourceConflict);
  EXPECT_NE(error().detail.find("stored up to 0/0"), std::string::npos);
  send(step(0, 4), 1);
  EXPECT_EQ(positions(), (std::vector<SourcePosition>{{3, 0}, {4, 0}}));
  EXPECT_EQ(positions("another"), (std::vector<SourcePosition>{{}, {}}));
}

TEST_F(SourcesTest, NamesAndPositionsAreChecked) {
  const auto refused = [&](const SourceStep& said) {
    broker.produces().produce(next(), topic, PartitionIndex(0), batch(0, 1), at(), said);
    storage.make_durable(broker);
    return last_error();
  };
  EXPECT_EQ(refused(step(0, 1, "")), ErrorCode::kInvalidRequest);
  EXPECT_EQ(refused(step(0, 1, std::string(256, 'x'))), ErrorCode::kInvalidRequest);
  EXPECT_EQ(refused(step(0, 1, "\xff")), ErrorCode::kInvalidRequest);
  EXPECT_EQ(refused({"s", {4, 0}, {4, 0}}), ErrorCode::kInvalidRequest);
  broker.produces().source_positions(next(), topic, "");
  storage.make_durable(broker);
  EXPECT_EQ(last_error(), ErrorCode::kInvalidRequest);
  broker.produces().source_positions(next(), TopicId{}, "s");
  storage.make_durable(broker);
  EXPECT_EQ(last_error(), ErrorCode::kUnknownTopic);
  auto numbered = batch(0, 1);
  assign_producer(numbered, {7, 0}, 0);
  broker.produces().produce(next(), topic, PartitionIndex(0), numbered, at(), step(0, 1));
  storage.make_durable(broker);
  EXPECT_EQ(last_error(), ErrorCode::kInvalidRequest);
  EXPECT_TRUE(stored().empty());
  for (const char* name : {"a", "b", "c", "d"}) send(step(0, 1, name));
  EXPECT_EQ(refused(step(0, 1, "e")), ErrorCode::kLimitReached);
  EXPECT_EQ(stored().size(), test::FakeStorage::kSources);
}

TEST_F(SourcesTest, WhatIsCheckedElsewhereKeepsItsTurn) {
  const std::size_t large = kCheckedInPlaceDecompressedBytes + 1;
  send(step(0, 1), 0, 1, large);
  send(step(1, 2), 0, 1);
  send(step(0, 1), 0, 2);  // from another connection, as a producer that connected anew does
  EXPECT_TRUE(stored().empty());
  checker.tell_all(broker);
  EXPECT_EQ(stored(), (std::vector{1, 2}));
}

TEST_F(SourcesTest, BelowSyncTheyAreToldAtOnceAndLostTogetherWithTheirRecords) {
  topic = create("fast", 1, {.durability = Durability::kMemory});
  send(step(0, 2));
  ASSERT_TRUE(last<Produced>());
  send(step(2, 3));
  send(step(2, 3));
  ASSERT_TRUE(last<Produced>());
  EXPECT_TRUE(last<Produced>()->duplicate);
  storage.cut(partition_id(topic), Offset(2));
  EXPECT_EQ(positions(), (std::vector<SourcePosition>{{2, 0}}));
  send(step(3, 4));
  EXPECT_EQ(last_error(), ErrorCode::kSourceConflict);
  send(step(2, 4));
  EXPECT_EQ(stored(), (std::vector{1, 2, 3, 4}));
}

TEST_F(SourcesTest, ABatchOfKnownIdsMovesItsSourceOn) {
  broker.produces().produce(next(), topic, PartitionIndex(0), batch(0, 1, 1, "id"), at());
  broker.produces().produce(next(), topic, PartitionIndex(0), batch(0, 1, 1, "id"), at(),
                            step(0, 1));
  storage.make_durable(broker);
  EXPECT_EQ(stored(), std::vector{1});
  EXPECT_EQ(positions()[0], (SourcePosition{1, 0}));
  send(step(1, 2));
  EXPECT_EQ(stored(), (std::vector{1, 2}));
}

TEST_F(SourcesTest, AJournalThatFailedLeavesRetriesUnknown) {
  send(step(0, 1));
  storage.failed = true;
  broker.on_failed({ErrorCode::kIoError, "broken"});
  EXPECT_EQ(last_error(), ErrorCode::kOutcomeUnknown);
  send(step(0, 1));
  EXPECT_EQ(last_error(), ErrorCode::kOutcomeUnknown);
}

// Two producers of one name, which begin anew from anywhere they have been, ask, retry, lose
// replies; a broker that restarts and loses what was not durable: the log is the source.
TEST_F(SourcesTest, TheLogIsTheSource) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random dice(seed);
    topic = create("t" + std::to_string(seed), 1);
    constexpr std::uint64_t kRecords = 40;
    std::uint64_t at[2] = {}, acked = 0;
    std::map<std::uint64_t, std::pair<int, std::uint64_t>> asked;  // correlation -> who, up to
    for (int move = 0; move < 10'000 && acked < kRecords; ++move) {
      const auto who = static_cast<int>(dice.below(2));
      switch (dice.below(12)) {
        case 0:
          at[who] = dice.below(at[who] + 1);
          break;
        case 1:
          at[who] = storage.source_position(partition_id(topic), "outbox").high;
          break;
        case 2:
          storage.make_durable(broker);
          break;
        case 3:
          // A restart: what was not durable is gone, and nobody was told of it.
          if (dice.below(4) != 0) break;
          storage.cut(partition_id(topic), storage.bounds(partition_id(topic)).high_watermark);
          asked.clear();
          break;
        default: {
          const std::uint64_t to = std::min(kRecords, at[who] + 1 + dice.below(3));
          if (to == at[who]) break;
          send(step(at[who], to), 0, 1 + static_cast<std::uint64_t>(who));
          asked[correlation] = {who, to};
          at[who] = to;  // several on their way
        }
      }
      for (auto& [id, reply] : std::exchange(sink.replies, {})) {
        const auto of = asked.find(id);
        if (of == asked.end()) continue;
        if (std::holds_alternative<Produced>(reply))
          acked = std::max(acked, of->second.second);
        else
          at[of->second.first] = acked;
        asked.erase(of);
      }
    }
    std::vector<int> all;
    for (int i = 1; i <= static_cast<int>(kRecords); ++i) all.push_back(i);
    ASSERT_EQ(stored(), all);
    broker.delete_topic(next(), "t" + std::to_string(seed), this->at());
    storage.make_durable(broker);
    sink.replies.clear();
  }
}

}  // namespace
}  // namespace leat::broker
