// Records that are not to be delivered before, or after, a time.
#include <gmock/gmock.h>

#include "protocol/record_extras.h"
#include "protocol/reserved_headers.h"
#include "tests/server/delivery/deliveries_fixture.h"

namespace leat::broker {
namespace {

class TimedDeliveries : public DeliveriesFixture, public ::testing::WithParamInterface<GroupKind> {
 protected:
  struct Timed {
    std::string_view key;
    std::optional<std::chrono::milliseconds> delay, ttl;
  };
  // In one batch.
  void write_timed(const std::vector<Timed>& records, std::size_t value_bytes = 1,
                   Compression compression = Compression::kNone) {
    const std::int64_t now_ms = when().wall.time_since_epoch().count();
    const std::string value(value_bytes, 'v');
    RecordBatchBuilder builder;
    for (const Timed& record : records) {
      std::vector<std::string> times;
      std::vector<RecordHeader> headers;
      times.reserve(2);
      const auto add = [&](std::string_view name, std::chrono::milliseconds in) {
        times.push_back(std::to_string(now_ms + in.count()));
        headers.push_back({name, as_bytes(times.back())});
      };
      if (record.delay) add(reserved_headers::kDeliverAt, *record.delay);
      if (record.ttl) add(reserved_headers::kExpiresAt, *record.ttl);
      builder.append({as_bytes(record.key), as_bytes(value), headers}, now_ms);
    }
    broker.produces().produce(next(9), orders, PartitionIndex(0), builder.finish(compression),
                              when());
    storage.make_durable(broker);
    broker.deliveries().dispatch(when());
  }
  AttachRequest member() { return request(GetParam()); }
  void detach(std::uint64_t connection) {
    broker.deliveries().detach(next(connection), 1, when());
    broker.deliveries().dispatch(when());
  }
  void answer_reads() {
    for (const storage::ReadToken token : std::exchange(storage.waiting_reads, {})) {
      broker.on_read(token, storage.answer(token));
      broker.on_time(when());
      broker.deliveries().dispatch(when());
    }
  }
  Offset floor() { return storage.committed("g", orders, PartitionIndex(0))->offset; }
};

INSTANTIATE_TEST_SUITE_P(Kinds, TimedDeliveries,
                         ::testing::Values(GroupKind::kShared, GroupKind::kKeyShared),
                         [](const auto& kind) { return std::string(name_of(kind.param)); });

TEST_P(TimedDeliveries, ADelayedRecordComesWhenItIsDueAndOthersBefore) {
  attach(1, member());
  write_timed({{"a", 100ms}, {"a"}, {"b", 50ms}});
  EXPECT_THAT(take(1), testing::ElementsAre(Got{1, 1}));
  pass(49ms);
  EXPECT_TRUE(take(1).empty());
  pass(1ms);
  EXPECT_THAT(take(1), testing::ElementsAre(Got{2, 1}));
  settle(1, 1, 1, Outcome::kAck);
  settle(1, 2, 2, Outcome::kAck);
  EXPECT_EQ(floor(), Offset(0)) << "what is delayed is not done";
  pass(50ms);
  EXPECT_THAT(take(1), testing::ElementsAre(Got{0, 1}));
  settle(1, 0, 0, Outcome::kAck);
  EXPECT_EQ(floor(), Offset(3));
}

TEST_P(TimedDeliveries, TheBrokerWakesForIt) {
  attach(1, member());
  write_timed({{"a", 70ms}});
  ASSERT_TRUE(broker.deliveries().next_deadline());
  EXPECT_EQ(*broker.deliveries().next_deadline(), now + 70ms);
}

TEST_P(TimedDeliveries, WhatIsDueAlreadyComesAtOnce) {
  attach(1, member());
  write_timed({{"a", 0ms}, {"b", -5'000ms}, {"c", 1ms}});
  EXPECT_EQ(take(1), firsts(0, 1));
}

TEST_P(TimedDeliveries, ADelaySurvivesThoseWhoWaitForIt) {
  attach(1, member());
  write_timed({{"a", 1'000ms}, {"b"}, {"c", 1'000ms}});
  EXPECT_THAT(take(1), testing::ElementsAre(Got{1, 1}));
  settle(1, 1, 1, Outcome::kAck);
  detach(1);
  pass(500ms);
  attach(2, member());
  EXPECT_TRUE(take(2).empty());
  pass(500ms);
  EXPECT_THAT(take(2), testing::ElementsAre(Got{0, 1}, Got{2, 1}));
}

TEST_P(TimedDeliveries, ADelayedRecordThatFailedIsTriedAgain) {
  attach(1, member());
  write_timed({{"a", 10ms}});
  pass(10ms);
  EXPECT_THAT(take(1), testing::ElementsAre(Got{0, 1}));
  settle(1, 0, 0, Outcome::kNack, 20ms);
  EXPECT_TRUE(take(1).empty());
  detach(1);
  attach(2, member());
  EXPECT_TRUE(take(2).empty());
  pass(20ms);
  EXPECT_THAT(take(2), testing::ElementsAre(Got{0, 2}));
}

TEST_P(TimedDeliveries, AnExpiredRecordIsNotDeliveredAndCountsAsDone) {
  write_timed({{"a", {}, 10ms}, {"a"}, {"b", {}, 30ms}, {"c", {}, 10ms}});
  pass(20ms);
  attach(1, member());
  EXPECT_EQ(take(1), firsts(1, 2));
  EXPECT_EQ(floor(), Offset(1));
  settle(1, 1, 1, Outcome::kAck);
  settle(1, 2, 2, Outcome::kAck);
  EXPECT_EQ(floor(), Offset(4));
}

TEST_P(TimedDeliveries, ItExpiresWhileItIsDelayedOrWaitsForAnotherTry) {
  attach(1, member());
  write_timed({{"a", 100ms, 50ms}, {"b", {}, 50ms}, {"b"}});
  EXPECT_EQ(take(1), firsts(1, 2));
  settle(1, 1, 1, Outcome::kNack, 60ms);
  pass(100ms);
  const auto got = take(1);
  if (GetParam() == GroupKind::kKeyShared)
    EXPECT_THAT(got, testing::ElementsAre(Got{2, 1})) << "it stood behind the one that expired";
  else
    EXPECT_TRUE(got.empty());
  settle(1, 2, 2, Outcome::kAck);
  EXPECT_EQ(floor(), Offset(3));
}

TEST_P(TimedDeliveries, ATopicsTimeToLiveHoldsForEveryRecord) {
  broker.configure_topic(next(), "orders", {.ttl = 100ms}, now);
  write_timed({{"a"}, {"b", {}, 5'000ms}});
  pass(60ms);
  write_timed({{"a"}});
  pass(60ms);
  attach(1, member());
  EXPECT_EQ(take(1), firsts(2, 2));
  EXPECT_EQ(floor(), Offset(2));
}

TEST_P(TimedDeliveries, WhatExpiresMayBecomeADeadLetterWhichDoesNotExpire) {
  AttachRequest one = member();
  one.settings.dead_letter_expired = true;
  write_timed({{"a", {}, 10ms}, {"b"}});
  pass(20ms);
  attach(1, one);
  EXPECT_EQ(take(1), firsts(1, 1));
  storage.make_durable(broker);
  EXPECT_EQ(floor(), Offset(1));
  const storage::Topic* dead = storage.find_topic("orders.dlq");
  ASSERT_TRUE(dead);
  const auto read = storage.result_of(dead->partitions[0]);
  ASSERT_EQ(read.batches.size(), 1u);
  const RecordView letter = *RecordBatchView::parse(read.batches[0].bytes)->begin();
  EXPECT_EQ(as_text(*letter.key), "a");
  EXPECT_EQ(as_text(*letter.headers.find(reserved_headers::kDeadReason)->value), "expired");
  EXPECT_EQ(as_text(*letter.headers.find(reserved_headers::kDeadAttempts)->value), "0");
  EXPECT_TRUE(letter.headers.find(reserved_headers::kExpiresAt)) << "as it was";
  EXPECT_FALSE(read_extras(letter.headers)->timed());
}

TEST_P(TimedDeliveries, ManyMoreThanMayBeKnownComeInTimeAll) {
  for (const bool later : {false, true}) {
    attach(1, member());
    std::int64_t first = storage.result_of(partition_id(orders)).batches.empty() ? 0 : 400;
    for (int batch = 0; batch < 40; ++batch) {
      std::vector<Timed> records;
      for (int i = 0; i < 10; ++i)
        records.push_back({"k", std::chrono::milliseconds(20'000 + (batch * 7 + i * 13) % 50)});
      write_timed(records);
    }
    EXPECT_TRUE(take(1).empty());
    storage.reads_later = later;
    std::set<std::int64_t> seen;
    for (int ms = 0; ms < 20'060; ms += ms < 19'980 ? 333 : 1) {
      for (int i = 0; i < 50; ++i) {
        // Nothing is long overdue, or the clock would be taken to have stood still (rule 11).
        if (const auto due = broker.deliveries().next_deadline()) {
          EXPECT_GE(*due + 1s, now);
        }
        pass(0ms);
        answer_reads();
        for (const Got& got : take(1)) {
          EXPECT_TRUE(seen.insert(got.offset).second) << got.offset;
          settle(1, got.offset, got.offset, Outcome::kAck);
          broker.deliveries().grant(ConnectionId(1), 1, {10'000, 1 << 30});
        }
      }
      pass(ms < 19'980 ? 333ms : 1ms);
    }
    EXPECT_EQ(seen.size(), 400u);
    EXPECT_EQ(*seen.begin(), first);
    EXPECT_EQ(floor(), Offset(first + 400));
    storage.reads_later = false;
    detach(1);
  }
}

TEST_P(TimedDeliveries, TheWallClockMayBeSet) {
  attach(1, member());
  write_timed({{"a", 3'600'000ms}});
  wall += 3'600'000ms;  // forward, unnoticed; it is looked at once a minute
  EXPECT_LE(*broker.deliveries().next_deadline(), now + 60s);
  pass(60s);
  EXPECT_EQ(take(1), firsts(0, 0));
  settle(1, 0, 0, Outcome::kAck);
  write_timed({{"a", 1'000ms}});
  wall -= 500ms;
  pass(1'000ms);
  EXPECT_TRUE(take(1).empty());
  pass(500ms);
  EXPECT_EQ(take(1), firsts(1, 1));
}

TEST_P(TimedDeliveries, OfALargeBatchOnlyWhatIsDueGoesOut) {
  for (const Compression compression : {Compression::kNone, Compression::kZstd}) {
    attach(1, member());
    std::vector<Timed> records;
    for (int i = 0; i < 40; ++i) records.push_back({"k", std::chrono::milliseconds(100 + i)});
    write_timed(records, 1'000, compression);
    pass(104ms);
    std::size_t bytes = 0;
    std::uint64_t got = 0;
    while (const auto delivered = broker.deliveries().next(ConnectionId(1))) {
      bytes += delivered->bytes;
      for (const auto& part : delivered->ranges)
        number[1][part.range.first.value] = delivered->number;
      for (const auto& stored : delivered->batches) {
        const auto batch = *RecordBatchView::parse(stored.bytes);
        EXPECT_TRUE(batch.check());
      }
      for (const auto& [range, attempt] : delivered->ranges) {
        got += count(range);
        settle(1, range.first.value, range.last.value, Outcome::kAck);
      }
      broker.deliveries().dispatch(when());
    }
    EXPECT_EQ(got, 5u);
    if (compression == Compression::kNone) {
      EXPECT_LT(bytes, 10'000u);
    }
    pass(10'000ms);
    const auto all = take(1);
    EXPECT_EQ(all.size(), 35u);
    for (const Got& one : all) settle(1, one.offset, one.offset, Outcome::kAck);
    detach(1);
  }
}

TEST_P(TimedDeliveries, WhatIsDueSoonIsReadBeforeItsTime) {
  attach(1, member());
  write_timed({{"a", 3'000ms}, {"b", 3'100ms}, {"c", 60'000ms}});
  storage.reads_later = true;
  for (int ms = 0; ms < 2'900; ms += 100) {
    pass(100ms);
    answer_reads();
  }
  const std::size_t reads = storage.reads.size();
  EXPECT_GT(reads, 0u);
  pass(100ms);
  EXPECT_EQ(take(1), firsts(0, 0));
  pass(100ms);
  EXPECT_EQ(take(1), firsts(1, 1));
  EXPECT_EQ(storage.reads.size(), reads) << "nothing is read when they are due";
  settle(1, 0, 0, Outcome::kAck);
  settle(1, 1, 1, Outcome::kAck);
  EXPECT_EQ(floor(), Offset(2));
}

TEST_P(TimedDeliveries, WhatWasReadAheadWaitsForItsKeyAndGoesWithoutOne) {
  attach(1, member());
  write_timed({{"k", 200ms}, {"k"}, {"x", 200ms}});
  EXPECT_EQ(take(1), firsts(1, 1));
  settle(1, 1, 1, Outcome::kNack, 500ms);
  pass(200ms);
  EXPECT_THAT(take(1), testing::ElementsAre(Got{0, 1}, Got{2, 1}));
  attach(2, member());
  settle(1, 0, 0, Outcome::kNack, 0ms);
  settle(1, 2, 2, Outcome::kReject);
  // By key it stands before the one that waits for another try.
  std::set<std::int64_t> got;
  for (const std::uint64_t connection : {1, 2})
    for (const Got& one : take(connection)) {
      got.insert(one.offset);
      settle(connection, one.offset, one.offset, Outcome::kAck);
    }
  EXPECT_THAT(got, testing::ElementsAre(0));
  pass(300ms);
  for (const std::uint64_t connection : {1, 2})
    for (const Got& one : take(connection))
      settle(connection, one.offset, one.offset, Outcome::kAck);
  EXPECT_EQ(floor(), Offset(3));
}

TEST_P(TimedDeliveries, WhatWasReadAheadIsGoneWithItsTopicItsGroupAndTheLogStart) {
  attach(1, member());
  write_timed({{"a", 500ms}, {"b", 500ms}, {"c", 500ms}});
  pass(0ms);
  ASSERT_TRUE(storage.move_log_start(partition_id(orders), Offset(1)));
  detach(1);
  attach(2, member());
  pass(500ms);
  EXPECT_EQ(take(2), firsts(1, 2));
  write_timed({{"d", 500ms}});
  storage.reads_later = true;
  pass(0ms);
  broker.delete_topic(next(), "orders", when());
  answer_reads();
  pass(500ms);
  EXPECT_TRUE(take(2).empty());
}

TEST_P(TimedDeliveries, WhileNobodyMayTakeMoreWhatIsDueStaysAtHand) {
  AttachRequest one = member();
  one.grants = {1, 1 << 20};
  attach(1, one);
  write_timed({{"a", 100ms}, {"b", 100ms}, {"c", 100ms, 5'000ms}});
  storage.reads_later = true;
  pass(0ms);
  answer_reads();
  pass(100ms);
  EXPECT_EQ(take(1), firsts(0, 0));
  pass(6'000ms);
  settle(1, 0, 0, Outcome::kAck);
  broker.deliveries().grant(ConnectionId(1), 1, {10, 1 << 20});
  broker.deliveries().dispatch(when());
  EXPECT_EQ(take(1), firsts(1, 1)) << "the last has expired meanwhile";
  settle(1, 1, 1, Outcome::kAck);
  EXPECT_EQ(floor(), Offset(3));
}

TEST_F(DeliveriesFixture, ARetryOutOfALargeBatchGoesOutAlone) {
  attach(1, request());
  RecordBatchBuilder builder;
  for (int i = 0; i < 40; ++i)
    builder.append({as_bytes("k"), as_bytes(std::string(1'000, 'v')), {}}, 1);
  broker.produces().produce(next(9), orders, PartitionIndex(0), builder.finish(), when());
  storage.make_durable(broker);
  broker.deliveries().dispatch(when());
  EXPECT_EQ(take(1), firsts(0, 39));
  settle(1, 17, 17, Outcome::kNack, 0ms);
  const auto again = broker.deliveries().next(ConnectionId(1));
  ASSERT_TRUE(again);
  EXPECT_LT(again->bytes, 2'000u);
  const auto batch = *RecordBatchView::parse(again->batches.at(0).bytes);
  EXPECT_TRUE(batch.check());
  EXPECT_EQ(batch.record_count(), 1);
  EXPECT_EQ((*batch.begin()).offset, Offset(17));
}

}  // namespace
}  // namespace leat::broker
