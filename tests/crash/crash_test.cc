// Real kills at named points and at random moments, with a history kept outside the data directory:
// no acknowledged record is lost (C1), one value per offset (C2), producer order (C3), committed
// offsets never regress (C5), nothing appears that was not sent (C6).
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

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

constexpr int kPartitions = 3;

class CrashTest : public ::testing::Test {
 protected:
  std::string url() const { return "unix://" + (directory / "socket"); }

  // Starts a broker; false when it died before it was ready.
  bool start(const std::string& point = "", int visit = 0) {
    std::vector<std::string> command{LEATD_KILLPOINT, data, url()};
    if (!point.empty()) command.insert(command.end(), {point, std::to_string(visit)});
    broker = std::make_unique<Process>(command, directory / "log");
    std::string line;
    return broker->read_line(line);
  }

  // Produces until the broker dies or `records` are acknowledged; commits now and then.
  void work(int records, std::size_t value_bytes) {
    auto client = blocking::Client::connect({.broker = url(), .request_timeout = 1s});
    if (!client) return;
    auto topic = client->create_topic("crash", kPartitions, true);
    if (!topic) return;
    auto producer = client->producer(Topic{"crash"}, {.linger = 0ms, .delivery_timeout = 500ms});
    auto consumer = client->consumer({.topics = {"crash"},
                                      .group = Group{"g"},
                                      .partitions = {PartitionIndex(0)},
                                      .ignore_committed = true});
    if (!producer || !consumer) return;
    for (int i = 0; i < records; ++i) {
      const int partition = i % kPartitions;
      const int number = sent[partition]++;
      std::string value = std::to_string(number);
      value.resize(std::max(value.size(), value_bytes), '.');
      const auto ack = (*producer)->send_and_wait(
          {.value = as_bytes(value), .partition = PartitionIndex(partition)});
      if (!ack) return;  // unknown: may be there or not
      acknowledged[partition][ack->offset.value] = number;
      ++acknowledged_total;
      if (i % 10 == 9) {
        attempted_commit = acknowledged[0].rbegin()->first;
        if ((*consumer)->commit({{"crash", PartitionIndex(0), Offset(attempted_commit)}}))
          committed = attempted_commit;
      }
    }
  }

  void verify() {
    ASSERT_TRUE(start()) << slurp(directory / "log");
    auto client = blocking::Client::connect({.broker = url()});
    ASSERT_TRUE(client);
    auto topic = client->describe_topic("crash");
    if (!topic && acknowledged.empty()) {  // died before the topic was there
      broker->stop(SIGTERM);
      return;
    }
    ASSERT_TRUE(topic) << topic.error().message();
    std::int64_t total = 0;
    for (const auto& partition : topic->partitions) total += partition.high_watermark.value;
    auto consumer = client->consumer({.topics = {"crash"}});
    ASSERT_TRUE(consumer);
    std::map<int, std::map<std::int64_t, int>> found;
    for (std::int64_t seen = 0; seen < total;) {
      const auto records = (*consumer)->poll(30s);
      ASSERT_TRUE(records) << records.error().message();
      ASSERT_FALSE(records->empty());
      for (const ConsumedRecord& record : *records) {
        const int number = std::stoi(std::string(as_text(*record.value)));
        auto& partition = found[record.partition.value];
        ASSERT_EQ(record.offset.value, static_cast<std::int64_t>(partition.size()));
        ASSERT_LT(number, sent[record.partition.value]);  // C6
        const int before = partition.empty() ? 0 : partition.rbegin()->second;
        ASSERT_GE(number, before) << "C3";
        partition[record.offset.value] = number;
        ++seen;
      }
    }
    for (const auto& [partition, offsets] : acknowledged)
      for (const auto& [offset, number] : offsets) {
        ASSERT_TRUE(found[partition].contains(offset)) << "C1: offset " << offset << " is lost";
        ASSERT_EQ(found[partition][offset], number) << "C2";
      }
    if (committed >= 0) {
      auto resumed = client->consumer(
          {.topics = {"crash"}, .group = Group{"g"}, .partitions = {PartitionIndex(0)}});
      ASSERT_TRUE(resumed) << resumed.error().message();
      const auto position = (*resumed)->positions().front().offset.value;
      ASSERT_TRUE(position == committed || position == attempted_commit) << "C5: " << position;
    }
    broker->stop(SIGTERM);
  }

  static std::string slurp(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  TemporaryDirectory directory;
  std::string data = directory / "data";
  std::unique_ptr<Process> broker;
  std::map<int, std::map<std::int64_t, int>> acknowledged;
  int sent[kPartitions] = {};
  std::int64_t committed = -1, attempted_commit = -1;
  std::atomic<int> acknowledged_total{0};
  std::atomic<bool> done{false};
};

class NamedPoint : public CrashTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(NamedPoint, LosesNothing) {
  // Values large enough that segments of journal and store end within the run.
  // Idleness, and so a marker, may come only once.
  const bool marker = GetParam() == std::string("journal.marker");
  for (const int visit : marker ? std::vector{1} : std::vector{1, 2}) {
    // The second time batches that stay in the journal's segments.
    if (start(GetParam(), visit)) visit == 1 ? work(120, 25'000) : work(240, 60'000);
    // The point was reached: the broker is dead by its own hand.
    const int status = broker->stop(SIGTERM);
    EXPECT_EQ(status, -SIGKILL) << GetParam() << " was not visited " << visit << " times";
    verify();
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Points, NamedPoint,
                         ::testing::Values("journal.before_write", "journal.after_write",
                                           "journal.after_durable", "journal.before_roll",
                                           "journal.after_roll", "journal.manifest_replaced",
                                           "journal.segment_prepared", "journal.marker",
                                           "store.before_apply", "store.before_roll",
                                           "store.footer_written", "store.after_roll",
                                           "store.persisted"),
                         [](const auto& point) {
                           std::string name = point.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

class SnapshotPoint : public CrashTest, public ::testing::WithParamInterface<const char*> {};

// Neither the broker nor a snapshot that is there may miss anything; an unfinished one goes.
TEST_P(SnapshotPoint, LosesNothing) {
  ASSERT_TRUE(start(GetParam(), 1));
  work(60, 60'000);
  {
    auto client = blocking::Client::connect({.broker = url()});
    ASSERT_TRUE(client);
    EXPECT_FALSE(client->create_snapshot("one"));
  }
  EXPECT_EQ(broker->stop(SIGTERM), -SIGKILL) << GetParam() << " was not visited";
  verify();
  if (HasFatalFailure()) return;
  namespace fs = std::filesystem;
  const bool whole = GetParam() == std::string("snapshot.renamed");
  EXPECT_EQ(fs::exists(data + "/snapshots/one"), whole);
  EXPECT_FALSE(fs::exists(data + "/snapshots/.unfinished"));
  if (!whole) return;
  data += "/snapshots/one";
  verify();
}

INSTANTIATE_TEST_SUITE_P(Points, SnapshotPoint,
                         ::testing::Values("snapshot.checkpoint", "snapshot.sealed",
                                           "snapshot.linked", "snapshot.renamed"),
                         [](const auto& point) {
                           return std::string(point.param).substr(sizeof "snapshot");
                         });

TEST_F(CrashTest, SnapshotsUnderLoadHoldAllThatWasAcknowledged) {
  ASSERT_TRUE(start());
  std::thread load([this] { work(1'000'000, 20'000); });  // until the kill
  auto client = blocking::Client::connect({.broker = url()});
  ASSERT_TRUE(client);
  std::map<std::string, int> least;
  for (int i = 0; i < 6; ++i) {
    const auto until = acknowledged_total.load() + 40;
    while (acknowledged_total.load() < until) std::this_thread::yield();
    const int acknowledged_now = acknowledged_total.load();
    const auto made = client->create_snapshot("s" + std::to_string(i));
    ASSERT_TRUE(made) << made.error().message();
    least[*made] = acknowledged_now;
  }
  broker->stop(SIGKILL);
  load.join();
  verify();
  for (const auto& [path, records] : least) {
    data = path;
    ASSERT_TRUE(start()) << path;
    auto fork = blocking::Client::connect({.broker = url()});
    ASSERT_TRUE(fork);
    const auto topic = fork->describe_topic("crash");
    ASSERT_TRUE(topic);
    std::int64_t total = 0;
    for (const auto& partition : topic->partitions) total += partition.high_watermark.value;
    EXPECT_GE(total, records) << path;
    broker->stop(SIGTERM);
  }
}

TEST_F(CrashTest, RandomKillsUnderLoadLoseNothing) {
  Random random(7);
  for (int kill = 0; kill < 10; ++kill) {
    ASSERT_TRUE(start());
    const auto until = acknowledged_total.load() + 20 + static_cast<int>(random.below(400));
    std::thread killer([&] {
      // Waits for progress, not for time; `done` ends it when the work is over.
      while (acknowledged_total.load() < until && !done.load()) std::this_thread::yield();
      broker->stop(SIGKILL);
    });
    work(600, 1'000);
    done = true;
    killer.join();
    done = false;
    verify();
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace leat
