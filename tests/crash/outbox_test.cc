// Outboxes under fire: an application that commits events, relays, the broker and PostgreSQL, all
// killed by SIGKILL again and again. What committed is in the log once, in the order of its
// aggregate, and nothing else is.
#include "client/patterns/outbox.h"

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <thread>

#include <signal.h>

#include "client/blocking.h"
#include "examples/demo/process.h"
#include "protocol/base/random.h"
#include "protocol/reserved_headers.h"
#include "tests/client/patterns/databases.h"

namespace leat::patterns {
namespace {

using demo::Process;
using namespace std::chrono_literals;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kKills = 10;
#else
constexpr int kKills = 24;
#endif
constexpr int kAggregates = 20;

class OutboxCrashTest : public Databases {
 protected:
  void SetUp() override {
    if (postgres()) {  // one of its own, to be killed
      server_ = std::make_unique<demo::PostgresServer>(
          directory_.path(), demo::PostgresServer::Options{.fsync = true});
      address_ = server_->create_database("test");
      relay_address_ = address_;
    } else {
      address_ = directory_ / "test.db";
      relay_address_ = "sqlite:" + address_;
    }
    database_ = open();
    ASSERT_TRUE(Outbox::open(db()));
    start_broker();
    TopicConfig forgetful;
    forgetful.dedup.time = 0ms;  // what comes twice is known by its source, and not by message ids
    auto client = blocking::Client::connect({.broker = url()});
    ASSERT_TRUE(client && client->create_topic("events", 1, false, forgetful));
    for (auto& relay : relays_) start(relay);
  }
  std::string url() const { return "unix://" + (directory_ / "socket"); }
  void start_broker() {
    broker_ = std::make_unique<Process>(
        std::vector<std::string>{LEATD, "--data-dir", directory_ / "data", "--listen", url()},
        directory_ / "log");
    std::string line;
    ASSERT_TRUE(broker_->read_line(line));
  }
  void start(std::unique_ptr<Process>& relay) {
    relay = std::make_unique<Process>(
        std::vector<std::string>{LEAT_OUTBOX, "--broker", url(), "relay", "--database",
                                 relay_address_, "--lease", "1s", "--rows", "50", "--look-again",
                                 "50ms"},
        directory_ / "relay-log");
  }

  // Commits events, each aggregate's numbered from 1 on; some transactions are rolled back, some
  // take long, some hold several. Whether a commit that failed was one is asked afterwards.
  void work(int writer) {
    Random random(static_cast<std::uint64_t>(writer));
    std::unique_ptr<Database> own;
    std::map<int, int> next;
    int generation = 0;  // of its aggregates
    while (!stop_) {
      if (!own) own = try_open();
      auto outbox = own ? Outbox::open(*own) : fail(ErrorCode::kDatabaseUnreachable);
      if (!outbox || !own->begin()) {
        own.reset();
        std::this_thread::sleep_for(5ms);
        continue;
      }
      const std::map<int, int> before = next;
      std::vector<std::string> ids;
      bool added = true;
      for (std::uint64_t i = 0; i <= random.below(4) && added; ++i) {
        const int aggregate = static_cast<int>(random.below(kAggregates));
        // Nobody else's.
        const std::string key = std::to_string(writer) + "/" + std::to_string(generation) + "/" +
                                std::to_string(aggregate);
        const std::string value = std::to_string(++next[aggregate]);
        auto id = outbox->add({.aggregate_type = "events",
                               .aggregate_id = key,
                               .type = "t",
                               .payload = bytes(value)});
        added = id.has_value();
        if (added) ids.push_back(*id);
      }
      if (random.below(20) == 0)
        std::this_thread::sleep_for(std::chrono::milliseconds(random.below(30)));
      if (!added || random.below(10) == 0) {
        own->rollback();
        next = before;
        if (!added) own.reset();
        continue;
      }
      if (auto ok = own->commit(); ok) {
        const std::lock_guard lock(mutex_);
        committed_.insert(ids.begin(), ids.end());
      } else {  // not known; so these aggregates are done with
        own.reset();
        next.clear();
        ++generation;
        const std::lock_guard lock(mutex_);
        unknown_.insert(ids.begin(), ids.end());
      }
    }
  }
  std::unique_ptr<Database> try_open() {
    if (!postgres()) return open();
    auto database = PostgresDatabase::open(address_);
    return database ? std::move(*database) : nullptr;
  }

  void kill_something(Random& random) {
    const auto which = random.below(postgres() ? 8 : 6);
    if (which < 4) {
      auto& relay = relays_[which % 2];
      EXPECT_EQ(relay->stop(SIGKILL), -SIGKILL);
      start(relay);
    } else if (which < 6) {
      EXPECT_EQ(broker_->stop(SIGKILL), -SIGKILL);
      start_broker();
    } else {
      server_->kill();
      server_->start();
    }
  }

  void verify() {
    auto client = blocking::Client::connect({.broker = url()});
    ASSERT_TRUE(client);
    auto consumer = client->consumer({.topics = {"events"}});
    ASSERT_TRUE(consumer);
    std::map<std::string, int> last;
    std::set<std::string> seen;
    std::int64_t records = 0;
    for (;;) {
      const auto some = (*consumer)->poll(500ms);
      ASSERT_TRUE(some) << some.error().message();
      if (some->empty()) break;
      for (const ConsumedRecord& record : *some) {
        ++records;
        const std::string id(as_text(*record.headers.find(reserved_headers::kId)->value));
        EXPECT_TRUE(seen.insert(id).second) << id << " is there twice";
        EXPECT_TRUE(committed_.contains(id) || unknown_.contains(id)) << id << " never committed";
        int& before = last[std::string(as_text(*record.key))];
        const int now = std::stoi(std::string(as_text(*record.value)));
        EXPECT_EQ(now, before + 1) << "aggregate " << as_text(*record.key);
        before = now;
      }
    }
    for (const std::string& id : committed_) EXPECT_TRUE(seen.contains(id)) << id << " is missing";
    EXPECT_GT(records, 100);
  }

  std::unique_ptr<demo::PostgresServer> server_;
  std::string relay_address_;
  std::unique_ptr<Process> broker_, relays_[2];
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::set<std::string> committed_, unknown_;
};
LEAT_ON_EVERY_DATABASE(OutboxCrashTest);

TEST_P(OutboxCrashTest, NeitherADuplicateNorAGap) {
  Random random(5);
  std::vector<std::thread> writers;
  for (int i = 0; i < 2; ++i) writers.emplace_back([this, i] { work(i); });
  for (int kill = 0; kill < kKills; ++kill) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random.below(200)));
    kill_something(random);
  }
  std::this_thread::sleep_for(200ms);
  stop_ = true;
  for (std::thread& writer : writers) writer.join();
  // The relays come to an end.
  const auto hang = std::chrono::steady_clock::now() + 60s;
  const auto left = [&]() -> std::int64_t {
    const auto own = try_open();
    auto rows = own ? own->execute("SELECT count(*) FROM leat_outbox") : fail(ErrorCode::kClosed);
    return rows ? rows->integer(0, 0) : -1;
  };
  while (left() != 0 && std::chrono::steady_clock::now() < hang) std::this_thread::sleep_for(20ms);
  EXPECT_EQ(left(), 0);
  for (auto& relay : relays_) EXPECT_EQ(relay->stop(SIGTERM), 128 + SIGTERM);
  verify();
}

}  // namespace
}  // namespace leat::patterns
