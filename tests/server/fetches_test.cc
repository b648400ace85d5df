// Fetches of many partitions: what is gathered within which bounds, when it is answered, what one
// partition's error does to the others.
#include "tests/server/broker_fixture.h"

namespace leat::broker {
namespace {

using namespace std::chrono_literals;

constexpr std::int32_t kPartitions = 6;
constexpr BrokerOptions kOptions{.fetch_bytes = 10'000, .waiting_fetches_per_connection = 20};

class FetchesTest : public BrokerFixture {
 protected:
  FetchesTest() : BrokerFixture(kOptions) { topic = create("orders", kPartitions); }

  // One record of about so many bytes; the size of its batch.
  std::size_t put(std::int32_t partition, std::size_t bytes = 1, bool durable = true) {
    RecordBatchBuilder builder;
    const std::string value(bytes, 'v');
    builder.append({as_bytes("k"), as_bytes(value), {}}, 1);
    const Bytes batch = builder.finish();
    broker.produces().produce(next(9), topic, PartitionIndex(partition), batch, at());
    if (durable) storage.make_durable(broker);
    drop_produced();
    return batch.size();
  }
  void drop_produced() {
    std::erase_if(sink.replies,
                  [](const auto& reply) { return std::holds_alternative<Produced>(reply.second); });
  }
  PartitionFetch of(std::int32_t partition, std::int64_t offset = 0,
                    std::size_t max_bytes = 1 << 20) const {
    return {topic, PartitionIndex(partition), Offset(offset), max_bytes};
  }
  struct Bounds {
    std::size_t min_bytes = 1, max_bytes = 1 << 20;
    std::chrono::milliseconds wait = 10s;
  };
  void ask(std::vector<PartitionFetch> partitions, const Bounds& bounds, std::uint64_t from = 1) {
    broker.fetches().fetch(next(from),
                           {.partitions = partitions,
                            .min_bytes = bounds.min_bytes,
                            .max_bytes = bounds.max_bytes,
                            .max_wait = bounds.wait},
                           now);
  }
  void ask(std::vector<PartitionFetch> partitions) { ask(std::move(partitions), Bounds()); }
  std::size_t batches(std::size_t at) const {
    EXPECT_TRUE(fetched(at));
    return fetched(at) ? fetched(at)->batches.size() : 0;
  }
  std::vector<std::size_t> all_batches() const {
    std::vector<std::size_t> all;
    for (const auto& partition : last<Fetched>()->partitions)
      all.push_back(partition.batches.size());
    return all;
  }
  // Answers the oldest read that waits.
  void read_one() {
    const auto token = storage.waiting_reads.front();
    storage.waiting_reads.erase(storage.waiting_reads.begin());
    broker.on_read(token, storage.answer(token));
  }
  using Counts = std::vector<std::size_t>;

  TopicId topic;
};

TEST_F(FetchesTest, GathersEveryPartitionInTheOrderAsked) {
  for (const std::int32_t partition : {0, 2, 2, 5}) put(partition);
  ask({of(5), of(0), of(1), of(2)});
  ASSERT_EQ(sink.replies.size(), 1u);
  EXPECT_EQ(all_batches(), (Counts{1, 1, 0, 2}));
  EXPECT_EQ(fetched(3)->bounds.high_watermark, Offset(2));
  EXPECT_FALSE(broker.next_deadline());
}

TEST_F(FetchesTest, NothingAskedIsAnsweredAtOnce) {
  ask({});
  ASSERT_TRUE(last<Fetched>());
  EXPECT_TRUE(last<Fetched>()->partitions.empty());
}

TEST_F(FetchesTest, WaitsForItsBytesAndKeepsWhatItHas) {
  const std::size_t size = put(1);
  ask({of(0), of(1)}, {.min_bytes = 3 * size});
  EXPECT_TRUE(sink.replies.empty());
  put(0);
  EXPECT_TRUE(sink.replies.empty());
  put(1, 1, false);
  EXPECT_TRUE(sink.replies.empty());  // rule 2: not before it is durable
  storage.make_durable(broker);
  drop_produced();
  ASSERT_EQ(sink.replies.size(), 1u);
  EXPECT_EQ(all_batches(), (Counts{1, 2}));
}

TEST_F(FetchesTest, AtItsDeadlineItHasWhatThereIs) {
  put(0);
  ask({of(0), of(1)}, {.min_bytes = 5'000});
  broker.on_time(at(10s));
  ASSERT_EQ(sink.replies.size(), 1u);
  EXPECT_EQ(all_batches(), (Counts{1, 0}));
  ask({of(0), of(1)}, {.min_bytes = 5'000, .wait = 0ms});
  EXPECT_EQ(sink.replies.size(), 2u);
  ask({of(1)}, {.min_bytes = 0});
  EXPECT_EQ(sink.replies.size(), 3u);
}

TEST_F(FetchesTest, BoundsAreKeptButOneBatchPasses) {
  const std::size_t size = put(0);
  for (const std::int32_t partition : {0, 0, 1, 1, 2}) put(partition);
  // In all.
  ask({of(0), of(1), of(2)}, {.max_bytes = 4 * size});
  EXPECT_EQ(all_batches(), (Counts{3, 1, 0}));
  // Of one partition.
  ask({of(0, 0, 2 * size), of(1), of(2)});
  EXPECT_EQ(all_batches(), (Counts{2, 2, 1}));
  // One passes whatever its size, and only one.
  ask({of(0, 0, 0), of(1)}, {.max_bytes = 1});
  EXPECT_EQ(all_batches(), (Counts{1, 0}));
  // A partition's first passes its own bound if there is room in all.
  ask({of(0, 0, 1), of(1, 0, 1), of(2)}, {.max_bytes = 2 * size});
  EXPECT_EQ(all_batches(), (Counts{1, 1, 0}));
}

TEST_F(FetchesTest, WhatDoesNotFitIsLeftAndSmallerOnesBehindItAreNot) {
  const std::size_t size = put(0);
  put(1, 900);
  put(2);
  ask({of(0), of(1), of(2)}, {.max_bytes = 3 * size});
  EXPECT_EQ(all_batches(), (Counts{1, 0, 1}));
}

// Otherwise it would wait for what cannot come.
TEST_F(FetchesTest, FullIsAnswered) {
  const std::size_t size = put(0);
  put(0);
  ask({of(0, 0, size)}, {.min_bytes = 2 * size});  // all that may come of its one partition
  EXPECT_EQ(sink.replies.size(), 1u);
  ask({of(0, 0, size), of(1)}, {.min_bytes = 2 * size});  // the other may bring more
  EXPECT_EQ(sink.replies.size(), 1u);
  put(1);
  EXPECT_EQ(sink.replies.size(), 2u);
  ask({of(0), of(1)}, {.min_bytes = 9'000, .max_bytes = 2 * size});
  EXPECT_EQ(sink.replies.size(), 3u);
  EXPECT_EQ(all_batches(), (Counts{2, 0}));
}

TEST_F(FetchesTest, ErrorsAreOfTheirPartitionAndAnswerAtOnce) {
  put(0);
  storage.make_durable(broker);
  PartitionFetch nowhere = of(0);
  nowhere.topic = TopicId{{7}};
  ask({of(1), of(77), of(0, 99), nowhere, of(0)}, {.min_bytes = 9'000});
  ASSERT_EQ(sink.replies.size(), 1u);
  EXPECT_FALSE(fetched(0)->error);
  EXPECT_EQ(fetched(1)->error->code, ErrorCode::kUnknownPartition);
  EXPECT_EQ(fetched(2)->error->code, ErrorCode::kOffsetOutOfRange);
  EXPECT_EQ(fetched(3)->error->code, ErrorCode::kUnknownTopic);
  EXPECT_FALSE(fetched(4)->error);
  EXPECT_EQ(batches(4), 1u);
}

TEST_F(FetchesTest, ReadersOfAnotherEpochAreTold) {
  put(0);
  const auto with = [&](LeaderEpoch current) {
    PartitionFetch one = of(0);
    one.current_epoch = current;
    ask({one});
    return last_error();
  };
  EXPECT_EQ(with(storage.epoch), ErrorCode::kOk);
  EXPECT_EQ(with(storage.epoch + -1), ErrorCode::kFencedLeaderEpoch);
  EXPECT_EQ(with(storage.epoch + 1), ErrorCode::kUnknownLeaderEpoch);
}

TEST_F(FetchesTest, ColdReadsAreGatheredToo) {
  const std::size_t size = put(0);
  for (const std::int32_t partition : {1, 2, 3}) put(partition);
  storage.reads_later = true;
  ask({of(0), of(1), of(2), of(3)}, {.max_bytes = 3 * size});
  // While it is not known whose the first batch is, nothing else is read.
  EXPECT_EQ(storage.waiting_reads.size(), 1u);
  read_one();
  EXPECT_GE(storage.waiting_reads.size(), 1u);
  broker.on_time(at(10s));
  EXPECT_TRUE(sink.replies.empty());  // what is being read comes
  while (!storage.waiting_reads.empty()) read_one();
  ASSERT_EQ(sink.replies.size(), 1u);
  EXPECT_EQ(all_batches(), (Counts{1, 1, 1, 0}));
}

// What is set aside for reads under way is not given twice.
TEST_F(FetchesTest, ColdReadsTogetherKeepWithinTheBounds) {
  const std::size_t size = put(0);
  for (std::int32_t partition = 1; partition < kPartitions; ++partition)
    for (int i = 0; i < 3; ++i) put(partition);
  storage.reads_later = true;
  ask({of(0), of(1, 0, 2 * size), of(2, 0, 2 * size), of(3, 0, 2 * size), of(4, 0, 2 * size)},
      {.max_bytes = 5 * size});
  read_one();
  EXPECT_EQ(storage.waiting_reads.size(), 2u);
  while (!storage.waiting_reads.empty()) read_one();
  EXPECT_EQ(all_batches(), (Counts{1, 2, 2, 0, 0}));
}

TEST_F(FetchesTest, AReadThatFailsIsItsPartitionsError) {
  put(0);
  put(1);
  storage.reads_later = true;
  ask({of(0), of(1)});
  const auto token = storage.waiting_reads.front();
  broker.on_read(token, fail(ErrorCode::kCorruptStorage, "rot"));
  ASSERT_EQ(storage.waiting_reads.size(), 2u);
  EXPECT_TRUE(sink.replies.empty());
  broker.on_read(storage.waiting_reads[1], storage.answer(storage.waiting_reads[1]));
  ASSERT_EQ(sink.replies.size(), 1u);
  EXPECT_EQ(fetched(0)->error->code, ErrorCode::kCorruptStorage);
  EXPECT_EQ(batches(1), 1u);
}

TEST_F(FetchesTest, DataThatComesDuringAReadIsReadBehindIt) {
  const std::size_t size = put(0);
  storage.reads_later = true;
  ask({of(0), of(1)}, {.min_bytes = 2 * size});
  put(1);
  EXPECT_TRUE(sink.replies.empty());
  read_one();
  ASSERT_EQ(storage.waiting_reads.size(), 1u);
  read_one();
  ASSERT_EQ(sink.replies.size(), 1u);
  EXPECT_EQ(all_batches(), (Counts{1, 1}));
}

TEST_F(FetchesTest, WhatIsForgottenMeanwhileIsOutOfRange) {
  put(0);
  put(0);
  const std::size_t size = put(1);
  storage.reads_later = true;
  ask({of(1), of(0)}, {.min_bytes = 2 * size});
  ASSERT_EQ(storage.waiting_reads.size(), 1u);
  broker.delete_records(next(9), {topic, PartitionIndex(0), Offset(1)});
  read_one();
  drop_produced();
  storage.make_durable(broker);
  ASSERT_TRUE(last<Fetched>());
  EXPECT_EQ(batches(0), 1u);
  EXPECT_EQ(fetched(1)->error->code, ErrorCode::kOffsetOutOfRange);
}

TEST_F(FetchesTest, ADeletedTopicEndsTheWaitAndTheOthersHaveTheirs) {
  const TopicId other = create("other", 2);
  put(0);
  ask({of(0), {other, PartitionIndex(0), Offset(0), 9}, {other, PartitionIndex(1), Offset(0), 9}},
      {.min_bytes = 9'000});
  broker.delete_topic(next(9), "other", at());
  storage.make_durable(broker);
  ASSERT_EQ(sink.replies.size(), 2u);
  const auto& all = std::get<Fetched>(sink.replies[0].second).partitions;
  EXPECT_EQ(all[0].batches.size(), 1u);
  EXPECT_EQ(all[1].error->code, ErrorCode::kUnknownTopic);
  EXPECT_EQ(all[2].error->code, ErrorCode::kUnknownTopic);
  EXPECT_FALSE(broker.next_deadline());
}

TEST_F(FetchesTest, ATopicDeletedDuringAReadIsNotWaitedFor) {
  put(0);
  storage.reads_later = true;
  ask({of(0), of(1)});
  const auto token = storage.waiting_reads.front();
  const auto late = storage.answer(token);
  broker.delete_topic(next(9), "orders", at());
  storage.make_durable(broker);
  ASSERT_EQ(sink.replies.size(), 2u);
  EXPECT_EQ(std::get<Fetched>(sink.replies[0].second).partitions[0].error->code,
            ErrorCode::kUnknownTopic);
  broker.on_read(token, late);
  EXPECT_EQ(sink.replies.size(), 2u);
}

TEST_F(FetchesTest, AClosedConnectionLeavesNothing) {
  put(0);
  storage.reads_later = true;
  ask({of(0), of(1)});
  storage.reads_later = false;
  ask({of(1), of(2)}, {.min_bytes = 9'000}, 2);
  broker.on_connection_closed(ConnectionId(1), at());
  broker.on_connection_closed(ConnectionId(2), at());
  read_one();
  put(1);
  EXPECT_TRUE(sink.replies.empty());
  EXPECT_FALSE(broker.next_deadline());
}

TEST_F(FetchesTest, ThePartitionsThatAConnectionWaitsForAreLimited) {
  std::vector<PartitionFetch> many(30, of(0));
  ask(many);  // one fetch may wait for any number
  EXPECT_TRUE(sink.replies.empty());
  ask({of(0)});
  EXPECT_EQ(last_error(), ErrorCode::kLimitReached);
  ask({of(0)}, {}, 2);
  EXPECT_EQ(sink.replies.size(), 1u);  // others are not concerned
  put(0);
  sink.replies.clear();
  ask({of(0)});
  EXPECT_EQ(last_error(), ErrorCode::kOk);
}

TEST_F(FetchesTest, WhatWaitsHoldsNoMoreThanOneMay) {
  std::size_t size = 0;
  for (int i = 0; i < 4; ++i) size = put(0, 1'000);
  const Bounds most{.min_bytes = 9'900};
  ask({of(0), of(1)}, most, 1);
  ask({of(0), of(1)}, most, 2);
  EXPECT_TRUE(sink.replies.empty());
  ASSERT_GT(3 * 4 * size, kOptions.fetch_bytes);
  ask({of(0), of(1)}, most, 3);
  ASSERT_EQ(sink.replies.size(), 1u);  // with what it has
  EXPECT_EQ(all_batches(), (Counts{4, 0}));
  put(1, 2'000);  // too much for both: the one that grows is answered, then there is room
  EXPECT_EQ(sink.replies.size(), 2u);
}

TEST_F(FetchesTest, OnePartitionAskedForTwiceIsReadTwice) {
  put(0);
  put(0);
  ask({of(0), of(0, 1)});
  EXPECT_EQ(all_batches(), (Counts{2, 1}));
  ask({of(0, 2), of(0, 2)}, {.min_bytes = 100});
  put(0);
  EXPECT_EQ(all_batches(), (Counts{1, 1}));
}

// ---- against a model ----

class RandomFetches : public FetchesTest, public ::testing::WithParamInterface<int> {
 protected:
  struct Asked {
    std::vector<PartitionFetch> partitions;
    std::size_t min_bytes, max_bytes;
    MonotonicTime deadline;
  };

  void step() {
    switch (random.below(6)) {
      case 0:
      case 1:
        return begin();
      case 2:
        return static_cast<void>(put(static_cast<std::int32_t>(random.below(kPartitions)),
                                     1 + random.below(400), random.below(2) == 0));
      case 3:
        return storage.make_durable(broker);
      case 4:
        now += std::chrono::milliseconds(random.below(40));
        return broker.on_time({now, WallTime()});
      default:
        storage.reads_later = random.below(3) == 0;
        if (storage.waiting_reads.empty()) return;
        std::swap(storage.waiting_reads.front(),
                  storage.waiting_reads[random.below(storage.waiting_reads.size())]);
        return read_one();
    }
  }
  void begin() {
    Asked asked;
    for (std::uint64_t i = random.below(5); i > 0; --i) {
      const auto partition = static_cast<std::int32_t>(random.below(kPartitions));
      const auto end = storage.bounds(partition_id(topic, static_cast<std::size_t>(partition)))
                           .high_watermark.value;
      asked.partitions.push_back(of(
          partition, static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(end) + 1)),
          random.below(1'500)));
    }
    asked.min_bytes = random.below(1'500);
    asked.max_bytes = random.below(3'000);
    const auto wait = std::chrono::milliseconds(random.below(100));
    asked.deadline = now + wait;
    waiting[correlation + 1] = asked;
    ask(asked.partitions,
        {.min_bytes = asked.min_bytes, .max_bytes = asked.max_bytes, .wait = wait},
        1 + random.below(3));
  }
  // What every answer holds to, whenever it comes.
  void check(const Asked& asked, const Fetched& answer) {
    ASSERT_EQ(answer.partitions.size(), asked.partitions.size());
    std::size_t all = 0, most = 0;
    for (std::size_t i = 0; i < answer.partitions.size(); ++i) {
      const FetchedPartition& one = answer.partitions[i];
      ASSERT_FALSE(one.error);
      std::size_t bytes = 0;
      Offset next = asked.partitions[i].offset;
      for (const auto& stored : one.batches) {
        const auto batch = *RecordBatchView::parse(stored.bytes);
        ASSERT_EQ(batch.base_offset(), next);  // none left out, none twice (of one record each)
        next = batch.last_offset() + 1;
        bytes += stored.bytes.size();
        most = std::max(most, stored.bytes.size());
      }
      ASSERT_LE(next, one.bounds.high_watermark);  // rule 2
      ASSERT_TRUE(bytes <= asked.partitions[i].max_bytes || one.batches.size() == 1);
      all += bytes;
    }
    ASSERT_TRUE(all <= asked.max_bytes || all == most) << all << " of " << asked.max_bytes;
    if (all == 0 && !asked.partitions.empty() && asked.min_bytes > 0 && asked.max_bytes > 0) {
      ASSERT_GE(now, asked.deadline);
    }
  }
  void collect() {
    for (auto& [number, reply] : sink.replies) {
      const auto it = waiting.find(number);
      if (it == waiting.end()) continue;
      if (const auto* answer = std::get_if<Fetched>(&reply))
        check(it->second, *answer);
      else
        ASSERT_EQ(std::get<Error>(reply).code, ErrorCode::kLimitReached);
      waiting.erase(it);
    }
    sink.replies.clear();
  }

  Random random{static_cast<std::uint64_t>(GetParam())};
  std::map<std::uint64_t, Asked> waiting;
};

TEST_P(RandomFetches, HoldToTheirBounds) {
  for (int i = 0; i < 400; ++i) {
    step();
    collect();
    if (HasFatalFailure()) return;
  }
  // All are answered in the end, without the help of new data.
  while (!storage.waiting_reads.empty()) read_one();
  now += 1s;
  broker.on_time({now, WallTime()});
  storage.make_durable(broker);  // for those that were refused
  collect();
  EXPECT_TRUE(waiting.empty());
  EXPECT_FALSE(broker.next_deadline());
}
INSTANTIATE_TEST_SUITE_P(Seeds, RandomFetches, ::testing::Range(1, 300));

}  // namespace
}  // namespace leat::broker
