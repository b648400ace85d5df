// Records whose message ids are known are not stored again (rule 9): what is stored, what is said
// of it, and when.
#include <gtest/gtest.h>

#include "protocol/record_extras.h"
#include "tests/server/broker_fixture.h"

namespace leat::broker {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kLargeBytes =
    kCheckedInPlaceDecompressedBytes;  // of a value: checked elsewhere
constexpr Compression kCompressions[] = {Compression::kNone, Compression::kGzip,
                                         Compression::kSnappy, Compression::kLz4,
                                         Compression::kZstd};

// Records by their ids, which are their values, too; "" has none.
using Ids = std::vector<std::string>;
struct Sending {
  Compression compression = Compression::kNone;
  std::size_t bytes = 0;  // of each value, filled up
  ProducerIdentity producer = {};
  std::int32_t sequence = -1;
  std::string redriven = {};
};

std::vector<std::byte> batch_of(const Ids& ids, const Sending& how = {}) {
  RecordBatchBuilder builder;
  for (const std::string& id : ids) {
    std::string value = id + ".";
    value.resize(std::max(value.size(), how.bytes), '.');
    std::vector<RecordHeader> headers;
    if (!id.empty()) headers.push_back({"leat-id", as_bytes(id)});
    if (!how.redriven.empty()) headers.push_back({"leat-redriven", as_bytes(how.redriven)});
    builder.append({.value = as_bytes(value), .headers = headers}, 5);
  }
  builder.set_producer(how.producer, how.sequence);
  return builder.take(how.compression);
}

std::string with_known(const Reply& reply) {
  if (const auto* error = std::get_if<Error>(&reply))
    return std::string(error_info(error->code).name);
  const auto& produced = std::get<Produced>(reply);
  std::string text = std::to_string(produced.base.value) + (produced.duplicate ? " again" : "");
  for (const KnownRecords& range : produced.known)
    text += " " + std::to_string(range.index) + "+" + std::to_string(range.records) + "@" +
            std::to_string(range.offset.value);
  return text;
}

class IdsTest : public BrokerFixture {
 protected:
  Now when() const { return {now + passed, WallTime(1h * 1'000'000) + passed + stepped}; }
  void send(const Ids& ids, const Sending& how = {}, std::uint64_t connection = 1,
            int partition = 0) {
    broker.produces().produce(next(connection), topic, PartitionIndex(partition),
                              batch_of(ids, how), when());
  }
  // What is said when all is told that there is to tell.
  std::string said() {
    settle();
    std::string all;
    for (const auto& [id, reply] : sink.replies)
      all += (all.empty() ? "" : ", ") + with_known(reply);
    sink.replies.clear();
    return all;
  }
  void settle() {
    while (checker.waiting() > 0 || !storage.waiting_ids.empty()) {
      checker.tell_all(broker);
      answer();
    }
    storage.make_durable(broker);
  }
  void answer() {
    if (!storage.waiting_ids.empty())
      storage.answer_ids(storage.waiting_ids.begin()->first, broker);
  }
  // "OFFSET:VALUE", as a reader gets it: every batch checked, ranges adjoining.
  std::string stored(int partition = 0) {
    settle();
    std::string all;
    Offset next{0};
    for (const auto& batches :
         storage.result_of(partition_id(topic, static_cast<std::size_t>(partition))).batches) {
      const auto batch = RecordBatchView::parse(batches.bytes).value();
      EXPECT_TRUE(batch.check());
      EXPECT_EQ(batch.base_offset(), next);
      next = batch.last_offset() + 1;
      const auto reader = RecordReader::open(batch).value();
      for (const RecordView& record : reader) {
        const std::string_view value = as_text(*record.value);
        EXPECT_EQ(record.timestamp_ms, 5);
        all += (all.empty() ? "" : " ") + std::to_string(record.offset.value) + ":" +
               std::string(value.substr(0, value.find('.')));
      }
    }
    return all;
  }
  void configure(const TopicConfig& config) {
    broker.configure_topic(next(9), "orders", config, now);
    settle();
    sink.replies.clear();
  }
  ProducerIdentity identity() {
    const auto issued = storage.init_producer(std::nullopt, 0).value();
    return {issued.id, issued.epoch};
  }

  TopicId topic = create();
  std::chrono::milliseconds passed{}, stepped{};
};

TEST_F(IdsTest, AMessageThatComesAgainIsAnsweredWithItsOriginal) {
  send({"a"});
  send({"b"});
  EXPECT_EQ(said(), "0, 1");
  send({"a"});
  send({"b"}, {}, 2);
  EXPECT_EQ(said(), "0 again 0+1@0, 1 again 0+1@1");
  send({""});
  send({""});
  EXPECT_EQ(said(), "2, 3");
  EXPECT_EQ(stored(), "0:a 1:b 2: 3:");
}

TEST_F(IdsTest, EachPartitionAndTopicHasItsOwn) {
  send({"a"}, {}, 1, 0);
  send({"a"}, {}, 1, 1);
  topic = create("others");
  send({"a"});
  EXPECT_EQ(said(), "0");
  EXPECT_EQ(stored(), "0:a");
}

// Rule 2.
TEST_F(IdsTest, TheAnswerWaitsForTheOriginalToBeDurable) {
  send({"a"}, {}, 1);
  send({"a"}, {}, 2);
  EXPECT_TRUE(sink.replies.empty());
  storage.make_durable(broker);
  EXPECT_EQ(sink.replies.size(), 2u);
}

TEST_F(IdsTest, InTopicsBelowSyncItDoesNotWaitAsTheOriginalDidNot) {
  for (const Durability durability : {Durability::kInterval, Durability::kMemory}) {
    TopicConfig config{.durability = durability};
    if (durability == Durability::kInterval) config.interval = 100ms;
    topic = create(durability == Durability::kInterval ? "interval" : "memory", 1, config);
    send({"a"});
    send({"a", "b"});
    ASSERT_EQ(sink.replies.size(), 2u);
    EXPECT_EQ(std::get<Produced>(sink.replies[1].second).durability, durability);
    EXPECT_EQ(said(), "0, 1 0+1@0");
  }
}

TEST_F(IdsTest, WhatFailedToBecomeDurableIsUnknownWhenItComesAgain) {
  send({"a"});
  storage.failed = true;
  broker.on_failed({ErrorCode::kIoError, "disk"});
  sink.replies.clear();
  send({"a"});
  ASSERT_EQ(sink.replies.size(), 1u);
  EXPECT_EQ(last_error(), ErrorCode::kOutcomeUnknown);
}

// ---- batches of which a part is known ----

TEST_F(IdsTest, ABatchKeepsItsRangeWithoutWhatIsKnown) {
  for (const Compression compression : kCompressions)
    for (const std::size_t bytes : {std::size_t{0}, kLargeBytes}) {
      const Sending how{compression, bytes};
      topic = create("t" + std::to_string(static_cast<int>(compression)), 1);
      send({"a", "", "b"}, how);
      send({"x", "b", "", "a", "y"}, how);
      send({"y", "x"}, how);
      send({"z"}, how);
      EXPECT_EQ(said(), "0, 3 1+1@2 3+1@0, 7 again 0+1@7 1+1@3, 8") << bytes;
      EXPECT_EQ(stored(), "0:a 1: 2:b 3:x 5: 7:y 8:z") << bytes;
      broker.delete_topic(next(9), storage.find_topic(topic)->name, at());
      storage.make_durable(broker);
      sink.replies.clear();
    }
  EXPECT_EQ(broker.produces().waiting_bytes(), 0u);
}

TEST_F(IdsTest, OfABatchThatHasAnIdTwiceTheFirstIsStored) {
  send({"a", "b", "a", "a", "b"});
  EXPECT_EQ(said(), "0 2+1@0 3+2@0");
  send({"c", "a", "a", "c"});
  EXPECT_EQ(said(), "5 1+1@0 2+1@0 3+1@5");
  EXPECT_EQ(stored(), "0:a 1:b 5:c");
}

TEST_F(IdsTest, OriginalsThatAdjoinAreToldTogether) {
  send({"a", "b", "c", "d"});
  send({"b", "c", "d", "e", "a"});
  EXPECT_EQ(said(), "0, 4 0+3@1 4+1@0");
}

TEST_F(IdsTest, ABatchStampedByTheBrokerIsRewrittenAsOne) {
  send({"a"});
  auto batch = batch_of({"a", "b"});
  batch[batch_layout::kAttributes + 1] |= std::byte{8};
  assign_producer(batch, {}, -1);  // its checksum anew
  broker.produces().produce(next(), topic, PartitionIndex(0), batch, when());
  EXPECT_EQ(said(), "0, 1 0+1@0");
  EXPECT_EQ(stored(), "0:a 2:b");
}

// ---- idempotent producers ----

TEST_F(IdsTest, ARetryIsToldWhatTheFirstOneWasTold) {
  const ProducerIdentity me = identity();
  send({"a"});
  send({"b", "a", "c", "b"}, {.producer = me, .sequence = 0});
  send({"b", "a", "c", "b"}, {.producer = me, .sequence = 0});
  EXPECT_EQ(said(), "0, 1 1+1@0 3+1@1, 1 again 1+1@0 3+1@1");
  send({"d"}, {.producer = me, .sequence = 4});
  EXPECT_EQ(said(), "5");
  EXPECT_EQ(stored(), "0:a 1:b 3:c 5:d");
}

TEST_F(IdsTest, WhereAllIsKnownTheSequenceGoesOn) {
  const ProducerIdentity me = identity();
  send({"a", "b"});
  send({"b", "a"}, {.producer = me, .sequence = 0});
  send({"b", "a"}, {.producer = me, .sequence = 0});
  send({"c"}, {.producer = me, .sequence = 2});
  EXPECT_EQ(said(), "0, 2 0+1@1 1+1@0, 2 again 0+1@1 1+1@0, 4");
  EXPECT_EQ(stored(), "0:a 1:b 4:c");
  send({"a"}, {.producer = me, .sequence = 9});
  EXPECT_EQ(said(), "OutOfSequence");
}

TEST_F(IdsTest, ARetryWhoseIdsAreForgottenIsToldWhatTheSequenceSays) {
  configure({.dedup = {10min, 2}});
  const ProducerIdentity me = identity();
  send({"a"});
  send({"a", "b"}, {.producer = me, .sequence = 0});
  send({"x", "y"});
  send({"a", "b"}, {.producer = me, .sequence = 0});
  EXPECT_EQ(said(), "0, 1 0+1@0, 3, 1 again");
  // Another one brought it since: that is not where the first one was.
  send({"b"});
  send({"a", "b"}, {.producer = me, .sequence = 0});
  EXPECT_EQ(said(), "5, 1 again");
}

// ---- windows ----

TEST_F(IdsTest, AnIdIsKnownForItsTime) {
  send({"a"});
  passed = 10min;
  send({"a"});
  EXPECT_EQ(said(), "0, 0 again 0+1@0");
  passed += 1ms;
  send({"a"});
  EXPECT_EQ(said(), "1");
  stepped = 24h * 365;  // the wall clock, for a moment: rule 11
  send({"a"});
  stepped = {};
  send({"a"});
  EXPECT_EQ(said(), "1 again 0+1@1, 1 again 0+1@1");
}

TEST_F(IdsTest, TheNewestSoManyAreKnown) {
  configure({.dedup = {10min, 2}});
  send({"a", "b", "c"});
  send({"a"});
  send({"c"});
  EXPECT_EQ(said(), "0, 3, 2 again 0+1@2");
}

TEST_F(IdsTest, WhereDedupIsOffIdsMeanNothing) {
  configure({.dedup = {0ms, 1}});
  send({"a"});
  send({"a", "a"});
  EXPECT_EQ(said(), "0, 1");
  // A batch on its way is dealt with as the topic is when its turn comes.
  const Sending large{Compression::kZstd, kLargeBytes};
  send({"a"}, large);
  send({"a"}, large);
  broker.configure_topic(next(9), "orders", {}, now);
  EXPECT_EQ(stored(), "0:a 1:a 2:a 3:a");
  send({"b", "b"}, large);
  broker.configure_topic(next(9), "orders", {.dedup = {0ms, 1}}, now);
  EXPECT_EQ(stored(), "0:a 1:a 2:a 3:a 4:b 5:b");
}

TEST_F(IdsTest, ALetterThatIsSentAgainIsNotItsOriginal) {
  send({"a"});
  send({"a"}, {.redriven = "orders.dlq/0/3"});
  send({"a"}, {.redriven = "orders.dlq/0/3"});
  send({"a"}, {.redriven = "orders.dlq/0/4"});
  send({"a"});
  EXPECT_EQ(said(), "0, 1, 1 again 0+1@1, 2, 0 again 0+1@0");
}

// ---- limits ----

TEST_F(IdsTest, ABatchHasSoManyIdsAtMost) {
  Ids ids(kMaxIdsInBatch, "a");
  ids.push_back("");
  send(ids);
  storage.make_durable(broker);
  ASSERT_TRUE(last<Produced>());
  EXPECT_EQ(last<Produced>()->known.size(), kMaxIdsInBatch - 1);
  sink.replies.clear();
  ids.back() = "b";
  for (const Compression compression : {Compression::kNone, Compression::kZstd})
    send(ids, {compression});
  EXPECT_EQ(said(), "BatchTooLarge, BatchTooLarge");
}

TEST_F(IdsTest, WhatIsThereNeedsNoRoom) {
  Broker small({.max_stored_bytes = 100}, storage, checker, Random(1), sink, when());
  for (int i = 0; i < 2; ++i)
    small.produces().produce(next(), topic, PartitionIndex(0), batch_of({"a"}), when());
  small.produces().produce(next(), topic, PartitionIndex(0), batch_of({"b"}), when());
  storage.make_durable(small);
  EXPECT_EQ(said(), "0, 0 again 0+1@0, NoSpace");
}

// ---- look-ups that take their time ----

class LaterIdsTest : public IdsTest {
 protected:
  LaterIdsTest() { storage.ids_later = true; }
};

TEST_F(LaterIdsTest, LaterBatchesOfThePartitionWaitOthersDoNot) {
  send({"a"}, {}, 1, 0);
  send({""}, {}, 2, 0);
  send({"a"}, {}, 2, 0);
  send({""}, {}, 3, 1);
  storage.make_durable(broker);
  EXPECT_EQ(sink.replies.size(), 1u);
  EXPECT_EQ(storage.waiting_ids.size(), 1u);  // one by one: the second depends on the first
  answer();
  EXPECT_EQ(storage.waiting_ids.size(), 1u);
  EXPECT_EQ(said(), "0, 0, 1, 0 again 0+1@0");
  EXPECT_EQ(stored(), "0:a 1:");
  EXPECT_TRUE(broker.produces().idle());
  EXPECT_EQ(broker.produces().waiting_bytes(), 0u);
}

TEST_F(LaterIdsTest, RepliesToAConnectionKeepTheirOrder) {
  send({"a"}, {}, 1, 0);
  send({""}, {}, 1, 1);
  storage.make_durable(broker);
  EXPECT_TRUE(sink.replies.empty());
  EXPECT_TRUE(broker.produces().waits(ConnectionId(1)));
  answer();
  storage.make_durable(broker);
  ASSERT_EQ(sink.replies.size(), 2u);
  EXPECT_LT(sink.replies[0].first, sink.replies[1].first);
}

// Storage is promised that nothing with ids is appended while it looks.
TEST_F(LaterIdsTest, WhatAClosedConnectionAskedForIsWaitedFor) {
  send({"a"}, {}, 1);
  send({"a"}, {}, 2);
  broker.on_connection_closed(ConnectionId(1), when());
  EXPECT_EQ(storage.waiting_ids.size(), 1u);
  EXPECT_GT(broker.produces().waiting_bytes(), 0u);
  EXPECT_EQ(said(), "0");
  EXPECT_EQ(stored(), "0:a");
  EXPECT_EQ(broker.produces().waiting_bytes(), 0u);
}

TEST_F(LaterIdsTest, AConnectionMayCloseWhileItsBatchIsRewritten) {
  storage.ids_later = false;
  const Sending large{Compression::kZstd, kLargeBytes};
  send({"a"});
  send({"a", "b"}, large, 1);
  send({"b"}, {}, 2);
  checker.tell(broker);
  EXPECT_EQ(checker.waiting(), 1u);
  broker.on_connection_closed(ConnectionId(1), when());
  EXPECT_FALSE(checker.wanted(0));
  EXPECT_EQ(stored(), "0:a 1:b");
  EXPECT_TRUE(broker.produces().idle());
  EXPECT_EQ(broker.produces().waiting_bytes(), 0u);
}

TEST_F(LaterIdsTest, WhatCannotBeLookedUpIsRefusedAndTheRestGoesOn) {
  send({"a"});
  send({"b"});
  const auto token = storage.waiting_ids.begin()->first;
  storage.waiting_ids.clear();
  broker.on_known_ids(token, fail(ErrorCode::kCorruptStorage, "a block of ids"));
  EXPECT_EQ(said(), "CorruptStorage, 0");
}

TEST_F(LaterIdsTest, ATopicMayGoOrStorageFailMeanwhile) {
  send({"a"}, {}, 1, 0);
  send({"a"}, {}, 2, 1);
  broker.delete_topic(next(3), "orders", at());
  EXPECT_EQ(storage.waiting_ids.size(), 2u);
  answer();
  answer();
  storage.make_durable(broker);
  EXPECT_EQ(last_error(), ErrorCode::kUnknownTopic);

  topic = create();
  send({"a"});
  storage.failed = true;
  broker.on_failed({ErrorCode::kIoError, "disk"});
  answer();
  EXPECT_EQ(last_error(), ErrorCode::kStorageFailed);
}

TEST_F(LaterIdsTest, WithoutRoomInStorageNothingIsLookedUp) {
  send({"a"});
  send({"b"});
  storage.room = false;
  answer();
  EXPECT_TRUE(storage.waiting_ids.empty());
  storage.room = true;
  broker.on_room();
  EXPECT_EQ(said(), "0, 1");
}

TEST_F(LaterIdsTest, WhenTooMuchWaitsOnlyWhatNeedNotWaitIsTaken) {
  const auto takes = [&](const Ids& ids, int partition) {
    return broker.produces().takes(topic, PartitionIndex(partition), batch_of(ids, {.bytes = 500}));
  };
  while (takes({"a"}, 0)) send({"a"}, {.bytes = 500});
  EXPECT_LE(broker.produces().waiting_bytes(), broker.options().checking_bytes);
  EXPECT_FALSE(takes({""}, 0));
  EXPECT_FALSE(takes({"a"}, 1));  // it might have to wait
  EXPECT_TRUE(takes({""}, 1));
  settle();
  EXPECT_EQ(sink.rooms, 1);
  EXPECT_TRUE(takes({"a"}, 0));
  EXPECT_EQ(broker.produces().waiting_bytes(), 0u);
}

}  // namespace
}  // namespace leat::broker
