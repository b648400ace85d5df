// The inventory: how much there is of each item, by the events of the order service. An event that
// is older than what is known, or known already, changes nothing: the version gate.
#include <atomic>
#include <sstream>
#include <thread>

#include "client/blocking.h"
#include "client/patterns/version_gate.h"
#include "examples/orders/service.h"

namespace leat::orders {
namespace {

using namespace std::chrono_literals;

struct ItemSold {
  std::int64_t item = 0, version = 0, sold = 0;
  explicit ItemSold(const ConsumedRecord& record) {
    std::istringstream(text_of(record)) >> item >> version >> sold;
  }
};

Result<> apply(patterns::Database& database, const ItemSold& event) {
  auto done = database.execute("UPDATE stock SET on_hand = $1, version = $2 WHERE item = $3",
                               {kInStock - event.sold, event.version, event.item});
  if (!done) return fail(done.error());
  return {};
}

// What was polled together is applied together, and committed to the broker behind that.
Result<> apply_all(patterns::Database& database, patterns::VersionGate& gate,
                   std::span<const ConsumedRecord> records) {
  auto transaction = patterns::Transaction::begin(database);
  if (!transaction) return fail(transaction.error());
  for (const ConsumedRecord& record : records) {
    const ItemSold event(record);
    auto newer = gate.admit(std::to_string(event.item), event.version);
    if (!newer) return fail(newer.error());
    if (!*newer) continue;
    if (auto ok = apply(database, event); !ok) return ok;
  }
  return transaction->commit();
}

void keep_stock(const Place& place, const std::atomic<bool>& stopping) {
  const auto database = open_database(place.inventory);
  auto gate = must(patterns::VersionGate::open(*database, "stock"), "the gate");
  blocking::Client client(connect(place, "inventory"));
  ConsumerOptions options{.topics = {"items"}, .group = Group{"inventory"}};
  options.session_timeout = kMissedAfter;
  auto consumer = must(client.consumer(options), "consuming");
  while (!stopping) {
    const auto records = consumer->poll(100ms);
    if (!records || records->empty()) continue;
    while (!stopping && !apply_all(*database, gate, *records)) std::this_thread::sleep_for(5ms);
    [[maybe_unused]] const auto committed = consumer->commit();  // else they come again
  }
}

}  // namespace

int run_inventory(const Place& place) {
  block_sigterm();
  std::atomic<bool> stopping{false};
  std::thread thread([&] { keep_stock(place, stopping); });
  wait_for_sigterm();
  stopping = true;
  thread.join();
  return 0;
}

}  // namespace leat::orders
