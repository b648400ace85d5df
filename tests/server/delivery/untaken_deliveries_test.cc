// Deliveries that wait for room in their member's connection, and what of them its member loses
// meanwhile.
#include <gmock/gmock.h>

#include "tests/server/delivery/deliveries_fixture.h"

namespace leat::broker {
namespace {

using UntakenDeliveries = DeliveriesFixture;

TEST_F(UntakenDeliveries, WhatWasNotTakenWhileItsLeaseHeldIsNotTakenLater) {
  for (const GroupKind kind : {GroupKind::kShared, GroupKind::kKeyShared}) {
    AttachRequest one = request(kind);
    one.ack_timeout = 1s;
    one.grants = {2, 1 << 20};
    attach(1, one);
    write({"a", "b"});
    pass(1s);
    attach(2, request(kind));
    const auto got = take(2);
    ASSERT_EQ(got.size(), 2u);
    EXPECT_EQ(got[0].attempt, 2u);
    const std::int64_t first = got[0].offset;
    settle(2, first, first + 1, Outcome::kAck);
    ASSERT_TRUE(last<Settled>()->refused.empty());
    EXPECT_TRUE(take(1).empty()) << name_of(kind) << ": acked";
    write({"a", "b"});
    auto later = take(1);
    for (const Got& at_other : take(2)) later.push_back(at_other);
    EXPECT_EQ(later.size(), 2u) << "what was not taken used up no grant";
    EXPECT_EQ(broker.deliveries().find("g")->counts(partition_id(orders)).first, 2u);
    for (const std::uint64_t connection : {1, 2})
      broker.deliveries().detach(next(connection), 1, when());
    attach(3, request(kind));
    for (const Got& rest : take(3)) settle(3, rest.offset, rest.offset, Outcome::kAck);
    broker.deliveries().detach(next(3), 1, when());
  }
}

TEST_F(UntakenDeliveries, ALateAckTakesTheRecordOutOfWhatItsMemberHasNotTaken) {
  AttachRequest one = request();
  one.ack_timeout = 1s;
  attach(1, one);
  write({"a", "b", "c"});
  EXPECT_EQ(take(1), firsts(0, 2));
  pass(1s);  // all comes again, and is not taken yet
  const std::uint64_t counted = broker.deliveries().find("g")->redelivered();
  EXPECT_EQ(counted, 3u);
  settle(1, 1, 1, Outcome::kAck);
  ASSERT_TRUE(last<Settled>()->refused.empty());
  EXPECT_THAT(take(1), testing::ElementsAre(Got{0, 2}, Got{2, 2}));
}

TEST_F(UntakenDeliveries, ByKeyARetryTakesBackWhatIsBehindItAndNothingElse) {
  AttachRequest one = request(GroupKind::kKeyShared);
  one.grants = {4, 1 << 20};
  attach(1, one);
  write({"a"});
  EXPECT_EQ(take(1), firsts(0, 0));
  write({"b", "a", "b"});
  settle(1, 0, 0, Outcome::kNack, 0ms);
  EXPECT_THAT(take(1), testing::ElementsAre(Got{1, 1}, Got{3, 1}, Got{0, 2}));
  settle(1, 1, 3, Outcome::kAck);
  EXPECT_TRUE(last<Settled>()->refused.empty()) << "of what it was not sent nothing is said";
  settle(1, 0, 0, Outcome::kAck);
  EXPECT_TRUE(take(1).empty()) << "it was granted four";
  broker.deliveries().grant(ConnectionId(1), 1, {5, 1 << 20});
  broker.deliveries().dispatch(when());
  EXPECT_EQ(take(1), firsts(2, 2));
}

}  // namespace
}  // namespace leat::broker
