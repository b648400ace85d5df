// When reads from the disk are taken for stalled: only while some are under way and none ends.
#include "server/read_watch.h"

#include <gtest/gtest.h>

namespace leat {
namespace {

using namespace std::chrono_literals;
using News = ReadWatch::News;

class ReadWatchTest : public ::testing::Test {
 protected:
  News see(bool under_way, std::uint64_t ended, Duration later = {}) {
    now += later;
    return watch.see({under_way, ended}, now);
  }
  ReadWatch watch;
  MonotonicTime now{1h};
};

TEST_F(ReadWatchTest, WhileNothingIsReadNothingIsDue) {
  EXPECT_FALSE(watch.wants({false, 0}));
  EXPECT_EQ(see(true, 0), News::kNone);
  EXPECT_EQ(watch.due(), now + ReadWatch::kStalled);
  EXPECT_EQ(see(false, 1, 1ms), News::kNone);
  EXPECT_FALSE(watch.due());
  EXPECT_FALSE(watch.wants({false, 1}));
  EXPECT_EQ(see(false, 1, 1h), News::kNone);
}

TEST_F(ReadWatchTest, AReadThatHangsIsToldOnceAndWhenItComesBack) {
  EXPECT_EQ(see(true, 0), News::kNone);
  EXPECT_EQ(see(true, 0, ReadWatch::kStalled - 1ms), News::kNone);  // others joined it
  EXPECT_EQ(see(true, 0, 1ms), News::kStalled);
  EXPECT_FALSE(watch.due());
  EXPECT_EQ(see(true, 0, 1h), News::kNone);
  EXPECT_EQ(see(true, 1, 1ms), News::kGoesOn);  // and the next is under way
  EXPECT_EQ(watch.due(), now + ReadWatch::kStalled);
  EXPECT_EQ(see(true, 1, ReadWatch::kStalled), News::kStalled);
  EXPECT_EQ(see(false, 2, 1ms), News::kGoesOn);
  EXPECT_FALSE(watch.due());
}

TEST_F(ReadWatchTest, ManyThatEndOneByOneAreNoStall) {
  EXPECT_EQ(see(true, 0), News::kNone);
  for (std::uint64_t ended = 1; ended < 100; ++ended)
    EXPECT_EQ(see(true, ended, ReadWatch::kStalled - 1ms), News::kNone);
}

}  // namespace
}  // namespace leat
