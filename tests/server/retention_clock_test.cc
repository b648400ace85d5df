// When retention looks, and what it takes for the time.
#include <gtest/gtest.h>

#include "protocol/base/random.h"
#include "server/broker/retention.h"
#include "tests/server/broker_fixture.h"

namespace leat::broker {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

// A machine with a wall clock that can be set, and can run fast.
class RetentionClockTest : public ::testing::Test {
 protected:
  static constexpr auto kYears = 24h * 365 * 20;
  // Looks every ten seconds for `time`; what the last look said.
  WallTime run(Duration time, double wall_rate = 1) {
    for (; time > 0s; time -= 10s) {
      now.monotonic += 10s;
      now.wall += milliseconds(static_cast<std::int64_t>(10'000 * wall_rate));
      said = clock.look(now);
    }
    return said;
  }
  void set(milliseconds by) { now.wall += by; }

  Now now{MonotonicTime(1h), WallTime(24h * 365 * 50)};
  RetentionClock clock{now};
  WallTime said;
};

TEST_F(RetentionClockTest, FollowsTheWallClock) {
  EXPECT_EQ(run(1h), now.wall);
  set(30s);  // as a daemon that keeps the time may do
  EXPECT_EQ(run(10s), now.wall);
  set(-30s);
  EXPECT_EQ(run(10s), now.wall);
}

TEST_F(RetentionClockTest, AJumpOfTwentyYearsIsNotFollowedAndForgottenWhenItIsMended) {
  run(1min);
  const WallTime before = said;
  set(kYears);
  EXPECT_EQ(run(30min), before + 30min);
  set(-kYears);
  EXPECT_EQ(run(10s), before + 30min + 10s);
  EXPECT_EQ(said, now.wall);
}

TEST_F(RetentionClockTest, AWallClockThatRunsSteadilyForAnHourIsBelieved) {
  for (const milliseconds by : {milliseconds(kYears), milliseconds(-kYears), milliseconds(61s)}) {
    run(1min);
    const WallTime before = said;
    set(by);
    EXPECT_EQ(run(1h), before + 1h) << by.count();
    EXPECT_EQ(run(10s), now.wall) << by.count();
  }
}

TEST_F(RetentionClockTest, AClockThatIsSetAgainAndAgainIsNotBelieved) {
  run(1min);
  const WallTime before = said;
  for (int i = 1; i <= 10; ++i) {
    set(i % 2 == 0 ? -24h : 25h);
    EXPECT_EQ(run(50min), before + i * 50min);
  }
}

// The monotonic clock stands still meanwhile.
TEST_F(RetentionClockTest, AfterASuspendItTakesAnHour) {
  run(1min);
  const WallTime before = said;
  set(8h);
  EXPECT_EQ(run(10s), before + 10s);
  EXPECT_EQ(run(2h), now.wall);
}

TEST_F(RetentionClockTest, SlowDriftIsFollowed) {
  EXPECT_EQ(run(24h, 1.001), now.wall);
  EXPECT_EQ(run(24h, 0.999), now.wall);
}

// Whatever is done to the wall clock within an hour, retention time runs neither faster nor slower
// than it may: with the monotonic clock, give or take the minute that each look allows.
TEST_F(RetentionClockTest, NoStepWithinAnHourMovesIt) {
  Random random(7);
  for (int round = 0; round < 500; ++round) {
    clock = RetentionClock(now);
    const WallTime start = now.wall;
    Duration passed{};
    for (int steps = 0; steps < 6; ++steps) {
      const auto minutes = static_cast<std::int64_t>(random.below(40'000'000)) - 20'000'000;
      set(std::chrono::minutes(minutes));
      const auto time = std::chrono::seconds(10 * (1 + random.below(60)));
      run(time);
      passed += time;
    }
    const auto off = said - (start + std::chrono::duration_cast<milliseconds>(passed));
    EXPECT_LE(off < 0ms ? -off : off, 6min) << round;
  }
}

// ---- when it looks ----

class RetentionScheduleTest : public BrokerFixture {
 protected:
  // Both clocks.
  void pass(Duration time) {
    now += time;
    wall += std::chrono::duration_cast<milliseconds>(time);
    broker.on_time({now, wall});
  }
  WallTime wall{};
};

TEST_F(RetentionScheduleTest, WithoutATopicThatLetsRecordsGoThereIsNoTimer) {
  EXPECT_FALSE(broker.next_deadline());
  create("forever", 1);
  create("full", 1, {.on_full = OnFull::kDropOldest});
  EXPECT_FALSE(broker.next_deadline());
  pass(1h);
  EXPECT_TRUE(storage.retained.empty());
}

TEST_F(RetentionScheduleTest, LooksAtEachIntervalWhileOneDoes) {
  create("orders", 1, {.retention = {.time = 1h}});
  ASSERT_EQ(broker.next_deadline(), now + 10s);
  pass(9s);
  EXPECT_TRUE(storage.retained.empty());
  pass(1s);
  EXPECT_EQ(storage.retained, std::vector{WallTime(10s)});
  create("more", 1, {.cleanup = Cleanup::kCompact});
  EXPECT_EQ(broker.next_deadline(), now + 10s);
  pass(25s);
  EXPECT_EQ(storage.retained.back(), WallTime(35s));
  broker.configure_topic(next(), "orders", {}, now);
  EXPECT_TRUE(broker.next_deadline());
  broker.delete_topic(next(), "more", at());
  EXPECT_FALSE(broker.next_deadline());
  broker.configure_topic(next(), "orders", {.retention = {.records = 5}}, now);
  EXPECT_EQ(broker.next_deadline(), now + 10s);
}

TEST_F(RetentionScheduleTest, TopicsFromBeforeARestartCount) {
  create("orders", 1, {.retention = {.bytes = 100}});
  Broker reborn({.retention_interval = 100ms}, storage, checker, Random(1), sink, at());
  EXPECT_EQ(reborn.next_deadline(), now + 100ms);
}

TEST_F(RetentionScheduleTest, AStepOfTheWallClockIsNotPassedOn) {
  create("orders", 1, {.retention = {.time = 1h}});
  pass(10s);
  wall += 24h * 365 * 20;
  pass(10s);
  EXPECT_EQ(storage.retained.back(), WallTime(20s));
}

}  // namespace
}  // namespace leat::broker
