// Snapshots as clients ask for them: one at a time, by a name that can be no path.
#include "tests/server/broker_fixture.h"

namespace leat::broker {
namespace {

class SnapshotsTest : public BrokerFixture {
 protected:
  Error error() const { return last<Error>() ? *last<Error>() : Error(ErrorCode::kOk); }
};

TEST_F(SnapshotsTest, AreAnsweredWhenTheyAreMade) {
  broker.create_snapshot(next(), "nightly");
  EXPECT_TRUE(sink.replies.empty());
  EXPECT_EQ(storage.snapshots, std::vector<std::string>{"nightly"});
  broker.on_snapshot(std::string("/data/snapshots/nightly"));
  ASSERT_TRUE(last<SnapshotMade>());
  EXPECT_EQ(last<SnapshotMade>()->path, "/data/snapshots/nightly");
  broker.create_snapshot(next(), "next");
  broker.on_snapshot(fail(ErrorCode::kNoSpace, "none"));
  EXPECT_EQ(error().code, ErrorCode::kNoSpace);
}

TEST_F(SnapshotsTest, AreMadeOneAtATime) {
  broker.create_snapshot(next(), "first");
  broker.create_snapshot(next(), "second");
  EXPECT_EQ(error().code, ErrorCode::kQueueFull);
  EXPECT_TRUE(error_info(error().code).retryable);
  broker.on_snapshot(std::string("/data/snapshots/first"));
  broker.create_snapshot(next(), "second");
  EXPECT_EQ(storage.snapshots, (std::vector<std::string>{"first", "second"}));
}

TEST_F(SnapshotsTest, NamesAreNoPaths) {
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string(".unfinished"),
        std::string("a/b"), std::string("../a"), std::string("a\0b", 3), std::string("a b"),
        std::string(101, 'a')}) {
    broker.create_snapshot(next(), name);
    EXPECT_EQ(error().code, ErrorCode::kInvalidSnapshotName) << name;
  }
  EXPECT_TRUE(storage.snapshots.empty());
  broker.create_snapshot(next(), std::string(100, 'a'));
  EXPECT_EQ(storage.snapshots.size(), 1u);
}

}  // namespace
}  // namespace leat::broker
