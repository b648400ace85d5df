// The relays of an outbox: how many events of 1 KiB they publish in a second, of a table that is
// full when they begin, and how long after its commit an event is with a consumer, at a steady
// rate. PostgreSQL, by polling and by reading the log; SQLite, by polling. Everything is on disk
// and synced: databases, and the broker, which is reached over TCP.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench/measure.h"
#include "client/blocking.h"
#include "client/patterns/outbox.h"
#include "client/patterns/relay/outbox_relay.h"
#include "client/patterns/relay/outbox_tail.h"
#include "client/patterns/sql/sqlite.h"
#include "examples/demo/postgres_server.h"
#include "server/server.h"

namespace leat::bench {
namespace {

using namespace std::chrono_literals;
using namespace patterns;

constexpr std::size_t kPayloadBytes = 1'024;
constexpr int kPartitions = 4, kEventsInTransaction = 10;

struct Options {
  std::int64_t events = 200'000;
  std::int64_t rate = 500;  // commits a second, of one event each
  std::int64_t seconds = 10;
  std::string only;  // "tail", "polling", "sqlite"; empty: all
  bool tmpfs = false;
};

void must_run(Database& database, const std::string& sql) {
  must(database.run_script(sql));
}

// A relay at work on a thread of its own.
struct Running {
  std::function<void()> run, stop;
  std::function<std::uint64_t()> published;
};

class Relays {
 public:
  Relays(const std::string& directory, const Options& options)
      : directory_(directory), options_(options) {
    std::printf(
        "file system %s, %lld events of %zu B, %d in a transaction, %d partitions, load of "
        "the machine %.2f\n\n",
        file_system(directory), static_cast<long long>(options_.events), kPayloadBytes,
        kEventsInTransaction, kPartitions, load_average());
    server_ = must(Server::open({.data_dir = directory + "/b", .listen = {"leat://127.0.0.1:0"}}));
    client_.emplace(must(blocking::Client::connect({.broker = server_->listeners().front()})));
  }

  void run() {
    if (demo::PostgresServer::installed()) {
      postgres_ = std::make_unique<demo::PostgresServer>(
          directory_,
          demo::PostgresServer::Options{.fsync = true, .settings = "max_wal_size = 4GB"});
      if (wanted("tail")) measure("tail", [this] { return tail(); });
      if (wanted("polling")) measure("polling", [this] { return polling(); });
    }
    if (wanted("sqlite")) measure("sqlite", [this] { return sqlite(); });
  }

 private:
  bool wanted(const char* which) const { return options_.only.empty() || options_.only == which; }

  void measure(const char* which, const std::function<Running()>& start) {
    topic_ = which;
    if (topic_ == "sqlite") {
      database_ = must(SqliteDatabase::open(directory_ + "/s.db"));
      other_ = must(SqliteDatabase::open(directory_ + "/s.db"));
    } else {
      address_ = postgres_->create_database(topic_);
      database_ = must(PostgresDatabase::open(address_));
      other_ = must(PostgresDatabase::open(address_));
    }
    outbox_.emplace(must(Outbox::open(*database_)));
    measure_rate(start);
    measure_latency(start);
  }

  Running tail() {
    OutboxTailOptions options;
    options.slot.connection = address_;
    options.publish.partitions = kPartitions;
    options.on_problem = complain;
    auto tail = std::make_shared<std::unique_ptr<OutboxTail>>(
        must(OutboxTail::open(*client_, std::move(options))));
    if (!begun_) must((*tail)->run_once());  // makes the slot
    begun_ = true;
    return {[tail] { (*tail)->run(); }, [tail] { (*tail)->stop(); },
            [tail] { return (*tail)->published(); }};
  }
  Running polling() { return poll(wake_by_notifications(address_)); }
  Running sqlite() { return poll(wake_by_wal(directory_ + "/s.db")); }
  Running poll(std::unique_ptr<OutboxWakeup> wakeup) {
    OutboxRelayOptions options;
    options.publish.partitions = kPartitions;
    options.on_problem = complain;
    auto relay = std::make_shared<std::unique_ptr<OutboxRelay>>(
        must(OutboxRelay::open(*client_, *other_, std::move(wakeup), std::move(options))));
    return {[relay] { (*relay)->run(); }, [relay] { (*relay)->stop(); },
            [relay] { return (*relay)->published(); }};
  }
  static void complain(const Error& why) { std::cerr << why.message() << "\n"; }

  void measure_rate(const std::function<Running()>& start) {
    Running relay = start();  // so that there is a slot
    fill();
    const auto goal = static_cast<std::uint64_t>(options_.events) + relay.published();
    const Used before = used();
    const auto began = Clock::now();
    std::thread thread(relay.run);
    while (relay.published() < goal) std::this_thread::sleep_for(1ms);
    const double took = seconds_since(began);
    const double cpu = (used() - before).cpu_seconds;
    relay.stop();
    thread.join();
    std::printf("%-10s %10.0f events/s   %.2f us of CPU each, of relay and broker\n",
                topic_.c_str(), static_cast<double>(options_.events) / took,
                cpu * 1e6 / static_cast<double>(options_.events));
    std::fflush(stdout);
  }

  void fill() {
    const std::string payload(kPayloadBytes, 'p');
    if (topic_ != "sqlite") {
      must_run(*database_, "SET synchronous_commit = off");
      must_run(*database_,
               "DO $$ BEGIN FOR i IN 1.." + std::to_string(options_.events / kEventsInTransaction) +
                   " LOOP INSERT INTO leat_outbox (id, aggregatetype, aggregateid, type, payload) "
                   "SELECT gen_random_uuid(), '" +
                   topic_ + "', (1000 * random())::int::text, 'Changed', convert_to('" + payload +
                   "', 'UTF8') FROM generate_series(1, " + std::to_string(kEventsInTransaction) +
                   "); COMMIT; END LOOP; END $$");
      must_run(*database_, "SET synchronous_commit = on; CHECKPOINT");
      return;
    }
    must(database_->begin());
    for (std::int64_t i = 0; i < options_.events; ++i)
      must(outbox_->add({.aggregate_type = topic_,
                         .aggregate_id = std::to_string(i % 1'000),
                         .type = "Changed",
                         .payload = bytes(payload)}));
    must(database_->commit());
  }

  // Open loop: a commit that is late is late for its event, too.
  void measure_latency(const std::function<Running()>& start) {
    auto consumer = must(client_->consumer({.topics = {topic_}, .start = StartFrom::latest()}));
    must(consumer->poll(1ms));
    Running relay = start();
    std::thread thread(relay.run);
    std::this_thread::sleep_for(500ms);
    const std::int64_t events = options_.rate * options_.seconds;
    std::vector<double> took;
    std::thread reading([&] {
      while (static_cast<std::int64_t>(took.size()) < events) {
        const auto records = must(consumer->poll(30s));
        const auto now = Clock::now().time_since_epoch().count();
        if (records.empty()) break;
        for (const ConsumedRecord& record : records)
          took.push_back(
              static_cast<double>(now - std::stoll(std::string(as_text(record.value->first(20))))) /
              1e6);
      }
    });
    const auto began = Clock::now();
    for (std::int64_t i = 0; i < events; ++i) {
      std::this_thread::sleep_until(began + i * 1s / options_.rate);
      must(database_->begin());
      char payload[kPayloadBytes + 1] = {};
      std::snprintf(payload, sizeof payload, "%020lld",
                    static_cast<long long>(Clock::now().time_since_epoch().count()));
      must(outbox_->add({.aggregate_type = topic_,
                         .aggregate_id = std::to_string(i % 1'000),
                         .type = "Changed",
                         .payload = as_bytes(std::string_view(payload, kPayloadBytes))}));
      must(database_->commit());
    }
    reading.join();
    relay.stop();
    thread.join();
    std::ranges::sort(took);
    const auto at = [&](double share) {
      return took.empty()
                 ? 0.0
                 : took[static_cast<std::size_t>(share * static_cast<double>(took.size() - 1))];
    };
    std::printf(
        "%-10s %10lld events/s   before its commit to the consumer: p50 %.2f ms, p99 %.2f "
        "ms, most %.2f ms, %zu of %lld\n",
        topic_.c_str(), static_cast<long long>(options_.rate), at(0.5), at(0.99), at(1),
        took.size(), static_cast<long long>(events));
    std::fflush(stdout);
  }

  std::string directory_;
  Options options_;
  std::unique_ptr<Server> server_;
  std::optional<blocking::Client> client_;
  std::unique_ptr<demo::PostgresServer> postgres_;
  std::string address_, topic_;
  std::unique_ptr<Database> database_, other_;  // of who commits, and of the relay
  std::optional<Outbox> outbox_;
  bool begun_ = false;
};

}  // namespace
}  // namespace leat::bench

int main(int argc, char** argv) {
  leat::bench::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--tmpfs") {
      options.tmpfs = true;
    } else if (option == "--events" && i + 1 < argc) {
      options.events = std::stoll(argv[++i]);
    } else if (option == "--rate" && i + 1 < argc) {
      options.rate = std::stoll(argv[++i]);
    } else if (option == "--seconds" && i + 1 < argc) {
      options.seconds = std::stoll(argv[++i]);
    } else if (option == "--only" && i + 1 < argc) {
      options.only = argv[++i];
    } else {
      std::cerr << "usage: leat-relays [--only tail|polling|sqlite] [--events N] [--rate N] "
                   "[--seconds N] [--tmpfs]\n";
      return 2;
    }
  }
  try {
    const leat::bench::WorkDirectory directory(options.tmpfs);
    leat::bench::Relays(directory.path(), options).run();
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench: " << error.what() << "\n";
    return 1;
  }
}
