// Finding offsets: by time, the newest record, start and end, the end of an epoch.
#include "tests/server/broker_fixture.h"

namespace leat::broker {
namespace {

class OffsetFinderTest : public BrokerFixture {
 protected:
  using Found = std::pair<std::int64_t, std::int64_t>;  // offset, timestamp

  void put(const std::vector<std::int64_t>& timestamps,
           Compression compression = Compression::kNone) {
    RecordBatchBuilder builder;
    const std::string value(200, 'v');
    for (const std::int64_t ms : timestamps) builder.append({{}, as_bytes(value), {}}, ms);
    broker.produces().produce(next(), topic, PartitionIndex(0), builder.finish(compression), at());
    storage.make_durable(broker);
  }
  void look(const FindOffsetRequest& request) { broker.offset_finder().find(next(), request); }
  void look(OffsetOf what, std::int64_t ms = 0) {
    look({.topic = topic, .partition = PartitionIndex(0), .what = what, .timestamp_ms = ms});
  }
  Found found() const {
    EXPECT_TRUE(last<OffsetFound>()) << error().message();
    if (!last<OffsetFound>()) return {};
    return {last<OffsetFound>()->offset.value, last<OffsetFound>()->timestamp_ms};
  }
  Found find(OffsetOf what, std::int64_t ms = 0) {
    look(what, ms);
    while (!storage.waiting_reads.empty()) read_one();
    return found();
  }
  void read_one() {
    const auto token = storage.waiting_reads.front();
    storage.waiting_reads.erase(storage.waiting_reads.begin());
    broker.on_read(token, storage.answer(token));
  }
  void forget(std::int64_t before) {
    broker.delete_records(next(), {topic, PartitionIndex(0), Offset(before)});
    storage.make_durable(broker);
  }

  TopicId topic = create();
};

TEST_F(OffsetFinderTest, TheFirstRecordAtOrAfterATime) {
  for (const std::int64_t ms : {100, 200, 300, 400}) put({ms, ms + 1, ms + 2});
  for (const bool later : {false, true}) {
    storage.reads_later = later;
    EXPECT_EQ(find(OffsetOf::kTime, 0), Found(0, 100));
    EXPECT_EQ(find(OffsetOf::kTime, 102), Found(2, 102));
    EXPECT_EQ(find(OffsetOf::kTime, 103), Found(3, 200));
    EXPECT_EQ(find(OffsetOf::kTime, 403), Found(12, -1));
    EXPECT_EQ(last<OffsetFound>()->epoch, storage.epoch);
  }
  look({.topic = topic, .partition = PartitionIndex(1)});
  EXPECT_EQ(found(), Found(0, -1));
}

// Not merely the batch that holds it.
TEST_F(OffsetFinderTest, InCompressedBatchesToo) {
  for (const auto compression :
       {Compression::kGzip, Compression::kSnappy, Compression::kLz4, Compression::kZstd})
    put({10, 30, 20, 40}, compression);
  EXPECT_EQ(find(OffsetOf::kTime, 20), Found(1, 30));
  EXPECT_EQ(find(OffsetOf::kTime, 31), Found(3, 40));
  EXPECT_EQ(find(OffsetOf::kNewest), Found(3, 40));
  forget(4);
  EXPECT_EQ(find(OffsetOf::kTime, 31), Found(7, 40));
  forget(10);
  EXPECT_EQ(find(OffsetOf::kTime, 5), Found(10, 20));
}

TEST_F(OffsetFinderTest, TheNewestRecordIsTheFirstWithTheLatestTime) {
  EXPECT_EQ(find(OffsetOf::kNewest), Found(0, -1));
  put({100, 500, 200});
  put({500, 499});
  put({30, 40});
  put({50, 60});
  put({70, 500});
  for (const bool later : {false, true})
    for (const std::size_t batches : {1, 2, 3, 9}) {
      storage.reads_later = later;
      storage.batches_in_run = batches;
      EXPECT_EQ(find(OffsetOf::kNewest), Found(1, 500));
    }
  // What storage says of a run whose newest record is gone is too much.
  forget(2);
  for (const std::size_t batches : {1, 2, 3, 9}) {
    storage.batches_in_run = batches;
    EXPECT_EQ(find(OffsetOf::kNewest), Found(3, 500));
  }
  forget(4);
  for (const std::size_t batches : {1, 2, 3, 9}) {
    storage.batches_in_run = batches;
    EXPECT_EQ(find(OffsetOf::kNewest), Found(10, 500));
  }
  forget(11);
  EXPECT_EQ(find(OffsetOf::kNewest), Found(11, -1));
}

// Rule 2.
TEST_F(OffsetFinderTest, WhatIsNotDurableIsNotFound) {
  put({100, 200});
  RecordBatchBuilder builder;
  builder.append({{}, as_bytes("v"), {}}, 900);
  broker.produces().produce(next(), topic, PartitionIndex(0), builder.finish(), at());
  look(OffsetOf::kNewest);
  look(OffsetOf::kTime, 201);
  look(OffsetOf::kEnd);
  storage.make_durable(broker);
  std::vector<Found> all;
  for (const auto& [number, reply] : sink.replies)
    if (const auto* one = std::get_if<OffsetFound>(&reply))
      all.emplace_back(one->offset.value, one->timestamp_ms);
  EXPECT_EQ(all, (std::vector<Found>{{1, 200}, {2, -1}, {2, -1}}));
}

TEST_F(OffsetFinderTest, StartAndEnd) {
  EXPECT_EQ(find(OffsetOf::kStart), Found(0, -1));
  for (int i = 0; i < 3; ++i) put({1, 2});
  storage.epoch = LeaderEpoch(5);
  put({1, 2});
  EXPECT_EQ(find(OffsetOf::kStart), Found(0, -1));
  EXPECT_EQ(last<OffsetFound>()->epoch, LeaderEpoch(1));
  EXPECT_EQ(find(OffsetOf::kEnd), Found(8, -1));
  EXPECT_EQ(last<OffsetFound>()->epoch, LeaderEpoch(5));
  forget(6);
  EXPECT_EQ(find(OffsetOf::kStart), Found(6, -1));
  EXPECT_EQ(last<OffsetFound>()->epoch, LeaderEpoch(5));
}

TEST_F(OffsetFinderTest, ASearchForATimeNeverFindsWhatIsGone) {
  for (const std::int64_t ms : {100, 200, 300, 400}) put({ms, ms + 1, ms + 2});
  forget(4);
  storage.looked_from = Offset(4);
  EXPECT_EQ(find(OffsetOf::kTime, 0), Found(4, 201));
  storage.looked_from = Offset(6);
  EXPECT_EQ(find(OffsetOf::kTime, 300), Found(6, 300));
  // While it looks, too: the next read begins where the log does by then.
  storage.reads_later = true;
  storage.looked_from = Offset(4);
  look(OffsetOf::kTime, 401);
  auto only_one = storage.result_of(partition_id(topic), Offset(4), 1);
  forget(9);
  broker.on_read(std::exchange(storage.waiting_reads, {}).front(), std::move(only_one));
  EXPECT_EQ(storage.last_read.from, Offset(9));
  // Or storage could not read what was gone by then.
  forget(11);
  read_one();
  EXPECT_EQ(storage.last_read.from, Offset(11));
  read_one();
  EXPECT_EQ(found(), Found(11, 402));
}

TEST_F(OffsetFinderTest, ErrorsAndLimits) {
  put({100});
  look({.topic = TopicId{{9}}, .partition = PartitionIndex(0)});
  EXPECT_EQ(last_error(), ErrorCode::kUnknownTopic);
  look({.topic = topic, .partition = PartitionIndex(2)});
  EXPECT_EQ(last_error(), ErrorCode::kUnknownPartition);
  look({.topic = topic, .partition = PartitionIndex(0), .current_epoch = LeaderEpoch(0)});
  EXPECT_EQ(last_error(), ErrorCode::kFencedLeaderEpoch);
  storage.reads_later = true;
  for (std::size_t i = 0; i <= kTight.waiting_fetches_per_connection; ++i) look(OffsetOf::kTime);
  EXPECT_EQ(last_error(), ErrorCode::kLimitReached);
  broker.on_read(storage.waiting_reads[0], fail(ErrorCode::kCorruptStorage, "rot"));
  EXPECT_EQ(last_error(), ErrorCode::kCorruptStorage);
  broker.delete_topic(next(), "orders", at());
  storage.make_durable(broker);
  const auto* gone = std::get_if<Error>(&sink.replies[sink.replies.size() - 2].second);
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->code, ErrorCode::kUnknownTopic);
}

TEST_F(OffsetFinderTest, AClosedConnectionIsForgotten) {
  put({100});
  sink.replies.clear();
  storage.reads_later = true;
  look(OffsetOf::kTime);
  look(OffsetOf::kNewest);
  broker.on_connection_closed(ConnectionId(1), at());
  while (!storage.waiting_reads.empty()) read_one();
  EXPECT_TRUE(sink.replies.empty());
  look(OffsetOf::kTime);
  EXPECT_EQ(storage.waiting_reads.size(), 1u);
}

// ---- epochs (rule 3) ----

TEST_F(OffsetFinderTest, WhereAnEpochEnds) {
  const auto end_of = [&](std::int32_t epoch) {
    broker.offset_finder().end_of_epoch(
        next(), {.topic = topic, .partition = PartitionIndex(0), .epoch = LeaderEpoch(epoch)});
    EXPECT_TRUE(last<EpochEnd>());
    return std::pair(last<EpochEnd>()->epoch.value, last<EpochEnd>()->end.value);
  };
  using End = std::pair<std::int32_t, std::int64_t>;
  storage.epoch = LeaderEpoch(3);
  EXPECT_EQ(end_of(3), End(3, 0));
  put({1, 1, 1});
  storage.epoch = LeaderEpoch(6);
  EXPECT_EQ(end_of(6), End(6, 3));
  put({1, 1});
  storage.epoch = LeaderEpoch(8);
  EXPECT_EQ(end_of(1), End(1, 0));  // before all: nothing of it is here
  EXPECT_EQ(end_of(3), End(3, 3));
  EXPECT_EQ(end_of(5), End(3, 3));  // the newest that has records up to there
  EXPECT_EQ(end_of(6), End(6, 5));
  EXPECT_EQ(end_of(7), End(6, 5));
  EXPECT_EQ(end_of(8), End(8, 5));
  EXPECT_EQ(end_of(9), End(-1, -1));  // of the future
  EXPECT_EQ(end_of(-1), End(-1, -1));
}

}  // namespace
}  // namespace leat::broker
