// Delivery with acknowledgements: leases, what ends them, attempts, back-off, dead letters, order
// by key.
#include <gmock/gmock.h>

#include "protocol/reserved_headers.h"
#include "tests/server/delivery/deliveries_fixture.h"

namespace leat::broker {
namespace {

using DeliveriesTest = DeliveriesFixture;

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

TEST_F(DeliveriesTest, WhatIsKeptForAMemberComesInOrderAndOnlyWithinItsGrants) {
  AttachRequest one = request(GroupKind::kKeyShared);
  one.grants = {2, 1 << 20};
  attach(1, one);
  write({"a", "b"});
  EXPECT_EQ(take(1), firsts(0, 1));
  attach(2, request(GroupKind::kKeyShared));
  write({"a", "b", "a", "c", "b", "a"});
  EXPECT_EQ(take(2), firsts(5, 5)) << "the others are of keys that the first member has";
  for (std::uint64_t more = 3; more <= 4; ++more) {
    broker.deliveries().grant(ConnectionId(1), 1, {more, 1 << 20});
    broker.deliveries().dispatch(when());
    EXPECT_EQ(take(1),
              firsts(static_cast<std::int64_t>(more) - 1, static_cast<std::int64_t>(more) - 1));
  }
  settle(1, 1, 1, Outcome::kAck);
  settle(1, 3, 3, Outcome::kAck);
  EXPECT_EQ(take(2), firsts(6, 6)) << "b is free, and its member may not take more";
  broker.deliveries().grant(ConnectionId(1), 1, {9, 1 << 20});
  broker.deliveries().dispatch(when());
  EXPECT_THAT(take(1), testing::ElementsAre(Got{4, 1}, Got{7, 1}));
}

TEST_F(DeliveriesTest, WhatIsKeptForAMemberThatGoesIsAnybodys) {
  AttachRequest one = request(GroupKind::kKeyShared);
  one.grants = {1, 1 << 20};
  attach(1, one);
  write({"a"});
  EXPECT_EQ(take(1), firsts(0, 0));
  attach(2, request(GroupKind::kKeyShared));
  write({"a", "a"});
  EXPECT_TRUE(take(2).empty());
  broker.deliveries().detach(next(1), 1, when());
  broker.deliveries().dispatch(when());
  EXPECT_EQ(take(2), firsts(0, 0)) << "given back, it goes first";
  settle(2, 0, 0, Outcome::kAck);
  EXPECT_EQ(take(2), firsts(1, 2));
}

TEST_F(DeliveriesTest, ARetryWaitsForTheMemberItFailedAtOnlyWhileThatHasSomething) {
  AttachRequest one = request(GroupKind::kKeyShared);
  one.grants = {3, 1 << 20};
  attach(1, one);
  write({"a", "b", "a"});
  EXPECT_EQ(take(1), firsts(0, 2));
  attach(2, request(GroupKind::kKeyShared));
  settle(1, 0, 0, Outcome::kNack, 0ms);
  EXPECT_TRUE(take(2).empty()) << "the first may still be at work on what was taken back";
  settle(1, 1, 1, Outcome::kAck);
  EXPECT_THAT(take(2), testing::ElementsAre(Got{0, 2}, Got{2, 1}));
}

TEST_F(DeliveriesTest, ARetryDoesNotWaitForAMemberThatHasNothingAndMayTakeNothing) {
  AttachRequest one = request(GroupKind::kKeyShared);
  one.grants = {2, 1 << 20};
  attach(1, one);
  write({"a", "a"});
  EXPECT_EQ(take(1), firsts(0, 1));
  attach(2, request(GroupKind::kKeyShared));
  settle(1, 0, 0, Outcome::kNack, 0ms);
  EXPECT_THAT(take(2), testing::ElementsAre(Got{0, 2}));
  settle(2, 0, 0, Outcome::kAck);
  EXPECT_THAT(take(2), testing::ElementsAre(Got{1, 1}));
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

TEST_F(DeliveriesTest, AnAckIsNotRefusedForWhatRetentionTookWhileNobodyCouldTakeMore) {
  for (const GroupKind kind : {GroupKind::kShared, GroupKind::kKeyShared}) {
    AttachRequest one = request(kind);
    one.grants = {3, 1 << 20};
    attach(1, one);
    write({"a", "b", "c"});
    const auto got = take(1);
    ASSERT_EQ(got.size(), 3u);
    const std::int64_t first = got.front().offset;
    settle(1, first, first, Outcome::kNack, 1h);
    ASSERT_TRUE(storage.move_log_start(partition_id(orders), Offset(first + 1)));
    settle(1, first, first + 2, Outcome::kAck);
    EXPECT_TRUE(last<Settled>()->refused.empty()) << name_of(kind);
    EXPECT_EQ(storage.committed("g", orders, PartitionIndex(0))->offset, Offset(first + 3));
    broker.deliveries().detach(next(1), 1, when());
  }
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
  settle(1, 0, 0, Outcome::kReject, {}, std::string(1'025, 'x'));
  EXPECT_EQ(last_error(), ErrorCode::kInvalidRequest);
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

TEST_F(DeliveriesTest, WhatWasAckedStaysSoWhenTheLogStartMovesWhileNobodyIsThere) {
  attach(1, request());
  write({"a", "b", "c", "d"});
  take(1);
  settle(1, 2, 2, Outcome::kAck);
  settle(1, 3, 3, Outcome::kNack, 0ms);
  broker.on_connection_closed(ConnectionId(1), when());
  ASSERT_TRUE(storage.move_log_start(partition_id(orders), Offset(1)));
  attach(2, request());
  EXPECT_THAT(take(2), testing::ElementsAre(Got{1, 2}, Got{3, 3}));
  settle(2, 1, 1, Outcome::kAck);
  settle(2, 3, 3, Outcome::kAck);
  EXPECT_EQ(storage.committed("g", orders, PartitionIndex(0))->offset, Offset(4));
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

TEST_F(DeliveriesTest, WhatWasLeasedOfADeletedTopicLeavesRoomForMore) {
  AttachRequest one = request();
  one.grants = {1'000, 1 << 30};
  attach(1, one);
  for (int i = 0; i < 200; ++i) write({"a"});
  EXPECT_EQ(take(1), firsts(0, 199)) << "leases_per_member";
  broker.delete_topic(next(), "orders", when());
  orders = create("orders", 1);
  write({"c"});
  EXPECT_EQ(take(1), firsts(0, 0));
}

// As limits are without a test's.
class RoomyDeliveriesTest : public DeliveriesFixture {
 protected:
  RoomyDeliveriesTest() : DeliveriesFixture(BrokerOptions()) {}
};

TEST_F(RoomyDeliveriesTest, WhoIdlesGetsMoreThanCanBeKeptOnlyIfNobodyMakesRoomForAWhile) {
  AttachRequest one = request(GroupKind::kKeyShared);
  one.grants = {2, 1 << 20};
  attach(1, one);
  write({"a", "c"});
  EXPECT_EQ(take(1), firsts(0, 1));
  const std::vector<std::string_view> behind(10'000, "a");
  write(behind);
  write({"b"});
  attach(2, request(GroupKind::kKeyShared));
  EXPECT_TRUE(take(2).empty()) << "the first may be about to make room";
  pass(50ms);
  EXPECT_EQ(take(2), firsts(10'002, 10'002));
  settle(1, 0, 0, Outcome::kAck);
  EXPECT_TRUE(take(2).empty()) << "10,002 is leased: it does not idle";
  settle(2, 10'002, 10'002, Outcome::kAck);
  const auto got = take(2);
  ASSERT_FALSE(got.empty());
  EXPECT_EQ(got.front(), (Got{2, 1})) << "a is free, and its member may not take more";
}

TEST_F(RoomyDeliveriesTest, ARetryStopsItsKeyAndNothingElseHoweverMuchIsBehindIt) {
  attach(1, request(GroupKind::kKeyShared));
  write({"a"});
  EXPECT_EQ(take(1), firsts(0, 0));
  settle(1, 0, 0, Outcome::kNack, 1h);
  write(std::vector<std::string_view>(20'000, "a"));
  write({"b"});
  EXPECT_EQ(take(1), firsts(20'001, 20'001));
}

}  // namespace
}  // namespace leat::broker
