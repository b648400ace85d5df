// A relay that sends a source, and its broker, both killed by SIGKILL: begun anew from what was
// confirmed, which is behind what was stored, it leaves neither a duplicate nor a gap in the log.
#include <fstream>
#include <memory>

#include <signal.h>

#include <gtest/gtest.h>

#include "client/blocking.h"
#include "examples/demo/process.h"
#include "protocol/base/random.h"
#include "tests/temporary_directory.h"

namespace leat {
namespace {

using demo::Process;
using test::TemporaryDirectory;
using namespace std::chrono_literals;

constexpr std::uint64_t kPartitions = 3, kRecords = 8'000;

class SourceCrashTest : public ::testing::Test {
 protected:
  std::string url() const { return "unix://" + (directory / "socket"); }

  bool start(const std::string& point = "", int visit = 0) {
    std::vector<std::string> command{LEATD_KILLPOINT, directory / "data", url()};
    if (!point.empty()) command.insert(command.end(), {point, std::to_string(visit)});
    broker = std::make_unique<Process>(command, directory / "log");
    std::string line;
    return broker->read_line(line);
  }
  void start_relay(std::chrono::milliseconds patience) {
    relay = std::make_unique<Process>(
        std::vector<std::string>{SOURCE_RELAY, url(), directory / "confirmed",
                                 std::to_string(kRecords), std::to_string(patience.count())},
        directory / "relay-log");
  }
  // Reads so many lines of the relay's; false when it has ended.
  bool relay_tells(std::uint64_t lines) {
    std::string line;
    for (; lines > 0; --lines)
      if (!relay->read_line(line)) return false;
    return true;
  }
  // Each partition is its part of the source, from its beginning to its end.
  void verify() {
    auto client = blocking::Client::connect({.broker = url()});
    ASSERT_TRUE(client);
    auto consumer = client->consumer({.topics = {"events"}});
    ASSERT_TRUE(consumer);
    std::uint64_t next[kPartitions] = {kPartitions, 1, 2};
    for (std::uint64_t seen = 0; seen < kRecords;) {
      const auto records = (*consumer)->poll(30s);
      ASSERT_TRUE(records) << records.error().message();
      ASSERT_FALSE(records->empty()) << seen;
      for (const ConsumedRecord& record : *records) {
        std::uint64_t& expected = next[record.partition.value];
        ASSERT_EQ(std::stoull(std::string(as_text(*record.value))), expected);
        expected += kPartitions;
        ++seen;
      }
    }
    const auto topic = client->describe_topic("events");
    ASSERT_TRUE(topic);
    std::int64_t total = 0;
    for (const auto& partition : topic->partitions) total += partition.high_watermark.value;
    EXPECT_EQ(total, static_cast<std::int64_t>(kRecords));
  }

  TemporaryDirectory directory;
  std::unique_ptr<Process> broker, relay;
};

TEST_F(SourceCrashTest, RelaysThatAreKilledLeaveNoDuplicateAndNoGap) {
  Random random(11);
  ASSERT_TRUE(start());
  for (int kill = 0; kill < 15; ++kill) {
    start_relay(10s);
    if (!relay_tells(1 + random.below(40))) break;
    EXPECT_EQ(relay->stop(SIGKILL), -SIGKILL);
  }
  start_relay(10s);
  EXPECT_FALSE(relay_tells(kRecords));
  EXPECT_EQ(relay->stop(SIGTERM), 0);
  verify();
  EXPECT_EQ(broker->stop(SIGTERM), 0);
}

TEST_F(SourceCrashTest, BrokersThatAreKilledLeaveNoDuplicateAndNoGap) {
  // Each is reached long before the relay is through: it waits for the disk every 200 records.
  constexpr std::pair<const char*, int> kDeaths[] = {
      {"journal.before_write", 3}, {"journal.after_write", 4},  {"journal.after_durable", 4},
      {"store.before_apply", 4},   {"store.footer_written", 1}, {"store.persisted", 1}};
  bool outlives = false;
  for (const auto& [point, visit] : kDeaths) {
    SCOPED_TRACE(point);
    const bool up = start(point, visit);
    // Now one relay that lives until its broker is there again, now one that gives up.
    if (up && !outlives) start_relay(60s);
    outlives = !outlives;
    std::string line;
    while (up && broker->read_line(line)) {
    }
    EXPECT_EQ(broker->stop(SIGTERM), -SIGKILL);
    if (!outlives) relay->stop(SIGKILL);
  }
  ASSERT_TRUE(start());
  start_relay(60s);
  EXPECT_FALSE(relay_tells(kRecords));
  EXPECT_EQ(relay->stop(SIGTERM), 0);
  verify();
  EXPECT_EQ(broker->stop(SIGTERM), 0);
}

}  // namespace
}  // namespace leat
