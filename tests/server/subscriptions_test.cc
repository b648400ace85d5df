// Push delivery (rule 10): within the grants, one batch always passes, nothing skipped or repeated.
#include "server/broker/subscriptions.h"

#include "tests/server/broker_fixture.h"

namespace leat::broker {
namespace {

using namespace std::chrono_literals;

class SubscriptionsTest : public BrokerFixture {
 protected:
  void subscribe(const TopicId& topic, std::uint32_t id, Offset from, Grants grants,
                 std::uint64_t connection = 1, LeaderEpoch epoch = LeaderEpoch(-1)) {
    broker.subscriptions().subscribe(next(connection),
                                     {id, topic, PartitionIndex(0), from, epoch, grants, 1 << 20});
  }
  std::optional<PushedBatches> pushed(std::uint64_t connection = 1) {
    return broker.subscriptions().next_push(ConnectionId(connection));
  }
  static std::vector<Offset> offsets(const PushedBatches& push) {
    std::vector<Offset> all;
    for (const auto& stored : push.batches)
      for (Bytes rest = stored.bytes; !rest.empty();) {
        const auto batch = *RecordBatchView::parse(rest);
        for (const RecordView& record : batch) all.push_back(record.offset);
        rest = rest.subspan(batch.bytes().size());
      }
    return all;
  }
  void fill(const TopicId& topic, int batches, int records = 2) {
    for (int i = 0; i < batches; ++i) produce(topic, records);
    storage.make_durable(broker);
    sink.replies.clear();
  }
};

TEST_F(SubscriptionsTest, WhatIsThereComesAtOnceAndWhatFollowsWhenItIsDurable) {
  const TopicId topic = create();
  fill(topic, 2);
  subscribe(topic, 5, Offset(0), {100, 1 << 20});
  ASSERT_TRUE(last<Subscribed>());
  EXPECT_TRUE(sink.ready.contains(ConnectionId(1)));
  auto push = pushed();
  ASSERT_TRUE(push);
  EXPECT_EQ(push->subscription, 5u);
  EXPECT_EQ(offsets(*push), (std::vector<Offset>{Offset(0), Offset(1), Offset(2), Offset(3)}));
  EXPECT_FALSE(pushed());
  sink.ready.clear();
  produce(topic);
  EXPECT_FALSE(pushed());
  EXPECT_TRUE(sink.ready.empty());
  storage.make_durable(broker);
  EXPECT_TRUE(sink.ready.contains(ConnectionId(1)));
  push = pushed();
  ASSERT_TRUE(push);
  EXPECT_EQ(offsets(*push), std::vector<Offset>{Offset(4)});
}

TEST_F(SubscriptionsTest, GrantsAreCumulativeAndOneBatchAlwaysPasses) {
  const TopicId topic = create();
  fill(topic, 5);
  subscribe(topic, 1, Offset(0), {1, 1});  // less than one batch, which passes
  auto push = pushed();
  ASSERT_TRUE(push);
  EXPECT_EQ(offsets(*push).size(), 2u);
  EXPECT_FALSE(pushed());
  broker.subscriptions().grant(ConnectionId(1), 1, {1, 1 << 20});  // no more records than before
  EXPECT_FALSE(pushed());
  broker.subscriptions().grant(ConnectionId(1), 1, {5, 1 << 20});
  push = pushed();
  ASSERT_TRUE(push);
  EXPECT_EQ(offsets(*push), (std::vector<Offset>{Offset(2), Offset(3)}));  // 4 of 5: room for one
  push = pushed();
  ASSERT_TRUE(push);
  EXPECT_EQ(offsets(*push), (std::vector<Offset>{Offset(4), Offset(5)}));
  broker.subscriptions().grant(ConnectionId(1), 1, {2, 1});  // lower than before: nothing changes
  EXPECT_FALSE(pushed());
  broker.subscriptions().grant(ConnectionId(1), 1, {1000, 1 << 20});
  push = pushed();
  ASSERT_TRUE(push);
  EXPECT_EQ(offsets(*push).size(), 4u);
  broker.subscriptions().grant(ConnectionId(1), 77, {1, 1});  // nobody's
}

TEST_F(SubscriptionsTest, SubscriptionsOfAConnectionTakeTurns) {
  const TopicId topic = create();
  fill(topic, 4, 1);
  subscribe(topic, 1, Offset(0), {1, 1 << 20});
  subscribe(topic, 2, Offset(0), {1, 1 << 20});
  broker.subscriptions().grant(ConnectionId(1), 1, {2, 1 << 20});
  std::vector<std::uint32_t> order;
  while (auto push = pushed()) order.push_back(push->subscription);
  EXPECT_EQ(order, (std::vector<std::uint32_t>{1, 2}));
}

TEST_F(SubscriptionsTest, AColdReadComesLaterOnce) {
  const TopicId topic = create();
  fill(topic, 3);
  storage.reads_later = true;
  subscribe(topic, 1, Offset(2), {100, 1 << 20});
  EXPECT_FALSE(pushed());
  EXPECT_FALSE(pushed());
  ASSERT_EQ(storage.waiting_reads.size(), 1u);
  EXPECT_EQ(storage.last_read.from, Offset(2));
  sink.ready.clear();
  broker.on_read(storage.waiting_reads[0], storage.result_of(partition_id(topic), Offset(2)));
  EXPECT_TRUE(sink.ready.contains(ConnectionId(1)));
  auto push = pushed();
  ASSERT_TRUE(push);
  EXPECT_EQ(offsets(*push).front(), Offset(2));
  EXPECT_FALSE(pushed());
}

TEST_F(SubscriptionsTest, AReadThatComesTooLateIsForgotten) {
  const TopicId topic = create();
  fill(topic, 3);
  storage.reads_later = true;
  subscribe(topic, 1, Offset(0), {100, 1 << 20});
  EXPECT_FALSE(pushed());
  broker.subscriptions().unsubscribe(next(), 1);
  EXPECT_TRUE(last<Unsubscribed>());
  subscribe(topic, 1, Offset(4), {100, 1 << 20});
  broker.on_read(storage.waiting_reads.at(0), storage.result_of(partition_id(topic)));
  storage.reads_later = false;
  auto push = pushed();
  ASSERT_TRUE(push);
  EXPECT_EQ(offsets(*push).front(), Offset(4));
}

TEST_F(SubscriptionsTest, AFailedReadAndADeletedTopicEndIt) {
  const TopicId topic = create();
  fill(topic, 3);
  storage.reads_later = true;
  subscribe(topic, 1, Offset(0), {100, 1 << 20});
  EXPECT_FALSE(pushed());
  broker.on_read(storage.waiting_reads.at(0), fail(ErrorCode::kCorruptStorage, "hole"));
  subscribe(topic, 2, Offset(0), {100, 1 << 20});
  broker.delete_topic(next(), "orders", at());
  EXPECT_EQ(sink.ended, (std::vector<std::pair<std::uint32_t, ErrorCode>>{
                            {1, ErrorCode::kCorruptStorage}, {2, ErrorCode::kUnknownTopic}}));
  EXPECT_FALSE(pushed());
}

TEST_F(SubscriptionsTest, RefusesWhatItCannotServe) {
  const TopicId topic = create();
  subscribe(topic, 1, Offset(1), {1, 1});
  EXPECT_EQ(last_error(), ErrorCode::kOffsetOutOfRange);
  subscribe(TopicId{}, 1, Offset(0), {1, 1});
  EXPECT_EQ(last_error(), ErrorCode::kUnknownTopic);
  subscribe(topic, 1, Offset(0), {1, 1});
  subscribe(topic, 1, Offset(0), {1, 1});
  EXPECT_EQ(last_error(), ErrorCode::kInvalidRequest);
  subscribe(topic, 2, Offset(0), {1, 1});
  subscribe(topic, 3, Offset(0), {1, 1});
  EXPECT_EQ(last_error(), ErrorCode::kLimitReached);
  broker.on_connection_closed(ConnectionId(1), at());
  fill(topic, 1);
  EXPECT_FALSE(pushed());
  subscribe(topic, 3, Offset(0), {1, 1});
  EXPECT_TRUE(last<Subscribed>());
}

// Random grants, cold and warm reads, several readers: each sees every record once, in order, and
// never more than it was granted but for one batch.
TEST_F(SubscriptionsTest, AnyGrantsGiveEveryRecordOnceInOrder) {
  const TopicId topic = create();
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    struct Reader {
      Grants granted;
      std::uint64_t records = 0, bytes = 0, last_batch = 0;
      Offset next;
    };
    std::map<std::uint64_t, Reader> readers;
    const Offset start = storage.bounds(partition_id(topic)).high_watermark;
    for (const std::uint64_t id : {10 * seed, 10 * seed + 1, 10 * seed + 2}) {
      readers[id].next = start;
      subscribe(topic, 1, start, {}, id);
    }
    for (int step = 0; step < 200; ++step) {
      if (random.below(3) == 0) produce(topic, 1 + static_cast<int>(random.below(4)));
      if (random.below(4) == 0) storage.make_durable(broker);
      storage.reads_later = random.below(3) == 0;
      for (auto& [id, reader] : readers) {
        if (random.below(3) == 0) {
          reader.granted.records += random.below(6);
          reader.granted.bytes += random.below(600);
          broker.subscriptions().grant(ConnectionId(id), 1, reader.granted);
        }
        while (auto push = pushed(id)) {
          for (const Offset offset : offsets(*push)) {
            ASSERT_EQ(offset, reader.next) << "seed " << seed << " step " << step;
            reader.next = offset + 1;
            ++reader.records;
          }
          for (const auto& stored : push->batches) reader.bytes += stored.bytes.size();
          EXPECT_LT(reader.records, reader.granted.records + 4);
        }
      }
      for (const auto token : std::exchange(storage.waiting_reads, {}))
        broker.on_read(token, storage.answer(token));
    }
    storage.make_durable(broker);
    storage.reads_later = false;
    for (auto& [id, reader] : readers) {
      broker.subscriptions().grant(ConnectionId(id), 1, {UINT64_MAX, UINT64_MAX});
      while (auto push = pushed(id))
        for (const Offset offset : offsets(*push)) {
          EXPECT_EQ(offset, reader.next);
          reader.next = offset + 1;
        }
      EXPECT_EQ(reader.next, storage.bounds(partition_id(topic)).high_watermark);
      broker.on_connection_closed(ConnectionId(id), at());
    }
  }
}

}  // namespace
}  // namespace leat::broker
