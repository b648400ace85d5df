// When a key_shared group reads on in a partition of which enough waits for members already.
#include "server/broker/delivery/patience.h"

#include <gtest/gtest.h>

namespace leat::broker {
namespace {

using namespace std::chrono_literals;

constexpr MonotonicTime kStart{1h};

class PatienceTest : public ::testing::Test {
 protected:
  // Enough waits, less than half of it does, or something between.
  void see_enough(std::optional<MonotonicTime> idle_since = {}) {
    patience.see(true, false, idle_since, now);
  }
  void see_little() { patience.see(false, true, {}, now); }
  void see_half(std::optional<MonotonicTime> idle_since = {}) {
    patience.see(false, false, idle_since, now);
  }

  Patience patience;
  MonotonicTime now = kStart;
};

TEST_F(PatienceTest, ReadingStopsUntilHalfIsGone) {
  EXPECT_TRUE(patience.reads());
  see_half();
  EXPECT_TRUE(patience.reads());
  see_enough();
  EXPECT_FALSE(patience.reads());
  now += 1h;
  see_half();
  EXPECT_FALSE(patience.reads()) << "nobody idles";
  EXPECT_EQ(patience.until(), std::nullopt);
  see_little();
  EXPECT_TRUE(patience.reads());
}

TEST_F(PatienceTest, WhoIdlesAllTheTimeBecomesImpatient) {
  see_enough(kStart);
  EXPECT_EQ(patience.until(), kStart + 50ms);
  now += 49ms;
  see_half(kStart);
  EXPECT_FALSE(patience.reads());
  now += 1ms;
  patience.on_time(now);
  see_half(kStart);
  EXPECT_TRUE(patience.reads());
  EXPECT_TRUE(patience.paused());
  see_half();
  EXPECT_FALSE(patience.reads()) << "nobody idles any more";
}

TEST_F(PatienceTest, WhoIdledBeforeThePauseWaitsAsLong) {
  see_enough(kStart - 1h);
  EXPECT_FALSE(patience.reads());
  EXPECT_EQ(patience.until(), kStart + 50ms);
}

TEST_F(PatienceTest, IdlingBetweenDeliveriesDoesNotAddUp) {
  see_enough(kStart);
  for (int i = 0; i < 10; ++i) {
    now += 20ms;
    see_half();
    EXPECT_FALSE(patience.reads());
    see_half(now);
    EXPECT_FALSE(patience.reads());
    EXPECT_EQ(patience.until(), now + 50ms);
  }
}

TEST_F(PatienceTest, HalfAsLongEachTimeUntilThereIsRoom) {
  see_enough(kStart);
  for (const Duration wait : {50ms, 25ms}) {
    EXPECT_EQ(patience.until(), now + wait);
    now += wait;
    see_half(kStart);
    EXPECT_TRUE(patience.impatient());
    see_half(kStart);
    EXPECT_TRUE(patience.impatient()) << "all that happens at that time";
    now += 1ns;
    see_half(now);
    EXPECT_FALSE(patience.impatient());
  }
  see_little();
  see_enough(now);
  EXPECT_EQ(patience.until(), now + 50ms);
}

TEST_F(PatienceTest, AStandstillIsNotWaiting) {
  see_enough(kStart);
  now += 10s;
  patience.shift(10s);
  EXPECT_EQ(patience.until(), kStart + 10s + 50ms);
  see_half(kStart + 10s);
  EXPECT_FALSE(patience.reads());
}

}  // namespace
}  // namespace leat::broker
