// Batches that are checked elsewhere come back in any order; what the world sees is the order in
// which they were produced.
#include "server/broker/produces.h"

#include <gtest/gtest.h>

#include "tests/server/broker_fixture.h"

namespace leat::broker {
namespace {

using namespace std::chrono_literals;

enum class Kind : std::uint8_t { kPlain, kSmall, kLarge, kBad };

// A batch of one record; a large one is more than is checked in place.
std::vector<std::byte> make_batch(Kind kind, int value, ProducerIdentity producer = {},
                                  std::int32_t sequence = -1, const std::string& id = {}) {
  const bool large = kind == Kind::kLarge || kind == Kind::kBad;
  std::string text = std::to_string(value);
  text.resize(large ? kCheckedInPlaceDecompressedBytes + 1 : 100, '.');
  RecordBatchBuilder builder;
  std::vector<RecordHeader> headers;
  if (!id.empty()) headers.push_back({"leat-id", as_bytes(id)});
  builder.append({.value = as_bytes(text), .headers = headers}, 1);
  builder.set_producer(producer, sequence);
  auto batch = builder.take(kind == Kind::kPlain ? Compression::kNone : Compression::kZstd);
  // Found only by whoever decompresses it: the header says two records, and its checksum agrees.
  if (kind == Kind::kBad) {
    store_be<std::int32_t>(batch.data() + batch_layout::kLastOffsetDelta, 1);
    store_be<std::int32_t>(batch.data() + batch_layout::kRecordCount, 2);
    assign_producer(batch, producer, sequence);
  }
  return batch;
}

class ProducesTest : public BrokerFixture {
 protected:
  void send(Kind kind, int value, int partition = 0, std::uint64_t connection = 1) {
    broker.produces().produce(next(connection), topic, PartitionIndex(partition),
                              make_batch(kind, value), at());
  }
  // What lies in the partition, by value; durable by now.
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
  std::vector<std::uint64_t> answered() const {
    std::vector<std::uint64_t> all;
    for (const auto& [id, reply] : sink.replies) all.push_back(id);
    return all;
  }

  TopicId topic = create();
  std::uint64_t first = correlation;  // correlations of what follows begin behind it
};

// A value, and when it is to be delivered.
std::vector<std::byte> timed_batch(std::string_view deliver_at, std::size_t value_bytes = 1) {
  const RecordHeader header{"leat-deliver-at", as_bytes(deliver_at)};
  RecordBatchBuilder builder;
  builder.append({.value = as_bytes(std::string(value_bytes, 'v')), .headers = {&header, 1}}, 1);
  return builder.take(value_bytes > 1 ? Compression::kZstd : Compression::kNone);
}

// Records whose headers have such traceparents, in order.
std::vector<std::byte> traced_batch(const std::vector<std::string>& parents) {
  RecordBatchBuilder builder;
  for (const std::string& parent : parents) {
    const RecordHeader header{"traceparent", as_bytes(parent)};
    builder.append({.value = as_bytes("1"), .headers = {&header, 1}}, 1);
  }
  return builder.take();
}

TEST_F(ProducesTest, RepliesSayWhichRecordsAreTracedWhereThatIsAskedFor) {
  const std::string parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0";
  const auto batch = traced_batch({"nonsense", parent + "1", parent + "0", parent + "1"});
  broker.produces().produce(next(), topic, PartitionIndex(0), batch, at());
  storage.make_durable(broker);
  ASSERT_TRUE(last<Produced>());
  EXPECT_FALSE(last<Produced>()->traces);
  broker.produces().note_traces();
  broker.produces().produce(next(), topic, PartitionIndex(1), batch, at(5s));
  const std::size_t before = sink.replies.size();
  storage.make_durable(broker);
  ASSERT_EQ(sink.replies.size(), before + 1);  // when it is durable (rule 2)
  const auto& traces = last<Produced>()->traces;
  ASSERT_TRUE(traces);
  EXPECT_EQ(traces->topic, "orders");
  EXPECT_EQ(traces->partition, PartitionIndex(1));
  EXPECT_EQ(traces->received, at(5s).monotonic);
  ASSERT_EQ(traces->records.size(), 2u);  // those that are sampled
  EXPECT_EQ(traces->records[0].delta, 1);
  EXPECT_EQ(traces->records[1].delta, 3);
  EXPECT_EQ(hex(traces->records[0].sent.span), "b7ad6b7169203331");
}

TEST_F(ProducesTest, OfOneBatchSoManyRecordsAreNotedAsTraced) {
  broker.produces().note_traces();
  const std::vector<std::string> parents(kMostTracedInBatch + 5,
                                         "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  broker.produces().produce(next(), topic, PartitionIndex(0), traced_batch(parents), at());
  storage.make_durable(broker);
  EXPECT_EQ(last<Produced>()->traces->records.size(), kMostTracedInBatch);
}

TEST(CheckRecords, WhatIsWrongWithABatchComesBeforeItsReservedHeaders) {
  const RecordHeader soon{"leat-deliver-at", as_bytes("soon")}, never{"leat-id", std::nullopt};
  const auto refusal = [&](bool cut, bool keys = false) {
    RecordBatchBuilder builder;
    builder.append({.value = as_bytes("1"), .headers = {&soon, 1}}, 1);
    builder.append({.value = as_bytes("2"), .headers = {&never, 1}}, 1);
    auto batch = builder.take();
    if (cut) {
      batch.pop_back();
      store_be(&batch[batch_layout::kBatchLength],
               static_cast<std::int32_t>(batch.size() - batch_layout::kLengthPrefixBytes));
      assign_producer(batch, {}, -1);  // so that its checksum agrees
    }
    const auto checked = check_records(
        batch, {.max_decompressed_bytes = kMaxDecompressedBytes, .keys = keys, .ids = {}});
    return checked ? "" : checked.error().detail;
  };
  EXPECT_EQ(refusal(true), "record 1 has lengths that do not fit");
  EXPECT_EQ(refusal(false, true), "record 0 has no key; a topic that compacts needs one");
  EXPECT_EQ(refusal(false),
            "header leat-deliver-at is 'soon'; use milliseconds since 1970, in decimal");
}

TEST_F(ProducesTest, TheFirstRecordWithATimeIsNotedWithItsTopic) {
  const auto send_timed = [&](const std::vector<std::byte>& batch) {
    broker.produces().produce(next(), topic, PartitionIndex(0), batch, at());
    storage.make_durable(broker);
  };
  send(Kind::kPlain, 1);
  EXPECT_FALSE(storage.find_topic(topic)->config.timed_records);
  send_timed(timed_batch("soon"));
  EXPECT_EQ(last_error(), ErrorCode::kInvalidBatch);
  EXPECT_FALSE(storage.find_topic(topic)->config.timed_records);
  send_timed(timed_batch("1700000000000"));
  ASSERT_TRUE(last<Produced>());
  EXPECT_TRUE(storage.find_topic(topic)->config.timed_records);

  // Whoever changes the settings does not know of it.
  broker.configure_topic(next(), "orders", {.ttl = std::chrono::hours(1)}, now);
  EXPECT_TRUE(storage.find_topic(topic)->config.timed_records);
  EXPECT_EQ(storage.find_topic(topic)->config.ttl, std::chrono::hours(1));
}

TEST_F(ProducesTest, ATimeIsNotedWhereTheBatchIsCheckedElsewhere) {
  broker.produces().produce(next(), topic, PartitionIndex(0),
                            timed_batch("5", kCheckedInPlaceDecompressedBytes + 1), at());
  ASSERT_EQ(checker.waiting(), 1u);
  checker.tell_all(broker);
  EXPECT_TRUE(storage.find_topic(topic)->config.timed_records);
}

TEST_F(ProducesTest, ALargeCompressedBatchIsCheckedElsewhereASmallOneInPlace) {
  send(Kind::kSmall, 1);
  EXPECT_EQ(checker.waiting(), 0u);
  send(Kind::kLarge, 2);
  EXPECT_EQ(checker.waiting(), 1u);
  EXPECT_EQ(stored(), std::vector{1});
  checker.tell(broker);
  EXPECT_EQ(stored(), (std::vector{1, 2}));
  EXPECT_TRUE(broker.produces().idle());
  EXPECT_EQ(broker.produces().waiting_bytes(), 0u);
}

TEST_F(ProducesTest, LaterBatchesOfThePartitionWaitBehindOthersDoNot) {
  send(Kind::kLarge, 1, 0, 1);
  send(Kind::kPlain, 2, 0, 2);
  send(Kind::kLarge, 3, 0, 3);
  send(Kind::kPlain, 4, 1, 4);
  EXPECT_EQ(stored(0), std::vector<int>{});
  EXPECT_EQ(stored(1), std::vector{4});
  EXPECT_EQ(answered(), std::vector{first + 4});
  checker.tell(broker, 1);  // the later one first
  EXPECT_EQ(stored(0), std::vector<int>{});
  checker.tell(broker);
  EXPECT_EQ(stored(0), (std::vector{1, 2, 3}));
}

TEST_F(ProducesTest, RepliesToAConnectionsProducesKeepTheirOrder) {
  send(Kind::kLarge, 1, 0);
  send(Kind::kPlain, 2, 1);  // appended at once, answered later
  broker.produces().produce(next(), TopicId{}, PartitionIndex(0), make_batch(Kind::kPlain, 3),
                            at());
  EXPECT_EQ(stored(1), std::vector{2});
  EXPECT_TRUE(sink.replies.empty());
  EXPECT_TRUE(broker.produces().waits(ConnectionId(1)));
  checker.tell(broker);
  storage.make_durable(broker);
  EXPECT_EQ(answered(), (std::vector{first + 1, first + 2, first + 3}));
  EXPECT_EQ(last_error(), ErrorCode::kUnknownTopic);
}

TEST_F(ProducesTest, ABadBatchIsRefusedAndWhatWaitsBehindItGoesOn) {
  send(Kind::kBad, 1);
  send(Kind::kPlain, 2);
  checker.tell(broker);
  EXPECT_EQ(stored(), std::vector{2});
  ASSERT_EQ(sink.replies.size(), 2u);
  EXPECT_EQ(std::get<Error>(sink.replies[0].second).code, ErrorCode::kInvalidBatch);
}

TEST_F(ProducesTest, ARetryWaitsForTheOriginalWhereverItComesFrom) {
  const auto producer = storage.init_producer(std::nullopt, 0).value();
  const auto batch = make_batch(Kind::kLarge, 1, {producer.id, producer.epoch}, 0);
  broker.produces().produce(next(1), topic, PartitionIndex(0), batch, at());
  broker.produces().produce(next(2), topic, PartitionIndex(0), batch, at());
  checker.tell(broker, 1);
  checker.tell(broker);
  EXPECT_EQ(stored(), std::vector{1});
  ASSERT_EQ(sink.replies.size(), 2u);
  EXPECT_FALSE(std::get<Produced>(sink.replies[0].second).duplicate);
  EXPECT_TRUE(std::get<Produced>(sink.replies[1].second).duplicate);
}

TEST_F(ProducesTest, WhatAClosedConnectionHasWaitingIsDroppedAndItsMemoryCountedUntilToldOf) {
  send(Kind::kLarge, 1, 0, 1);
  send(Kind::kPlain, 2, 0, 2);
  broker.on_connection_closed(ConnectionId(1), at());
  EXPECT_FALSE(checker.wanted(0));
  EXPECT_EQ(stored(), std::vector{2});
  EXPECT_GT(broker.produces().waiting_bytes(), 0u);
  checker.tell(broker);
  EXPECT_EQ(broker.produces().waiting_bytes(), 0u);
  EXPECT_EQ(stored(), std::vector{2});
  EXPECT_EQ(answered(), std::vector{first + 2});
}

TEST_F(ProducesTest, ATopicMayGoMeanwhile) {
  send(Kind::kLarge, 1);
  broker.delete_topic(next(2), "orders", at());
  checker.tell(broker);
  storage.make_durable(broker);
  EXPECT_EQ(last_error(), ErrorCode::kUnknownTopic);
}

TEST_F(ProducesTest, WithoutRoomInStorageWhatIsCheckedWaitsForIt) {
  send(Kind::kLarge, 1);
  storage.room = false;
  checker.tell(broker);
  EXPECT_EQ(stored(), std::vector<int>{});
  storage.room = true;
  broker.on_room();
  EXPECT_EQ(stored(), std::vector{1});
}

TEST_F(ProducesTest, WhenStorageFailsWhatIsStoredAndNotYetToldIsUnknown) {
  send(Kind::kLarge, 1, 0);
  send(Kind::kPlain, 2, 1);
  storage.failed = true;
  broker.on_failed({ErrorCode::kIoError, "disk"});
  checker.tell(broker);
  ASSERT_EQ(sink.replies.size(), 2u);
  EXPECT_EQ(std::get<Error>(sink.replies[0].second).code, ErrorCode::kStorageFailed);
  EXPECT_EQ(std::get<Error>(sink.replies[1].second).code, ErrorCode::kOutcomeUnknown);
}

TEST_F(ProducesTest, WhenTooMuchWaitsOnlyWhatNeedNotWaitIsTaken) {
  const auto takes = [&](Kind kind, int partition) {
    return broker.produces().takes(topic, PartitionIndex(partition), make_batch(kind, 1));
  };
  EXPECT_TRUE(takes(Kind::kLarge, 0));
  while (takes(Kind::kLarge, 0)) send(Kind::kLarge, 1);
  EXPECT_LE(broker.produces().waiting_bytes(), broker.options().checking_bytes);
  EXPECT_FALSE(takes(Kind::kPlain, 0));  // behind them
  EXPECT_TRUE(takes(Kind::kPlain, 1));
  EXPECT_EQ(sink.rooms, 0);
  checker.tell_all(broker);
  EXPECT_EQ(sink.rooms, 1);
  EXPECT_TRUE(takes(Kind::kLarge, 0));
}

// ---- the same as if every batch had been checked when it came ----

// ---- keys ----

std::vector<std::byte> keyed(std::initializer_list<bool> keys, Compression compression,
                             std::size_t bytes = 10) {
  const std::string value(bytes, 'v');
  RecordBatchBuilder builder;
  for (const bool key : keys)
    builder.append(
        {.key = key ? std::optional(as_bytes("")) : std::nullopt, .value = as_bytes(value)}, 1);
  return builder.take(compression);
}

TEST_F(ProducesTest, WhereATopicCompactsEveryRecordNeedsAKey) {
  topic = create("latest", 1, {.cleanup = Cleanup::kCompact});
  constexpr std::size_t kTooMuchHere = kCheckedInPlaceDecompressedBytes;
  for (const auto compression : {Compression::kNone, Compression::kZstd})
    for (const std::size_t bytes : {std::size_t{10}, kTooMuchHere}) {
      const auto send_keys = [&](std::initializer_list<bool> keys) {
        broker.produces().produce(next(), topic, PartitionIndex(0), keyed(keys, compression, bytes),
                                  at());
        checker.tell_all(broker);
        storage.make_durable(broker);
      };
      send_keys({true, true, false});
      ASSERT_EQ(last_error(), ErrorCode::kInvalidBatch);
      EXPECT_NE(last<Error>()->detail.find("record 2 has no key"), std::string::npos)
          << last<Error>()->detail;
      send_keys({true, true});
      EXPECT_TRUE(last<Produced>());
    }
}

TEST_F(ProducesTest, ATopicMayBeginToCompactWhileABatchIsChecked) {
  for (const bool key : {false, true})
    broker.produces().produce(next(), topic, PartitionIndex(0),
                              keyed({key}, Compression::kZstd, kCheckedInPlaceDecompressedBytes),
                              at());
  broker.configure_topic(next(2), "orders", {.cleanup = Cleanup::kCompact}, now);
  storage.make_durable(broker);
  sink.replies.clear();
  checker.tell_all(broker);
  storage.make_durable(broker);
  ASSERT_EQ(sink.replies.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<Error>(sink.replies[0].second));
  EXPECT_TRUE(std::holds_alternative<Produced>(sink.replies[1].second));
}

// ---- order ----

struct Seen {
  std::map<std::size_t, std::vector<int>> stored;
  std::map<std::uint64_t, std::vector<std::pair<std::uint64_t, std::string>>> replies;
  bool operator==(const Seen&) const = default;
};

std::string text_of(const Reply& reply) {
  if (const auto* error = std::get_if<Error>(&reply)) return error->message();
  const auto& produced = std::get<Produced>(reply);
  std::string text = std::to_string(produced.base.value) + (produced.duplicate ? " again" : "");
  for (const KnownRecords& range : produced.known)
    text += " @" + std::to_string(range.offset.value);
  return text;
}

class ProducesProperty : public ProducesTest {
 public:
  void TestBody() override {}

  // One run of the seed's history; `at_once`: each check is told before the next produce.
  Seen run(std::uint64_t seed, bool at_once) {
    Random script(seed), order(seed + 1);
    const auto issued = storage.init_producer(std::nullopt, 0).value();
    std::array<std::int32_t, kPartitions> sequences{};
    std::map<std::uint64_t, std::uint64_t> connection_of;
    storage.ids_later = !at_once;
    for (int i = 0; i < 60; ++i) {
      const std::uint64_t connection = 1 + script.below(3);
      const std::size_t partition = script.below(kPartitions);
      const auto kind = static_cast<Kind>(script.below(4));
      const bool idempotent = script.below(2) == 0, repeated = script.below(8) == 0;
      const std::string message = script.below(2) == 0 ? "" : std::to_string(script.below(8));
      std::vector<std::byte> batch = make_batch(kind, i, {}, -1, message);
      if (idempotent) {
        std::int32_t& sequence = sequences.at(partition);
        batch = make_batch(kind, i, {issued.id, issued.epoch},
                           repeated ? std::max(0, sequence - 1) : sequence, message);
        if (kind != Kind::kBad && !repeated) ++sequence;
      }
      const RequestId id = next(connection);
      connection_of[id.correlation.value] = connection;
      broker.produces().produce(id, topic, PartitionIndex(static_cast<int>(partition)), batch,
                                at());
      if (at_once) checker.tell_all(broker);
      for (std::uint64_t n = at_once ? 0 : order.below(3); n > 0 && checker.waiting() > 0; --n)
        checker.tell(broker, order.below(checker.waiting()));
      if (order.below(2) == 0) answer_ids();
      if (!at_once && order.below(10) == 0) toggle_room();
      if (order.below(4) == 0) storage.make_durable(broker);
    }
    if (!storage.room) toggle_room();
    while (checker.waiting() > 0 || !storage.waiting_ids.empty()) {
      if (checker.waiting() > 0) checker.tell(broker, order.below(checker.waiting()));
      answer_ids();
    }
    return seen(connection_of);
  }

 private:
  static constexpr std::size_t kPartitions = 2;

  void answer_ids() {
    if (!storage.waiting_ids.empty())
      storage.answer_ids(storage.waiting_ids.begin()->first, broker);
  }
  void toggle_room() {
    storage.room = !storage.room;
    if (storage.room) broker.on_room();
  }
  Seen seen(const std::map<std::uint64_t, std::uint64_t>& connection_of) {
    Seen all;
    for (std::size_t i = 0; i < kPartitions; ++i) all.stored[i] = stored(i);
    for (const auto& [id, reply] : sink.replies)
      all.replies[connection_of.at(id)].emplace_back(id, text_of(reply));
    EXPECT_TRUE(broker.produces().idle());
    EXPECT_EQ(broker.produces().waiting_bytes(), 0u);
    return all;
  }
};

TEST(ProducesOrder, WhateverOrderChecksComeBackInTheWorldSeesTheSame) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    ProducesProperty at_once, later;
    const Seen expected = at_once.run(seed, true), found = later.run(seed, false);
    EXPECT_TRUE(expected == found) << "seed " << seed;
    std::size_t replies = 0;
    for (const auto& [connection, all] : found.replies) replies += all.size();
    EXPECT_EQ(replies, 60u) << "seed " << seed;
  }
}

}  // namespace
}  // namespace leat::broker
