// What an idempotent consumer costs: the same handler in a transaction of its own, and in one with
// the inbox, turn and turn about, on each database. No broker: records come as fast as they are
// taken, so that nothing hides the cost.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
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

constexpr int kChunk = 500, kChunks = 11;

Result<> charge(Database& database, const ConsumedRecord& record) {
  auto changed = database.execute("UPDATE account SET balance = balance - 1 WHERE id = $1",
                                  {record.offset.value % 100});
  if (!changed) return fail(changed.error());
  return {};
}

// Records 0, 1, 2 … of one partition, as a consumer gives them.
class Chunks {
 public:
  double measure(const std::function<void(const ConsumedRecord&)>& handle) {
    const auto began = Clock::now();
    for (int i = 0; i < kChunk; ++i) {
      ConsumedRecord record;
      record.topic = "orders";
      record.topic_id = &topic_;
      record.offset = Offset(next_++);
      handle(record);
    }
    return kChunk / seconds_since(began);
  }

 private:
  TopicId topic_;
  std::int64_t next_ = 0;
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
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
  Chunks chunks;
  std::vector<double> alone, ids, positions;
  for (int i = 0; i < kChunks; ++i) {
    alone.push_back(chunks.measure(without));
    ids.push_back(chunks.measure(with(by_id)));
    positions.push_back(chunks.measure(with(by_position)));
  }
  const double base = median(alone);
  const auto cost = [&](const std::vector<double>& rates) {
    return 100 * (base / median(rates) - 1);
  };
  std::printf(
      "%-10s own transaction %6.0f/s | inbox by id %6.0f/s (%+.0f %%) | by position %6.0f/s "
      "(%+.0f %%)\n",
      name, base, median(ids), cost(ids), median(positions), cost(positions));
}

void run() {
  const WorkDirectory directory(false);
  std::printf("medians of %d runs of %d records, %s, load %.1f\n", kChunks, kChunk,
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
