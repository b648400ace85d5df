// The same services as one writes them first: the order is written, then published; a record is
// processed, then its offset committed; an event is applied because it came. Nothing is wrong with
// any of it until something dies.
#include <atomic>
#include <iostream>
#include <sstream>
#include <thread>

#include "client/blocking.h"
#include "examples/orders/service.h"

namespace leat::orders {
namespace {

using namespace std::chrono_literals;
using patterns::Database;

constexpr int kCommitEvery = 50;

// Until SIGTERM.
template <class Work>
int work_until_sigterm(Work work) {
  block_sigterm();
  std::atomic<bool> stopping{false};
  std::thread thread([&] { work(stopping); });
  wait_for_sigterm();
  stopping = true;
  thread.join();
  return 0;
}

bool write_order(Database& database, std::int64_t id) {
  auto transaction = patterns::Transaction::begin(database);
  return transaction &&
         database.execute(
             "INSERT INTO orders (id, item, quantity, cents, state) "
             "VALUES ($1, $2, $3, $4, 'placed')",
             {id, item_of(id), quantity_of(id), cents_of(id)}) &&
         database.execute(
             "UPDATE items SET sold = sold + $1, version = version + 1 WHERE item = $2",
             {quantity_of(id), item_of(id)}) &&
         transaction->commit();
}

std::string item_event(Database& database, std::int64_t item) {
  const auto row =
      must(database.execute("SELECT version, sold FROM items WHERE item = $1", {item}), "reading");
  return std::to_string(item) + " " + std::to_string(row.integer(0, 0)) + " " +
         std::to_string(row.integer(0, 1));
}

void charge(Database& database, std::int64_t order) {
  must(database.execute("INSERT INTO charges (order_id, cents) VALUES ($1, $2)",
                        {order, cents_of(order)}),
       "charging");
}

// Says, for the account, where it puts an older number in the place of a newer one.
void put_stock(Database& database, const std::string& event) {
  std::int64_t item = 0, version = 0, sold = 0;
  std::istringstream(event) >> item >> version >> sold;
  must(database.execute("UPDATE stock SET regressions = regressions + 1 "
                        "WHERE item = $1 AND version > $2",
                        {item, version}),
       "noting");
  must(database.execute("UPDATE stock SET on_hand = $1, version = $2 WHERE item = $3",
                        {kInStock - sold, version, item}),
       "putting");
}

template <class Handle>
int consume(const Place& place, const std::string& topic, const std::string& group,
            const std::string& address, Handle handle) {
  return work_until_sigterm([&](const std::atomic<bool>& stopping) {
    const auto database = open_database(address);
    blocking::Client client(connect(place, group));
    ConsumerOptions options{.topics = {topic}, .group = Group{group}};
    options.session_timeout = kMissedAfter;
    auto consumer = must(client.consumer(options), "consuming");
    int since_commit = 0;
    while (!stopping) {
      const auto records = consumer->poll(100ms);
      if (!records) continue;
      for (const ConsumedRecord& record : *records) handle(*database, text_of(record));
      since_commit += static_cast<int>(records->size());
      if (!records->empty() && since_commit < kCommitEvery) continue;
      since_commit = 0;
      [[maybe_unused]] const auto committed = consumer->commit();
    }
  });
}

}  // namespace

int run_naive_shop(const Place& place) {
  return work_until_sigterm([&](const std::atomic<bool>& stopping) {
    const auto database = open_database(place.shop);
    blocking::Client client(connect(place, "shop"));
    auto orders = must(client.producer(Topic{"orders"}), "producing");
    auto items = must(client.producer(Topic{"items"}), "producing");
    const auto last = must(database->execute("SELECT max(id) FROM orders"), "looking");
    for (std::int64_t id = last.integer(0, 0) + 1; id <= place.orders && !stopping; ++id) {
      while (!write_order(*database, id) && !stopping) std::this_thread::sleep_for(5ms);
      const std::string order = std::to_string(id), item = item_event(*database, item_of(id));
      must(orders->send({.key = as_bytes(order), .value = as_bytes(order)}), "publishing");
      must(items->send({.value = as_bytes(item)}), "publishing");
    }
    while (!stopping) {
      [[maybe_unused]] const auto sent = orders->flush(100ms);
      [[maybe_unused]] const auto also = items->flush(100ms);
      std::this_thread::sleep_for(10ms);
    }
  });
}

int run_naive_payment(const Place& place) {
  return consume(
      place, "orders", "payment", place.payment,
      [](Database& database, const std::string& order) { charge(database, std::stoll(order)); });
}

int run_naive_inventory(const Place& place) {
  return consume(place, "items", "inventory", place.inventory, put_stock);
}

}  // namespace leat::orders
