// What an idempotent consumer costs: the same handler in a transaction of its own, and in one with
// the inbox, turn and turn about, on each database. No broker: records come as fast as they are
// taken, so that nothing hides the cost.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "client/patterns/consume_once.h"
#include "client/patterns/sql/postgres.h"
#include "client/patterns/sql/sqlite.h"
#include "examples/demo/postgres_server.h"

namespace leat::bench {
namespace {

using namespace patterns;

// A disk is not the same from one millisecond to the next, so turns are short, and in another order
// each time; the median of many turns leaves the stalls out.
constexpr int kTurns = 500, kRecordsInTurn = 10;

Result<> charge(Database& database, const ConsumedRecord& record) {
  auto changed = database.execute("UPDATE account SET balance = balance - 1 WHERE id = $1",
                                  {record.offset.value % 100});
  if (!changed) return fail(changed.error());
  return {};
}

// Records 0, 1, 2 … of one partition, as a consumer gives them.
class Records {
 public:
  using Handler = std::function<void(const ConsumedRecord&)>;

  // Microseconds each.
  double turn(const Handler& handle) {
    const auto began = Clock::now();
    for (int i = 0; i < kRecordsInTurn; ++i) {
      ConsumedRecord record;
      record.topic = "orders";
      record.topic_id = &topic_;
      record.offset = Offset(next_++);
      handle(record);
    }
    return seconds_since(began) * 1e6 / kRecordsInTurn;
  }

 private:
  TopicId topic_;
  std::int64_t next_ = 0;
};

// The medians, of each handler.
std::vector<double> in_turns(const std::vector<Records::Handler>& handlers) {
  Records records;
  std::vector<std::vector<double>> took(handlers.size());
  std::vector<std::size_t> order(handlers.size());
  std::iota(order.begin(), order.end(), 0);
  std::mt19937 random(1);
  for (int i = 0; i < kTurns; ++i) {
    std::ranges::shuffle(order, random);
    for (const std::size_t which : order) took[which].push_back(records.turn(handlers[which]));
  }
  std::vector<double> medians;
  for (std::vector<double>& all : took) {
    std::ranges::sort(all);
    medians.push_back(all[all.size() / 2]);
  }
  return medians;
}

void compare(const char* name, Database& database) {
  must(database.run_script("CREATE TABLE account (id BIGINT PRIMARY KEY, balance BIGINT)"));
  for (int i = 0; i < 100; ++i)
    must(database.execute("INSERT INTO account VALUES ($1, 1000000)", {std::int64_t(i)}));
  auto by_id = must(Inbox::open(database, {.consumer = "by id"}));
  auto by_position =
      must(Inbox::open(database, {.consumer = "by position", .by = InboxBy::kPosition}));
  const auto handler =
      record_handler([&](const ConsumedRecord& record) { return charge(database, record); });
  const auto with = [&](Inbox& inbox) {
    return [&](const ConsumedRecord& record) {
      if (handle_once(inbox, record, handler).outcome != Handled::Outcome::kDone)
        throw std::runtime_error("not handled");
    };
  };
  const auto without = [&](const ConsumedRecord& record) {
    auto tx = must(Transaction::begin(database));
    must(charge(database, record));
    must(tx.commit());
  };
  const auto took = in_turns({without, with(by_id), with(by_position)});
  const auto cost = [&](double us) { return 100 * (us / took[0] - 1); };
  std::printf(
      "%-10s own transaction %4.0f us | inbox by id %4.0f us (%+.0f %%) | by position %4.0f us "
      "(%+.0f %%)\n",
      name, took[0], took[1], cost(took[1]), took[2], cost(took[2]));
  std::fflush(stdout);
}

void run() {
  const WorkDirectory directory(false);
  std::printf("a record, medians of %d turns of %d, %s, load %.1f\n", kTurns, kRecordsInTurn,
              file_system(directory.path()), load_average());
  auto sqlite = must(SqliteDatabase::open(directory.path() + "/consumer.db"));
  compare("SQLite", *sqlite);
  demo::PostgresServer server(std::filesystem::absolute(directory.path()), {.fsync = true});
  auto postgres = must(PostgresDatabase::open(server.create_database("consumer")));
  compare("PostgreSQL", *postgres);
}

}  // namespace
}  // namespace leat::bench

int main() {
  try {
    leat::bench::run();
  } catch (const std::exception& error) {
    std::cerr << "leat-inbox: " << error.what() << "\n";
    return 1;
  }
}
