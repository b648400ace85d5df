#include "examples/orders/account.h"

#include <cstdio>
#include <map>

#include "examples/orders/service.h"

namespace leat::orders {
namespace {

using patterns::SqlRows;

constexpr const char* kShop =
    "CREATE TABLE orders (id BIGINT PRIMARY KEY, item BIGINT NOT NULL, quantity BIGINT NOT NULL, "
    "cents BIGINT NOT NULL, state TEXT NOT NULL);"
    "CREATE TABLE items (item BIGINT PRIMARY KEY, sold BIGINT NOT NULL, version BIGINT NOT NULL);";
// Without keys, so that they can hold what should not be.
constexpr const char* kPayment =
    "CREATE TABLE charges (order_id BIGINT NOT NULL, cents BIGINT NOT NULL);"
    "CREATE TABLE refunds (order_id BIGINT NOT NULL, cents BIGINT NOT NULL);";
constexpr const char* kInventory =
    "CREATE TABLE stock (item BIGINT PRIMARY KEY, on_hand BIGINT NOT NULL, "
    "version BIGINT NOT NULL, regressions BIGINT NOT NULL);";
constexpr const char* kCarrier = "CREATE TABLE shipments (order_id BIGINT NOT NULL);";

SqlRows query(const std::string& address, std::string_view sql) {
  return must(open_database(address)->execute(sql), std::string(sql));
}

std::map<std::int64_t, std::int64_t> times(const std::string& address, std::string_view sql) {
  std::map<std::int64_t, std::int64_t> all;
  const SqlRows rows = query(address, sql);
  for (std::size_t i = 0; i < rows.size(); ++i) ++all[rows.integer(i, 0)];
  return all;
}

std::int64_t of(const std::map<std::int64_t, std::int64_t>& all, std::int64_t order) {
  const auto found = all.find(order);
  return found == all.end() ? 0 : found->second;
}

void account_for_orders(const Place& place, bool naive, Account& account) {
  const auto charges = times(place.payment, "SELECT order_id FROM charges");
  const auto refunds = times(place.payment, "SELECT order_id FROM refunds");
  const auto shipments = times(place.carrier, "SELECT order_id FROM shipments");
  const SqlRows orders = query(place.shop, "SELECT id, state FROM orders");
  account.orders = static_cast<std::int64_t>(orders.size());
  for (std::size_t i = 0; i < orders.size(); ++i) {
    const std::int64_t id = orders.integer(i, 0);
    const bool shipped = orders.text(i, 1) == "shipped",
               cancelled = orders.text(i, 1) == "cancelled";
    const auto charged = of(charges, id), refunded = of(refunds, id), sent = of(shipments, id);
    account.shipped += shipped;
    account.cancelled += cancelled;
    account.lost += charged == 0;
    account.twice += charged > 1 || refunded > 1 || sent > 1;
    if (naive) continue;
    const bool as_it_should = is_refused(id) ? cancelled && refunded == 1 && sent == 0
                                             : shipped && refunded == 0 && sent == 1;
    account.half_done += charged > 0 && !as_it_should;
  }
}

void account_for_stock(const Place& place, Account& account) {
  std::map<std::int64_t, std::int64_t> sold;
  const SqlRows orders =
      query(place.shop, "SELECT item, quantity FROM orders WHERE state <> 'cancelled'");
  for (std::size_t i = 0; i < orders.size(); ++i)
    sold[orders.integer(i, 0)] += orders.integer(i, 1);
  const SqlRows stock = query(place.inventory, "SELECT item, on_hand, regressions FROM stock");
  for (std::size_t i = 0; i < stock.size(); ++i) {
    account.stale += stock.integer(i, 1) != kInStock - of(sold, stock.integer(i, 0));
    account.regressions += stock.integer(i, 2);
  }
}

}  // namespace

void make_tables(const Place& place) {
  const std::pair<const std::string&, const char*> all[] = {{place.shop, kShop},
                                                            {place.payment, kPayment},
                                                            {place.inventory, kInventory},
                                                            {place.carrier, kCarrier}};
  for (const auto& [address, tables] : all)
    must(open_database(address)->run_script(tables), "making tables");
  const auto shop = open_database(place.shop), inventory = open_database(place.inventory);
  for (std::int64_t item = 0; item < kItems; ++item) {
    must(shop->execute("INSERT INTO items VALUES ($1, 0, 0)", {item}), "an item");
    must(inventory->execute("INSERT INTO stock VALUES ($1, $2, 0, 0)", {item, kInStock}), "stock");
  }
}

std::int64_t orders_done(const Place& place, bool naive) {
  return query(place.shop, naive ? "SELECT count(*) FROM orders"
                                 : "SELECT count(*) FROM orders WHERE state <> 'placed'")
      .integer(0, 0);
}

bool stock_is_known(const Place& place) {
  const SqlRows items = query(place.shop, "SELECT version FROM items ORDER BY item");
  const SqlRows stock = query(place.inventory, "SELECT version FROM stock ORDER BY item");
  for (std::size_t i = 0; i < items.size(); ++i)
    if (items.integer(i, 0) != stock.integer(i, 0)) return false;
  return true;
}

Account account_of(const Place& place, bool naive) {
  Account account;
  account_for_orders(place, naive, account);
  account_for_stock(place, account);
  return account;
}

void print(const Account& account, bool naive) {
  const auto row = [](const char* name, std::int64_t value, const char* what) {
    std::printf("%-18s %6lld   %s\n", name, static_cast<long long>(value), what);
  };
  row("orders", account.orders, "");
  if (!naive) row("shipped", account.shipped, "charged once, shipped once");
  if (!naive)
    row("cancelled", account.cancelled, "the carrier refused: charged once, refunded once");
  row("lost", account.lost, "orders that were never charged");
  row("twice", account.twice, "orders that were charged, refunded or shipped twice");
  if (!naive) row("half done", account.half_done, "charged, and neither shipped nor given back");
  row("stale", account.stale, "items whose stock is not what was sold of them");
  row("backwards", account.regressions, "times that the stock took something old for new");
}

}  // namespace leat::orders
