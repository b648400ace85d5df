// Fetch in all its versions, and fetch sessions (KIP-227).
#include "tests/server/kafka/kafka_fixture.h"

namespace leat::session {
namespace {

using kafka::FetchRequest;
using kafka::FetchResponse;
using kafka::KafkaError;
using Asked = FetchRequest::Topic::Partition;
using Told = FetchResponse::Topic::Partition;

constexpr std::int16_t kLowest = 4, kHighest = 18, kIds = 13, kLatest = 18;

class KafkaFetchTest : public KafkaFixture {
 protected:
  void SetUp() override { id = create("orders", 4); }

  void put(std::int32_t partition, std::string_view value = "v") {
    RecordBatchBuilder builder;
    builder.append({as_bytes("k"), as_bytes(value), {}}, 1);
    broker.produces().produce({ConnectionId(1'000), CorrelationId(2)}, id,
                              PartitionIndex(partition), builder.finish(), now());
    storage.make_durable(broker);
  }
  static Asked of(std::int32_t partition, std::int64_t offset = 0) {
    return {.partition = partition, .fetch_offset = offset, .partition_max_bytes = 1 << 20};
  }
  FetchRequest request(std::vector<Asked> partitions, std::string_view topic = "orders") const {
    FetchRequest request;
    request.min_bytes = 1;
    request.max_bytes = 1 << 20;
    if (!partitions.empty())
      request.topics.push_back(
          {.topic = topic, .topic_id = id, .partitions = std::move(partitions)});
    return request;
  }
  FetchRequest in_session(std::int32_t session, std::int32_t epoch,
                          std::vector<Asked> partitions = {}) const {
    FetchRequest all = request(std::move(partitions));
    all.session_id = session;
    all.session_epoch = epoch;
    return all;
  }
  FetchResponse ask(const FetchRequest& request, std::int16_t version = kLatest,
                    std::uint64_t from = 1) {
    auto response = KafkaFixture::ask<FetchResponse>(request, version, from);
    EXPECT_TRUE(response);
    return response ? std::move(*response) : FetchResponse();
  }
  static std::vector<Told> all_of(const FetchResponse& response) {
    std::vector<Told> all;
    for (const auto& topic : response.responses)
      all.insert(all.end(), topic.partitions.begin(), topic.partitions.end());
    return all;
  }
  static std::vector<std::int32_t> indexes(const FetchResponse& response) {
    std::vector<std::int32_t> all;
    for (const Told& one : all_of(response)) all.push_back(one.partition_index);
    return all;
  }
  // The values of the records of a partition.
  static std::vector<std::string> values(const Told& told) {
    std::vector<std::string> all;
    if (!told.records) return {"null"};
    std::vector<std::byte> bytes;
    for (const Bytes piece : told.records->all)
      bytes.insert(bytes.end(), piece.begin(), piece.end());
    for (Bytes rest = bytes; !rest.empty();) {
      const auto batch = *RecordBatchView::parse(rest);
      EXPECT_TRUE(batch.validate());
      for (const RecordView& record : batch) all.emplace_back(as_text(*record.value));
      rest = rest.subspan(batch.bytes().size());
    }
    return all;
  }
  using Indexes = std::vector<std::int32_t>;
  using Values = std::vector<std::string>;

  TopicId id;
};

TEST_F(KafkaFetchTest, RecordsComeInEveryVersion) {
  put(0, "a");
  put(0, "b");
  put(2, "c");
  for (std::int16_t version = kLowest; version <= kHighest; ++version) {
    const auto response = ask(request({of(2), of(0), of(1)}), version);
    EXPECT_EQ(response.error_code, KafkaError::kNone);
    EXPECT_EQ(response.session_id, 0);
    ASSERT_EQ(response.responses.size(), 1u) << version;
    if (version < kIds) {
      EXPECT_EQ(response.responses[0].topic, "orders");
    } else {
      EXPECT_EQ(response.responses[0].topic_id, id);
    }
    EXPECT_EQ(indexes(response), (Indexes{2, 0, 1}));
    const auto all = all_of(response);
    EXPECT_EQ(values(all[0]), (Values{"c"}));
    EXPECT_EQ(values(all[1]), (Values{"a", "b"}));
    EXPECT_EQ(values(all[2]), Values());  // empty, not null
    EXPECT_EQ(all[1].high_watermark, 2);
    EXPECT_EQ(all[1].last_stable_offset, 2);
    if (version >= 5) {
      EXPECT_EQ(all[1].log_start_offset, 0);
    }
    EXPECT_EQ(all[1].preferred_read_replica, -1);
    EXPECT_FALSE(all[1].aborted_transactions);
  }
}

TEST_F(KafkaFetchTest, ErrorsAreOfThePartitionInEveryVersion) {
  put(0);
  for (std::int16_t version = kLowest; version <= kHighest; ++version) {
    FetchRequest all = request({of(0, 9), of(7), of(0 + 1), of(-1)});
    all.topics.push_back({.topic = "nowhere", .topic_id = TopicId{{9}}, .partitions = {of(0)}});
    const auto told = all_of(ask(all, version));
    ASSERT_EQ(told.size(), 5u) << version;
    EXPECT_EQ(told[0].error_code, KafkaError::kOffsetOutOfRange);
    EXPECT_EQ(told[0].high_watermark, -1);
    EXPECT_EQ(told[1].error_code, KafkaError::kUnknownTopicOrPartition);
    EXPECT_EQ(told[2].error_code, KafkaError::kNone);
    EXPECT_EQ(told[3].error_code, KafkaError::kUnknownTopicOrPartition);
    EXPECT_EQ(told[4].error_code,
              version < kIds ? KafkaError::kUnknownTopicOrPartition : KafkaError::kUnknownTopicId);
  }
}

TEST_F(KafkaFetchTest, WaitsForRecordsAndAnswersWhenTheyAreDurable) {
  FetchRequest waiting = request({of(0), of(1)});
  waiting.max_wait_ms = 500;
  send(waiting, kLatest);
  EXPECT_FALSE(take<FetchResponse>());
  put(1, "x");
  settle();
  const auto response = take<FetchResponse>();
  ASSERT_TRUE(response);
  EXPECT_EQ(values(all_of(*response)[1]), (Values{"x"}));
  send(request({of(0)}), kLatest);
  EXPECT_TRUE(take<FetchResponse>());  // no wait was asked for
  send(waiting = in_session(0, -1, {of(0)}), kLatest);
  EXPECT_TRUE(take<FetchResponse>());
  waiting.max_wait_ms = 500;
  send(waiting, kLatest);
  EXPECT_FALSE(take<FetchResponse>());
  pass(std::chrono::milliseconds(500));
  EXPECT_TRUE(take<FetchResponse>());
}

TEST_F(KafkaFetchTest, AnotherFetchWaitsForTheFirstAndIsNotLost) {
  FetchRequest waiting = request({of(0)});
  waiting.max_wait_ms = 500;
  send(waiting, 11);
  send(request({of(1)}), 11);
  EXPECT_FALSE(take<FetchResponse>());
  put(0);
  settle();
  EXPECT_EQ(indexes(*take<FetchResponse>()), (Indexes{0}));
  EXPECT_EQ(indexes(*take<FetchResponse>()), (Indexes{1}));
}

TEST_F(KafkaFetchTest, BoundsOfSizeHold) {
  const std::string large(1'000, 'x');
  for (int i = 0; i < 3; ++i) {
    put(0, large);
    put(1, large);
  }
  FetchRequest small = request({of(0), of(1)});
  small.max_bytes = 2'500;
  auto told = all_of(ask(small));
  EXPECT_EQ(values(told[0]).size(), 2u);
  EXPECT_EQ(values(told[1]).size(), 0u);
  small.max_bytes = 0;  // one batch passes
  told = all_of(ask(small));
  EXPECT_EQ(values(told[0]).size(), 1u);
  small.max_bytes = 1 << 20;
  small.topics[0].partitions[0].partition_max_bytes = -1;
  told = all_of(ask(small));
  EXPECT_EQ(values(told[0]).size(), 1u);
  EXPECT_EQ(values(told[1]).size(), 3u);
}

TEST_F(KafkaFetchTest, ReadCommittedHasNoAbortedTransactions) {
  put(0);
  FetchRequest committed = request({of(0)});
  committed.isolation_level = 1;
  const auto told = all_of(ask(committed));
  ASSERT_TRUE(told[0].aborted_transactions);
  EXPECT_TRUE(told[0].aborted_transactions->empty());
  EXPECT_EQ(values(told[0]).size(), 1u);
}

// ---- epochs ----

TEST_F(KafkaFetchTest, AReaderThatKnowsAnotherEpochIsTold) {
  storage.epoch = LeaderEpoch(5);
  for (std::int16_t version = 9; version <= kHighest; ++version) {
    Asked older = of(0), newer = of(0);
    older.current_leader_epoch = 4;
    const auto response = ask(request({older}), version);
    const auto told = all_of(response);
    EXPECT_EQ(told[0].error_code, KafkaError::kFencedLeaderEpoch);
    EXPECT_EQ(told[0].current_leader.leader_epoch, version >= 16 ? 5 : -1);
    EXPECT_EQ(response.node_endpoints.size(), version >= 16 ? 1u : 0u);
    newer.current_leader_epoch = 6;
    EXPECT_EQ(all_of(ask(request({newer}), version))[0].error_code,
              KafkaError::kUnknownLeaderEpoch);
  }
}

// KIP-320: rule 3 for Kafka's readers.
TEST_F(KafkaFetchTest, AReaderBeyondACutLogIsToldWhereItsLogParts) {
  for (int i = 0; i < 5; ++i) put(0);
  const std::int32_t before = storage.epoch.value;
  storage.cut(storage.find_topic("orders")->partitions[0], Offset(2));
  for (int i = 0; i < 9; ++i) put(0);
  Asked beyond = of(0, 5);
  beyond.last_fetched_epoch = before;
  for (std::int16_t version = 12; version <= kHighest; ++version) {
    const auto told = all_of(ask(request({beyond}), version));
    EXPECT_EQ(told[0].error_code, KafkaError::kNone);
    EXPECT_EQ(told[0].diverging_epoch.epoch, before);
    EXPECT_EQ(told[0].diverging_epoch.end_offset, 2);
    EXPECT_EQ(values(told[0]), Values());
  }
  beyond.last_fetched_epoch = storage.epoch.value;
  EXPECT_EQ(values(all_of(ask(request({beyond})))[0]).size(), 6u);
}

// ---- sessions ----

TEST_F(KafkaFetchTest, ASessionTellsNewsOnlyInEveryVersion) {
  for (std::int16_t version = 7; version <= kHighest; ++version) {
    const auto end = storage.bounds(storage.find_topic("orders")->partitions[2]).high_watermark;
    const auto all = ask(in_session(0, 0, {of(0), of(1), of(2, end.value)}), version);
    EXPECT_GT(all.session_id, 0);
    EXPECT_EQ(indexes(all), (Indexes{0, 1, 2}));
    auto news = ask(in_session(all.session_id, 1), version);
    EXPECT_EQ(news.error_code, KafkaError::kNone);
    EXPECT_EQ(news.session_id, all.session_id);
    EXPECT_TRUE(news.responses.empty());
    put(2);
    news = ask(in_session(all.session_id, 2), version);
    EXPECT_EQ(indexes(news), (Indexes{2}));
    EXPECT_EQ(values(all_of(news)[0]).size(), 1u);
    if (version >= kIds) {
      EXPECT_EQ(news.responses[0].topic_id, id);
    } else {
      EXPECT_EQ(news.responses[0].topic, "orders");
    }
    // Where it reads from now is all a client has to say.
    news = ask(in_session(all.session_id, 3, {of(2, end.value + 1)}), version);
    EXPECT_TRUE(news.responses.empty());
  }
}

TEST_F(KafkaFetchTest, MovedBoundsAndErrorsAreNews) {
  put(0);
  put(0);
  const auto all = ask(in_session(0, 0, {of(0, 2), of(1)}));
  put(0);  // read past: fetches from 3 on, only the high watermark is new
  auto news = ask(in_session(all.session_id, 1, {of(0, 3)}));
  ASSERT_EQ(indexes(news), (Indexes{0}));
  EXPECT_EQ(all_of(news)[0].high_watermark, 3);
  EXPECT_EQ(values(all_of(news)[0]), Values());
  ASSERT_TRUE(storage.move_log_start(storage.find_topic("orders")->partitions[0], Offset(1)));
  news = ask(in_session(all.session_id, 2));
  ASSERT_EQ(indexes(news), (Indexes{0}));
  EXPECT_EQ(all_of(news)[0].log_start_offset, 1);
  // An error each time, and the partition once more when it is over.
  for (const std::int32_t epoch : {3, 4}) {
    news = ask(in_session(all.session_id, epoch, {of(1, 9)}));
    ASSERT_EQ(indexes(news), (Indexes{1}));
    EXPECT_EQ(all_of(news)[0].error_code, KafkaError::kOffsetOutOfRange);
  }
  news = ask(in_session(all.session_id, 5, {of(1, 0)}));
  ASSERT_EQ(indexes(news), (Indexes{1}));
  EXPECT_EQ(all_of(news)[0].error_code, KafkaError::kNone);
  EXPECT_TRUE(ask(in_session(all.session_id, 6)).responses.empty());
}

TEST_F(KafkaFetchTest, PartitionsComeAndGo) {
  const auto all = ask(in_session(0, 0, {of(0), of(1)}));
  put(0);
  put(1);
  put(3);
  FetchRequest other = in_session(all.session_id, 1, {of(3)});
  other.forgotten_topics_data.push_back({.topic = {}, .topic_id = id, .partitions = {0, 2, 77}});
  other.forgotten_topics_data.push_back({.topic = {}, .topic_id = TopicId{{8}}, .partitions = {1}});
  EXPECT_EQ(indexes(ask(other)), (Indexes{1, 3}));
  // Without any the session is over.
  FetchRequest none = in_session(all.session_id, 2);
  none.forgotten_topics_data.push_back({.topic = {}, .topic_id = id, .partitions = {1, 3}});
  const auto last = ask(none);
  EXPECT_EQ(last.error_code, KafkaError::kNone);
  EXPECT_EQ(last.session_id, 0);
  EXPECT_EQ(ask(in_session(all.session_id, 3)).error_code, KafkaError::kFetchSessionIdNotFound);
}

TEST_F(KafkaFetchTest, WhoGaveRecordsHasTheNextTurnLast) {
  const std::string large(1'000, 'x');
  for (int i = 0; i < 3; ++i)
    for (const std::int32_t partition : {0, 1, 2}) put(partition, large);
  FetchRequest first = in_session(0, 0, {of(0), of(1), of(2)});
  first.max_bytes = 1'500;  // room for one
  const auto all = ask(first);
  EXPECT_EQ(values(all_of(all)[0]).size(), 1u);
  Indexes served{0};
  for (std::int32_t epoch = 1; epoch <= 5; ++epoch) {
    FetchRequest next = in_session(all.session_id, epoch);
    next.max_bytes = 1'500;
    for (const Told& one : all_of(ask(next)))
      if (!values(one).empty()) served.push_back(one.partition_index);
  }
  EXPECT_EQ(served, (Indexes{0, 1, 2, 0, 1, 2}));
}

TEST_F(KafkaFetchTest, EpochsCountTheRequestsOfASession) {
  const auto all = ask(in_session(0, 0, {of(0)}));
  EXPECT_EQ(ask(in_session(all.session_id, 2)).error_code, KafkaError::kInvalidFetchSessionEpoch);
  EXPECT_EQ(ask(in_session(all.session_id, 1)).error_code, KafkaError::kNone);
  EXPECT_EQ(ask(in_session(all.session_id, 1)).error_code, KafkaError::kInvalidFetchSessionEpoch);
  EXPECT_EQ(ask(in_session(all.session_id, 2)).error_code, KafkaError::kNone);
  EXPECT_EQ(ask(in_session(all.session_id + 1, 3)).error_code, KafkaError::kFetchSessionIdNotFound);
  const auto refused = ask(in_session(all.session_id, -7));
  EXPECT_EQ(refused.error_code, KafkaError::kInvalidFetchSessionEpoch);
  EXPECT_EQ(refused.session_id, 0);
  EXPECT_TRUE(refused.responses.empty());
  EXPECT_FALSE(client().output.closed);
}

TEST_F(KafkaFetchTest, TheFirstAndTheLastEpochEndASession) {
  auto all = ask(in_session(0, 0, {of(0)}));
  const auto again = ask(in_session(all.session_id, 0, {of(1)}));
  EXPECT_NE(again.session_id, all.session_id);
  EXPECT_EQ(ask(in_session(all.session_id, 1)).error_code, KafkaError::kFetchSessionIdNotFound);
  all = ask(in_session(again.session_id, -1, {of(0)}));
  EXPECT_EQ(all.session_id, 0);
  EXPECT_EQ(indexes(all), (Indexes{0}));
  EXPECT_EQ(ask(in_session(again.session_id, 1)).error_code, KafkaError::kFetchSessionIdNotFound);
}

TEST_F(KafkaFetchTest, ASessionKeepsToNamesOrIds) {
  const auto by_name = ask(in_session(0, 0, {of(0)}), 12);
  EXPECT_EQ(ask(in_session(by_name.session_id, 1), 13).error_code,
            KafkaError::kFetchSessionTopicIdError);
  const auto by_id = ask(in_session(0, 0, {of(0)}), 13);
  EXPECT_EQ(ask(in_session(by_id.session_id, 1), 12).error_code,
            KafkaError::kFetchSessionTopicIdError);
  EXPECT_EQ(ask(in_session(by_id.session_id, 1), 18).error_code, KafkaError::kNone);
}

TEST_F(KafkaFetchTest, NobodyReadsInTheSessionOfAnother) {
  const auto all = ask(in_session(0, 0, {of(0)}));
  EXPECT_EQ(ask(in_session(all.session_id, 1), kLatest, 2).error_code,
            KafkaError::kFetchSessionIdNotFound);
  const auto other = ask(in_session(0, 0, {of(1)}), kLatest, 2);
  EXPECT_NE(other.session_id, all.session_id);
  EXPECT_EQ(ask(in_session(all.session_id, 1)).error_code, KafkaError::kNone);
}

TEST_F(KafkaFetchTest, OfTooManySessionsTheLongestUnusedGoes) {
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < FetchSessions::kSessions; ++i)
    ids.push_back(ask(in_session(0, 0, {of(0)})).session_id);
  EXPECT_EQ(ask(in_session(ids[0], 1)).error_code, KafkaError::kNone);
  EXPECT_GT(ask(in_session(0, 0, {of(0)})).session_id, 0);
  EXPECT_EQ(ask(in_session(ids[0], 2)).error_code, KafkaError::kNone);
  EXPECT_EQ(ask(in_session(ids[1], 1)).error_code, KafkaError::kFetchSessionIdNotFound);
}

TEST_F(KafkaFetchTest, SessionsAreCountedAsMemoryAndGivenBack) {
  const std::size_t before = memory.used();
  std::vector<Asked> many;
  for (std::int32_t i = 0; i < 1'000; ++i) many.push_back(of(i % 4 == 0 ? i / 4 : i));
  const auto all = ask(in_session(0, 0, many));
  EXPECT_GT(all.session_id, 0);
  EXPECT_GT(memory.used(), before + 50'000);
  FetchRequest none = in_session(all.session_id, 1);
  none.forgotten_topics_data.push_back({.topic = {}, .topic_id = id, .partitions = {}});
  for (std::int32_t i = 0; i < 1'000; ++i) none.forgotten_topics_data[0].partitions.push_back(i);
  ask(none);
  EXPECT_EQ(memory.used(), before);
  ask(in_session(0, 0, many));
  disconnect(1);
  EXPECT_EQ(memory.used(), before);
  const std::string name(30'000, 'n');  // long as no topic's is
  FetchRequest long_name = request({of(0)}, name);
  long_name.session_epoch = 0;
  const auto kept_name = ask(long_name, 12);
  EXPECT_GT(memory.used(), before + 2 * name.size());
  FetchRequest forgets = in_session(kept_name.session_id, 1);
  forgets.forgotten_topics_data.push_back({.topic = name, .topic_id = {}, .partitions = {0}});
  ask(forgets, 12);
  EXPECT_EQ(memory.used(), before);
  // Without room there is no session, and everything is read all the same.
  ASSERT_TRUE(memory.hold((48 << 20) - memory.used() - 10'000));
  const auto without = ask(in_session(0, 0, many));
  EXPECT_EQ(without.session_id, 0);
  EXPECT_EQ(without.error_code, KafkaError::kNone);
  EXPECT_FALSE(without.responses.empty());
}

TEST_F(KafkaFetchTest, ATopicThatIsDeletedAndMadeAgainIsAnother) {
  const auto by_name = ask(in_session(0, 0, {of(0)}), 12);
  const auto by_id = ask(in_session(0, 0, {of(0)}), 13);
  broker.delete_topic({ConnectionId(1'000), CorrelationId(3)}, "orders", now());
  deliver();
  EXPECT_EQ(all_of(ask(in_session(by_name.session_id, 1), 12)).at(0).error_code,
            KafkaError::kUnknownTopicOrPartition);
  const TopicId old = id;
  id = create("orders", 4);
  put(0);
  EXPECT_EQ(values(all_of(ask(in_session(by_name.session_id, 2), 12)).at(0)).size(), 1u);
  const auto gone = ask(in_session(by_id.session_id, 1), 13);  // rule 7
  EXPECT_EQ(all_of(gone).at(0).error_code, KafkaError::kUnknownTopicId);
  EXPECT_EQ(gone.responses[0].topic_id, old);
}

TEST_F(KafkaFetchTest, ATopicDeletedUnderAFetchThatWaits) {
  for (const std::int16_t version : {12, 13}) {
    FetchRequest waiting = request({of(0)});
    waiting.max_wait_ms = 500;
    send(waiting, version);
    broker.delete_topic({ConnectionId(1'000), CorrelationId(3)}, "orders", now());
    deliver();
    const auto response = take<FetchResponse>();
    ASSERT_TRUE(response);
    EXPECT_EQ(all_of(*response).at(0).error_code,
              version == 12 ? KafkaError::kUnknownTopicOrPartition : KafkaError::kUnknownTopicId);
    id = create("orders", 4);
  }
}

TEST_F(KafkaFetchTest, AColdReadIsWaitedForAndADisconnectIsNoHarm) {
  put(0, "x");
  storage.reads_later = true;
  send(request({of(0)}), kLatest);
  EXPECT_FALSE(take<FetchResponse>());
  auto token = storage.waiting_reads.back();
  broker.on_read(token, storage.answer(token));
  settle();
  EXPECT_EQ(values(all_of(*take<FetchResponse>())[0]), (Values{"x"}));
  send(in_session(0, 0, {of(0)}), kLatest, 2);
  disconnect(2);
  token = storage.waiting_reads.back();
  broker.on_read(token, storage.answer(token));
  settle();
}

TEST_F(KafkaFetchTest, RotIsADiskErrorWhereClientsKnowOne) {
  put(0);
  storage.reads_later = true;
  for (std::int16_t version = kLowest; version <= kHighest; ++version) {
    send(request({of(0)}), version);
    broker.on_read(storage.waiting_reads.back(), fail(ErrorCode::kCorruptStorage, "rot"));
    settle();
    const auto response = take<FetchResponse>();
    ASSERT_TRUE(response);
    EXPECT_EQ(all_of(*response)[0].error_code,
              version < 6 ? KafkaError::kNotLeaderOrFollower : KafkaError::kKafkaStorageError);
  }
}

// ---- against a model ----

// A client that believes what it is told and says only what changes, as real ones do.
class RandomSessions : public KafkaFetchTest, public ::testing::WithParamInterface<int> {
 protected:
  static constexpr std::int32_t kPartitions = 4;
  struct Known {
    std::int64_t next = 0, said = -1;  // said: where the broker believes it reads
    std::int64_t high_watermark = -1, log_start = -1;
  };

  storage::PartitionBounds bounds(std::int32_t partition) const {
    return storage.bounds(
        storage.find_topic("orders")->partitions[static_cast<std::size_t>(partition)]);
  }
  FetchRequest next_request() {
    FetchRequest all = in_session(session, epoch);
    std::vector<Asked> changed;
    for (auto& [partition, known] : reads) {
      if (epoch > 0 && known.said == known.next) continue;
      known.said = known.next;
      changed.push_back(of(partition, known.next));
    }
    if (!changed.empty())
      all.topics.push_back({.topic = "orders", .topic_id = id, .partitions = changed});
    if (epoch > 0 && !forgotten.empty())
      all.forgotten_topics_data.push_back(
          {.topic = "orders", .topic_id = id, .partitions = forgotten});
    forgotten.clear();
    all.max_bytes = static_cast<std::int32_t>(random.below(600));
    return all;
  }
  void fetch() {
    const auto response = ask(next_request(), version);
    if (response.error_code != KafkaError::kNone) {
      EXPECT_EQ(response.error_code, KafkaError::kFetchSessionIdNotFound);
      session = epoch = 0;
      return;
    }
    epoch = response.session_id == 0 ? 0 : epoch + 1;
    session = response.session_id;
    for (const Told& told : all_of(response)) {
      ASSERT_TRUE(reads.contains(told.partition_index));
      Known& known = reads.at(told.partition_index);
      if (told.error_code == KafkaError::kOffsetOutOfRange) {
        known.next = bounds(told.partition_index).log_start.value;
        continue;
      }
      ASSERT_EQ(told.error_code, KafkaError::kNone);
      known.high_watermark = told.high_watermark;
      known.log_start = told.log_start_offset;
      for (const std::string& value : values(told)) ASSERT_EQ(value, std::to_string(known.next++));
    }
  }
  void step() {
    const auto partition = static_cast<std::int32_t>(random.below(kPartitions));
    switch (random.below(6)) {
      case 0:
      case 1:
        return put(partition, std::to_string(bounds(partition).high_watermark.value));
      case 2:
        if (std::ranges::count(forgotten, partition) == 0) reads.emplace(partition, Known());
        return;
      case 3:
        if (random.below(3) == 0 && reads.erase(partition)) forgotten.push_back(partition);
        return;
      case 4: {
        if (random.below(4) > 0) return;
        const auto [start, end] = bounds(partition);
        const auto more = random.below(static_cast<std::uint64_t>(end - start) + 1);
        broker.delete_records(
            {ConnectionId(1'000), CorrelationId(3)},
            {id, PartitionIndex(partition), start + static_cast<std::int64_t>(more)});
        return storage.make_durable(broker);
      }
      default:
        return fetch();
    }
  }

  Random random{static_cast<std::uint64_t>(GetParam())};
  std::int16_t version = static_cast<std::int16_t>(7 + GetParam() % 12);
  std::map<std::int32_t, Known> reads;
  std::vector<std::int32_t> forgotten;
  std::int32_t session = 0, epoch = 0;
};

TEST_P(RandomSessions, NothingNewIsMissed) {
  for (int i = 0; i < 300; ++i) {
    step();
    if (HasFatalFailure()) return;
  }
  for (int i = 0; i < 500; ++i) {
    fetch();
    if (HasFatalFailure()) return;
  }
  for (const auto& [partition, known] : reads) {
    EXPECT_EQ(known.next, bounds(partition).high_watermark.value);
    EXPECT_EQ(known.high_watermark, bounds(partition).high_watermark.value);
    EXPECT_EQ(known.log_start, bounds(partition).log_start.value);
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, RandomSessions, ::testing::Range(1, 40));

}  // namespace
}  // namespace leat::session
