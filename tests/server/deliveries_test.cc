// Delivery with acknowledgements: leases, what ends them, attempts, back-off, dead letters, order
// by key, and a model that looks at random histories of all of it.
#include "server/broker/delivery/deliveries.h"

#include <gmock/gmock.h>

#include "protocol/reserved_headers.h"
#include "tests/server/broker_fixture.h"

namespace leat::broker {
namespace {

using namespace std::chrono_literals;

class DeliveriesTest : public BrokerFixture {
 protected:
  Now when() const { return {now, WallTime(1'000'000'000ms) + wall}; }
  void pass(std::chrono::milliseconds time) {
    now += time;
    wall += time;
    broker.on_time(when());
    broker.deliveries().dispatch(when());
  }
  AttachRequest request(GroupKind kind = GroupKind::kShared) {
    return {.subscription = 1,
            .group = "g",
            .kind = kind,
            .topics = {"orders"},
            .grants = {1'000, 1 << 20},
            .settings = {}};
  }
  void attach(std::uint64_t connection, const AttachRequest& request) {
    broker.deliveries().attach(next(connection), request, when());
    storage.make_durable(broker);
    broker.deliveries().dispatch(when());
  }
  void settle(std::uint64_t connection, std::int64_t first, std::int64_t last, Outcome outcome,
              std::optional<std::chrono::milliseconds> delay = {}, std::string_view reason = {}) {
    SettleRequest request{1, {}, reason};
    Settlement& settlement = request.settlements.emplace_back();
    settlement.partition = {orders, PartitionIndex(0)};
    settlement.range = {Offset(first), Offset(last)};
    settlement.outcome = outcome;
    settlement.delay = delay;
    settlement.delivery = number[connection][first];
    broker.deliveries().settle(next(connection), request, when());
    storage.make_durable(broker);
    broker.deliveries().dispatch(when());
  }
  void write(std::initializer_list<std::string_view> keys) {
    RecordBatchBuilder builder;
    for (const std::string_view key : keys) builder.append({as_bytes(key), as_bytes("v"), {}}, 1);
    broker.produces().produce(next(), orders, PartitionIndex(0), builder.finish());
    storage.make_durable(broker);
    broker.deliveries().dispatch(when());
  }
  struct Got {
    std::int64_t offset;
    std::uint32_t attempt;
    friend bool operator==(const Got&, const Got&) = default;
    friend void PrintTo(const Got& got, std::ostream* to) {
      *to << got.offset << " at attempt " << got.attempt;
    }
  };
  // What the connection takes: what was delivered, of which the batches hold every record.
  std::vector<Got> take(std::uint64_t connection) {
    std::vector<Got> got;
    while (auto delivered = broker.deliveries().next(ConnectionId(connection))) {
      std::set<Offset> held;
      for (const auto& stored : delivered->batches)
        for (Bytes rest = stored.bytes; !rest.empty();) {
          const auto batch = *RecordBatchView::parse(rest);
          EXPECT_TRUE(batch.check());
          const auto reader = *RecordReader::open(batch);
          for (const auto& record : reader) held.insert(record.offset);
          rest = rest.subspan(batch.bytes().size());
        }
      for (const auto& [range, attempt] : delivered->ranges)
        for (Offset at = range.first; at <= range.last; at = at + 1) {
          EXPECT_TRUE(held.contains(at)) << at.value;
          number[connection][at.value] = delivered->number;
          got.push_back({at.value, attempt});
        }
      broker.deliveries().dispatch(when());
    }
    return got;
  }
  static std::vector<Got> firsts(std::int64_t first, std::int64_t last) {
    std::vector<Got> all;
    for (; first <= last; ++first) all.push_back({first, 1});
    return all;
  }

  std::chrono::milliseconds wall{0};
  std::map<std::uint64_t, std::map<std::int64_t, std::uint64_t>> number;  // of whose delivery
  TopicId orders = create("orders", 1);
};

TEST_F(DeliveriesTest, EachRecordGoesToOneMember) {
  attach(1, request());
  attach(2, request());
  for (int i = 0; i < 40; ++i) write({"a", "b"});
  std::set<std::int64_t> seen;
  std::size_t most = 0;
  for (const std::uint64_t connection : {1, 2}) {
    const auto got = take(connection);
    most = std::max(most, got.size());
    for (const Got& one : got) EXPECT_TRUE(seen.insert(one.offset).second) << one.offset;
  }
  EXPECT_EQ(seen.size(), 80u);
  EXPECT_LE(most, 60u) << "shared out";
}

TEST_F(DeliveriesTest, AMemberGetsNoMoreThanItsGrants) {
  AttachRequest one = request();
  one.grants = {3, 1 << 20};
  attach(1, one);
  write({"a", "b", "c", "d", "e"});
  EXPECT_EQ(take(1), firsts(0, 2));
  broker.deliveries().grant(ConnectionId(1), 1, {4, 1 << 20});
  broker.deliveries().dispatch(when());
  EXPECT_EQ(take(1), firsts(3, 3));
}

TEST_F(DeliveriesTest, WhatIsAckedIsNeverDeliveredAgain) {
  attach(1, request());
  write({"a", "b", "c", "d"});
  EXPECT_EQ(take(1), firsts(0, 3));
  settle(1, 0, 0, Outcome::kAck);
  settle(1, 2, 2, Outcome::kAck);
  EXPECT_TRUE(last<Settled>()->refused.empty());
  EXPECT_EQ(storage.committed("g", orders, PartitionIndex(0))->offset, Offset(1));
  broker.on_connection_closed(ConnectionId(1), when());
  attach(2, request());
  EXPECT_THAT(take(2), testing::ElementsAre(Got{1, 2}, Got{3, 2}));
}

TEST_F(DeliveriesTest, TheReplyWaitsUntilTheAckIsDurable) {
  attach(1, request());
  write({"a"});
  take(1);
  sink.replies.clear();
  SettleRequest request{1, {{{orders, PartitionIndex(0)}, {Offset(0), Offset(0)}}}, {}};
  broker.deliveries().settle(next(), request, when());
  EXPECT_TRUE(sink.replies.empty());
  storage.make_durable(broker);
  EXPECT_TRUE(last<Settled>());
}

TEST_F(DeliveriesTest, ALeaseThatIsNotSettledInTimeEnds) {
  AttachRequest one = request();
  one.ack_timeout = 1s;
  attach(1, one);
  write({"a", "b"});
  take(1);
  pass(999ms);
  EXPECT_TRUE(take(1).empty());
  settle(1, 1, 1, Outcome::kExtend);
  pass(1ms);
  EXPECT_THAT(take(1), testing::ElementsAre(Got{0, 2}));
  pass(998ms);
  EXPECT_TRUE(take(1).empty());
  pass(1ms);
  EXPECT_THAT(take(1), testing::ElementsAre(Got{1, 2}));
}

TEST_F(DeliveriesTest, ALateAckCountsUnlessSomebodyElseHasTheRecord) {
  AttachRequest one = request();
  one.ack_timeout = 1s;
  one.grants = {1, 1 << 20};
  attach(1, one);
  write({"a"});
  EXPECT_EQ(take(1), firsts(0, 0));
  pass(1s);
  settle(1, 0, 0, Outcome::kAck);
  EXPECT_TRUE(last<Settled>()->refused.empty());
  write({"b"});
  broker.deliveries().grant(ConnectionId(1), 1, {2, 1 << 20});
  broker.deliveries().dispatch(when());
  EXPECT_EQ(take(1), firsts(1, 1));
  pass(1s);
  attach(2, request());
  EXPECT_THAT(take(2), testing::ElementsAre(Got{1, 2}));
  settle(1, 1, 1, Outcome::kAck);
  ASSERT_EQ(last<Settled>()->refused.size(), 1u);
  EXPECT_EQ(last<Settled>()->refused[0].range, (OffsetRange{Offset(1), Offset(1)}));
  settle(2, 1, 1, Outcome::kAck);
  EXPECT_TRUE(last<Settled>()->refused.empty());
  settle(1, 0, 1, Outcome::kAck);
  EXPECT_TRUE(last<Settled>()->refused.empty()) << "done is done";
  settle(1, 5, INT64_MAX, Outcome::kAck);
  EXPECT_EQ(last<Settled>()->refused.size(), 1u) << "never delivered";
}

TEST_F(DeliveriesTest, NackedRecordsComeAgainAfterTheirDelayOrTheBackOff) {
  AttachRequest one = request();
  one.settings.min_backoff = one.settings.max_backoff = 100ms;
  attach(1, one);
  write({"a", "b"});
  take(1);
  settle(1, 0, 0, Outcome::kNack, 50ms);
  settle(1, 1, 1, Outcome::kNack);
  pass(49ms);
  EXPECT_TRUE(take(1).empty());
  pass(1ms);
  EXPECT_THAT(take(1), testing::ElementsAre(Got{0, 2}));
  pass(49ms);
  EXPECT_TRUE(take(1).empty());
  pass(1ms);
  EXPECT_THAT(take(1), testing::ElementsAre(Got{1, 2}));
  settle(1, 0, 0, Outcome::kNack, 0ms);
  EXPECT_THAT(take(1), testing::ElementsAre(Got{0, 3}));
}

TEST_F(DeliveriesTest, TheBackOffDoublesUpToItsMost) {
  AttachRequest one = request();
  one.settings.min_backoff = 100ms;
  one.settings.max_backoff = 300ms;
  attach(1, one);
  write({"a"});
  take(1);
  for (const auto most : {100ms, 200ms, 300ms, 300ms}) {
    settle(1, 0, 0, Outcome::kNack);
    pass(most / 2 - 1ms);
    EXPECT_TRUE(take(1).empty()) << most.count();
    pass(most / 2 + 1ms);
    EXPECT_EQ(take(1).size(), 1u) << most.count();
  }
}

TEST_F(DeliveriesTest, LeavingReturnsRecordsAtOnceAndUncounted) {
  attach(1, request());
  write({"a"});
  take(1);
  attach(2, request());
  EXPECT_TRUE(take(2).empty());
  EXPECT_TRUE(broker.deliveries().detach(next(1), 1, when()));
  broker.deliveries().dispatch(when());
  EXPECT_THAT(take(2), testing::ElementsAre(Got{0, 1}));
  broker.on_connection_closed(ConnectionId(2), when());
  attach(3, request());
  EXPECT_THAT(take(3), testing::ElementsAre(Got{0, 2}));
}

TEST_F(DeliveriesTest, ARecordThatFailsTooOftenDies) {
  AttachRequest one = request();
  one.settings.max_deliveries = 2;
  attach(1, one);
  write({"k"});
  take(1);
  settle(1, 0, 0, Outcome::kNack, 0ms);
  EXPECT_THAT(take(1), testing::ElementsAre(Got{0, 2}));
  settle(1, 0, 0, Outcome::kNack, 0ms);
  EXPECT_TRUE(take(1).empty());
  storage.make_durable(broker);
  EXPECT_EQ(storage.committed("g", orders, PartitionIndex(0))->offset, Offset(1));
  const storage::Topic* dead = storage.find_topic("orders.dlq");
  ASSERT_TRUE(dead);
  const auto read = storage.result_of(dead->partitions[0]);
  ASSERT_EQ(read.batches.size(), 1u);
  const auto batch = *RecordBatchView::parse(read.batches[0].bytes);
  const RecordView record = *batch.begin();
  EXPECT_EQ(as_text(*record.key), "k");
  EXPECT_EQ(as_text(*record.value), "v");
  const auto header = [&](std::string_view name) {
    const auto found = record.headers.find(name);
    return found ? std::string(as_text(*found->value)) : "none";
  };
  EXPECT_EQ(header(reserved_headers::kDeadReason), "max_deliveries");
  EXPECT_EQ(header(reserved_headers::kDeadGroup), "g");
  EXPECT_EQ(header(reserved_headers::kDeadTopic), "orders");
  EXPECT_EQ(header(reserved_headers::kDeadPartition), "0");
  EXPECT_EQ(header(reserved_headers::kDeadOffset), "0");
  EXPECT_EQ(header(reserved_headers::kDeadAttempts), "2");
}

TEST_F(DeliveriesTest, ARejectedRecordDiesAtOnceEvenIfStorageMustReadIt) {
  AttachRequest one = request();
  one.settings.dead_letter = "graves";
  attach(1, one);
  write({"a", "b"});
  take(1);
  storage.reads_later = true;
  settle(1, 1, 1, Outcome::kReject, {}, "no such customer");
  ASSERT_EQ(storage.waiting_reads.size(), 1u);
  EXPECT_FALSE(storage.find_topic("graves"));
  storage.reads_later = false;
  broker.on_read(storage.waiting_reads[0], storage.answer(storage.waiting_reads[0]));
  broker.deliveries().dispatch(when());
  storage.make_durable(broker);
  ASSERT_TRUE(storage.find_topic("graves"));
  settle(1, 0, 0, Outcome::kAck);
  EXPECT_EQ(storage.committed("g", orders, PartitionIndex(0))->offset, Offset(2));
}

TEST_F(DeliveriesTest, EachDeadRecordHasItsLetterInWhateverOrderTheyAreRead) {
  attach(1, request());
  for (int i = 0; i < 4; ++i) write({"a"});
  take(1);
  storage.reads_later = true;
  settle(1, 3, 3, Outcome::kReject);
  settle(1, 1, 1, Outcome::kReject);
  for (std::size_t i = 0; i < storage.waiting_reads.size(); ++i) {
    broker.on_read(storage.waiting_reads[i], storage.answer(storage.waiting_reads[i]));
    broker.deliveries().dispatch(when());
  }
  storage.make_durable(broker);
  const storage::Topic* dead = storage.find_topic("orders.dlq");
  ASSERT_TRUE(dead);
  EXPECT_EQ(storage.bounds(dead->partitions[0]).high_watermark, Offset(2));
  EXPECT_TRUE(storage.acks("g", orders, PartitionIndex(0))->is_done(Offset(3)));
  settle(1, 0, 0, Outcome::kAck);
  settle(1, 2, 2, Outcome::kAck);
  EXPECT_EQ(storage.committed("g", orders, PartitionIndex(0))->offset, Offset(4));
}

TEST_F(DeliveriesTest, TheRecordsOfAKeyAreWithOneMember) {
  attach(1, request(GroupKind::kKeyShared));
  attach(2, request(GroupKind::kKeyShared));
  write({"a"});
  write({"b", "a"});
  write({"b", "a", "c"});
  const auto one = take(1), two = take(2);
  std::map<std::int64_t, int> holder;
  for (const Got& got : one) holder[got.offset] = 1;
  for (const Got& got : two) holder[got.offset] = 2;
  std::string_view keys[] = {"a", "b", "a", "b", "a", "c"};
  for (const auto& [x, of_x] : holder)
    for (const auto& [y, of_y] : holder)
      EXPECT_TRUE(keys[x] != keys[y] || of_x == of_y) << x << " and " << y;
}

TEST_F(DeliveriesTest, ARetryStopsItsKeyAndNothingElse) {
  attach(1, request(GroupKind::kKeyShared));
  write({"a", "b", "a", "b"});
  EXPECT_EQ(take(1), firsts(0, 3));
  settle(1, 0, 0, Outcome::kNack, 100ms);
  write({"a", "b"});
  EXPECT_EQ(take(1), firsts(5, 5));
  settle(1, 2, 2, Outcome::kAck);
  EXPECT_EQ(last<Settled>()->refused.size(), 1u) << "it was taken back";
  pass(100ms);
  EXPECT_THAT(take(1), testing::ElementsAre(Got{0, 2}));
  settle(1, 0, 0, Outcome::kAck);
  EXPECT_THAT(take(1), testing::ElementsAre(Got{2, 1}, Got{4, 1}));
}

TEST_F(DeliveriesTest, ByKeyAnAckOfAnEarlierDeliveryDoesNotOvertake) {
  attach(1, request(GroupKind::kKeyShared));
  write({"a", "a"});
  EXPECT_EQ(take(1), firsts(0, 1));
  const std::uint64_t first = number[1][1];
  settle(1, 0, 0, Outcome::kNack, 0ms);
  EXPECT_THAT(take(1), testing::ElementsAre(Got{0, 2}));
  settle(1, 0, 0, Outcome::kAck);
  EXPECT_EQ(take(1), firsts(1, 1));
  const std::uint64_t second = std::exchange(number[1][1], first);
  settle(1, 1, 1, Outcome::kAck);
  EXPECT_EQ(last<Settled>()->refused.size(), 1u);
  number[1][1] = second;
  settle(1, 1, 1, Outcome::kAck);
  EXPECT_TRUE(last<Settled>()->refused.empty());
}

TEST_F(DeliveriesTest, WhatWaitsAndWhatIsLeasedIsBounded) {
  AttachRequest one = request();
  one.grants = {1 << 20, 1 << 30};
  attach(1, one);
  for (int i = 0; i < 300; ++i) write({"a"});
  EXPECT_EQ(take(1), firsts(0, 199)) << "leases_per_member";
  // Every other one, so that each is a range of its own.
  for (int i = 0; i < 100; i += 2) settle(1, i, i, Outcome::kNack, 1s);
  EXPECT_EQ(take(1), firsts(200, 248)) << "one for each, up to held_per_partition";
  settle(1, 1, 1, Outcome::kAck);
  EXPECT_TRUE(take(1).empty());
  pass(1s);
  EXPECT_THAT(take(1), testing::ElementsAre(Got{0, 2}, Got{2, 2}));
}

TEST_F(DeliveriesTest, ByKeyReadingAheadIsBounded) {
  AttachRequest slow = request(GroupKind::kKeyShared);
  slow.grants = {1, 1 << 20};
  attach(1, slow);
  for (int i = 0; i < 100; ++i) write({"a"});
  write({"b"});
  attach(2, request(GroupKind::kKeyShared));
  EXPECT_EQ(take(1), firsts(0, 0));
  EXPECT_TRUE(take(2).empty()) << "b lies behind more than may be held back";
  settle(1, 0, 0, Outcome::kAck);
  EXPECT_FALSE(take(2).empty());
}

TEST_F(DeliveriesTest, TheFloorPassesWhatRetentionTook) {
  attach(1, request());
  for (int i = 0; i < 4; ++i) write({"a"});
  take(1);
  settle(1, 1, 1, Outcome::kAck);
  ASSERT_TRUE(storage.move_log_start(partition_id(orders), Offset(3)));
  write({"a"});
  take(1);
  EXPECT_EQ(storage.committed("g", orders, PartitionIndex(0))->offset, Offset(3));
  settle(1, 2, 2, Outcome::kAck);
  EXPECT_TRUE(last<Settled>()->refused.empty());
  settle(1, 3, 3, Outcome::kAck);
  EXPECT_EQ(storage.committed("g", orders, PartitionIndex(0))->offset, Offset(4));
}

TEST_F(DeliveriesTest, WhatCannotBeAPositionBecomesTheNearestOne) {
  for (int i = 0; i < 4; ++i) write({"a"});
  ASSERT_TRUE(storage.move_log_start(partition_id(orders), Offset(1)));
  for (const auto& [committed, begins] :
       {std::pair(Offset(-1), Offset(1)), {Offset(0), Offset(1)}, {Offset(99), Offset(4)}}) {
    const storage::OffsetCommit commit{orders, PartitionIndex(0), committed, {}};
    ASSERT_TRUE(storage.commit_offsets("g", {&commit, 1}));
    attach(1, request());
    EXPECT_EQ(storage.committed("g", orders, PartitionIndex(0))->offset, begins);
    const auto got = take(1);
    EXPECT_EQ(got.size(), static_cast<std::size_t>(4 - begins.value));
    broker.deliveries().detach(next(1), 1, when());
  }
}

TEST_F(DeliveriesTest, BadRequestsAreToldWhatIsWrong) {
  const auto refused = [&](auto change) {
    AttachRequest one = request();
    change(one);
    attach(1, one);
    return last_error();
  };
  EXPECT_EQ(refused([](auto& r) { r.group = ""; }), ErrorCode::kInvalidGroupName);
  EXPECT_EQ(refused([](auto& r) { r.kind = GroupKind::kPartitioned; }), ErrorCode::kInvalidRequest);
  EXPECT_EQ(refused([](auto& r) { r.topics.clear(); }), ErrorCode::kInvalidRequest);
  EXPECT_EQ(refused([](auto& r) { r.topics = {"../x"}; }), ErrorCode::kInvalidTopicName);
  EXPECT_EQ(refused([](auto& r) { r.ack_timeout = 1ms; }), ErrorCode::kInvalidRequest);
  EXPECT_EQ(refused([](auto& r) { r.settings.max_backoff = 25h; }), ErrorCode::kInvalidRequest);
  EXPECT_EQ(refused([](auto& r) { r.settings.dead_letter = "orders"; }),
            ErrorCode::kInvalidRequest);
  settle(1, 0, 0, Outcome::kAck);
  EXPECT_EQ(last_error(), ErrorCode::kUnknownMember);
  attach(1, request());
  EXPECT_TRUE(last<Attached>());
  attach(1, request());
  EXPECT_EQ(last_error(), ErrorCode::kInvalidRequest) << "the number is in use";
  attach(2, request(GroupKind::kKeyShared));
  EXPECT_EQ(last_error(), ErrorCode::kInconsistentGroup);
  settle(1, 0, 0, static_cast<Outcome>(9));
  EXPECT_EQ(last_error(), ErrorCode::kInvalidRequest);
}

TEST_F(DeliveriesTest, OneGroupHasOneKind) {
  attach(1, request());
  storage::GroupMember member;
  member.id = "m";
  member.topics = {"orders"};
  member.session_timeout = member.rebalance_timeout = 1s;
  broker.groups().join(next(2), {"g", GroupKind::kPartitioned, member}, now);
  EXPECT_EQ(last_error(), ErrorCode::kInconsistentGroup);
  broker.groups().remove(next(2), "g");
  EXPECT_EQ(last_error(), ErrorCode::kGroupNotEmpty);
  broker.on_connection_closed(ConnectionId(1), when());
  broker.groups().join(next(2), {"g", GroupKind::kPartitioned, member}, now);
  storage.make_durable(broker);
  EXPECT_TRUE(last<Assignment>());
  attach(1, request());
  EXPECT_EQ(last_error(), ErrorCode::kInconsistentGroup);
}

TEST_F(DeliveriesTest, RetentionAndDeletedTopicsEndWhatWaits) {
  attach(1, request());
  write({"a"});
  write({"b"});
  take(1);
  settle(1, 0, 0, Outcome::kNack, 1s);
  settle(1, 1, 1, Outcome::kNack, 1s);
  ASSERT_TRUE(storage.move_log_start(partition_id(orders), Offset(1)));
  pass(1s);
  EXPECT_THAT(take(1), testing::ElementsAre(Got{1, 2}));
  broker.delete_topic(next(), "orders", when());
  broker.deliveries().dispatch(when());
  settle(1, 1, 1, Outcome::kAck);
  EXPECT_EQ(last<Settled>()->refused.size(), 1u);
  orders = create("orders", 1);
  write({"c"});
  EXPECT_EQ(take(1), firsts(0, 0));
}

// ---- random histories against a model ----

struct Model {
  enum class State { kOpen, kLeased, kDone };
  struct Record {
    std::string key;
    State state = State::kOpen;
    std::uint64_t member = 0;
    std::uint32_t failed = 0;
    MonotonicTime deadline{};
  };
  std::vector<Record> records;
};

class RandomDeliveries : public DeliveriesTest, public ::testing::WithParamInterface<int> {
 protected:
  static constexpr auto kTimeout = 1'000ms;

  void join(std::uint64_t connection) {
    if (members.contains(connection)) return;
    AttachRequest one = request(kind);
    one.ack_timeout = kTimeout;
    const std::uint64_t records = 1 + random.below(20);
    one.grants = {records, 1 << 20};
    attach(connection, one);
    ASSERT_TRUE(last<Attached>());
    members[connection] = records;
  }
  void leave(std::uint64_t connection, bool lost) {
    if (!members.erase(connection)) return;
    for (auto& record : model.records)
      if (record.state == Model::State::kLeased && record.member == connection) {
        record.state = Model::State::kOpen;
        if (lost) ++record.failed;
      }
    if (lost)
      broker.on_connection_closed(ConnectionId(connection), when());
    else
      broker.deliveries().detach(next(connection), 1, when());
    storage.make_durable(broker);
    broker.deliveries().dispatch(when());
  }
  // A retry takes back what the member had of the key behind it.
  void fail(std::size_t at) {
    auto& record = model.records[at];
    record.state = Model::State::kOpen;
    ++record.failed;
    if (kind == GroupKind::kKeyShared)
      for (std::size_t i = at + 1; i < model.records.size(); ++i)
        if (auto& later = model.records[i];
            later.key == record.key && later.state == Model::State::kLeased)
          later.state = Model::State::kOpen;
  }
  void expire() {
    std::vector<std::size_t> due;
    for (std::size_t i = 0; i < model.records.size(); ++i)
      if (model.records[i].state == Model::State::kLeased && model.records[i].deadline <= now)
        due.push_back(i);
    for (const std::size_t at : due) fail(at);
  }
  void collect() {
    for (const auto& [connection, grant] : members)
      for (const Got& got : take(connection)) {
        auto& record = model.records[static_cast<std::size_t>(got.offset)];
        ASSERT_EQ(record.state, Model::State::kOpen) << got.offset << ": acked, or another's";
        ASSERT_EQ(got.attempt, record.failed + 1) << got.offset;
        if (kind == GroupKind::kKeyShared)
          for (std::int64_t i = 0; i < got.offset; ++i) {
            const auto& before = model.records[static_cast<std::size_t>(i)];
            if (before.key != record.key || before.state == Model::State::kDone) continue;
            ASSERT_EQ(before.state, Model::State::kLeased) << got.offset << " overtakes " << i;
            ASSERT_EQ(before.member, connection) << got.offset << " is of the key of " << i;
          }
        record.state = Model::State::kLeased;
        record.member = connection;
        record.deadline = now + kTimeout;
      }
  }
  void settle_some(std::uint64_t connection) {
    std::vector<std::size_t> mine;
    for (std::size_t i = 0; i < model.records.size(); ++i)
      if (model.records[i].state == Model::State::kLeased && model.records[i].member == connection)
        mine.push_back(i);
    if (mine.empty()) return;
    const std::size_t at = mine[random.below(mine.size())];
    const auto offset = static_cast<std::int64_t>(at);
    switch (random.below(5)) {
      case 0:
        settle(connection, offset, offset, Outcome::kNack,
               std::chrono::milliseconds(random.below(300)));
        fail(at);
        break;
      case 1:
        settle(connection, offset, offset, Outcome::kExtend);
        model.records[at].deadline = now + kTimeout;
        break;
      default:
        settle(connection, offset, offset, Outcome::kAck);
        model.records[at].state = Model::State::kDone;
    }
    ASSERT_TRUE(last<Settled>());
    ASSERT_TRUE(last<Settled>()->refused.empty()) << offset;
    members[connection] += random.below(3);
    broker.deliveries().grant(ConnectionId(connection), 1, {members[connection], 1 << 20});
    broker.deliveries().dispatch(when());
  }
  void restart() {
    members.clear();
    for (auto& record : model.records)
      if (record.state == Model::State::kLeased) record.state = Model::State::kOpen;
    for (std::uint64_t connection = 1; connection < 6; ++connection)
      broker.deliveries().detach(next(connection), 1, when());  // forgets, counts nothing
  }
  void step() {
    const std::uint64_t connection = 1 + random.below(5);
    switch (random.below(12)) {
      case 0:
      case 1:
        return join(connection);
      case 2:
        return leave(connection, random.below(2) == 0);
      case 3:
        if (random.below(20) == 0) restart();
        return;
      case 4: {
        std::vector<std::string> keys;
        RecordBatchBuilder builder;
        for (std::uint64_t i = 0; i <= random.below(8); ++i)
          keys.push_back("k" + std::to_string(random.below(6)));
        for (const std::string& key : keys) {
          builder.append({as_bytes(key), as_bytes("v"), {}}, 1);
          model.records.push_back({.key = key});
        }
        broker.produces().produce(next(9), orders, PartitionIndex(0), builder.finish());
        storage.make_durable(broker);
        return broker.deliveries().dispatch(when());
      }
      case 5: {
        const auto time = std::chrono::milliseconds(random.below(400));
        pass(time);
        expire();
        return;
      }
      default:
        if (members.contains(connection)) settle_some(connection);
    }
  }

  Random random{static_cast<std::uint64_t>(GetParam())};
  GroupKind kind = GetParam() % 2 == 0 ? GroupKind::kShared : GroupKind::kKeyShared;
  Model model;
  std::map<std::uint64_t, std::uint64_t> members;  // connection and what it was granted
};

TEST_P(RandomDeliveries, LoseNothingAndRepeatNothingThatWasAcked) {
  for (int i = 0; i < 600; ++i) {
    step();
    if (!HasFatalFailure()) collect();
    if (HasFatalFailure()) FAIL() << "seed " << GetParam() << ", step " << i;
  }
  // Everything that is left comes to one member that acks it all.
  for (std::uint64_t connection = 1; connection < 6; ++connection) leave(connection, false);
  AttachRequest one = request(kind);
  one.grants = {1 << 20, 1 << 30};
  attach(7, one);
  members[7] = 0;
  for (int i = 0; i < 500; ++i) {
    pass(100ms);
    expire();
    collect();
    if (HasFatalFailure()) FAIL() << "seed " << GetParam();
    for (std::size_t at = 0; at < model.records.size(); ++at)
      if (model.records[at].state == Model::State::kLeased) {
        const auto offset = static_cast<std::int64_t>(at);
        settle(7, offset, offset, Outcome::kAck);
        model.records[at].state = Model::State::kDone;
      }
  }
  for (std::size_t at = 0; at < model.records.size(); ++at)
    EXPECT_EQ(model.records[at].state, Model::State::kDone) << at << " of seed " << GetParam();
  EXPECT_EQ(storage.committed("g", orders, PartitionIndex(0))->offset.value,
            static_cast<std::int64_t>(model.records.size()));
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomDeliveries, ::testing::Range(1, 101));

}  // namespace
}  // namespace leat::broker
