// The ledger: what the databases say in the end, held against what was ordered.
#pragma once

#include <cstdint>

#include "examples/orders/place.h"

namespace leat::orders {

struct Account {
  std::int64_t orders = 0, shipped = 0, cancelled = 0;
  std::int64_t lost = 0;       // orders of which nobody has heard
  std::int64_t twice = 0;      // orders that were charged, refunded or shipped more than once
  std::int64_t half_done = 0;  // charged and not shipped, shipped and not charged, not given back …
  std::int64_t stale = 0;      // items of which the inventory knows something old
  std::int64_t regressions = 0;  // times that it took something old for new
  bool clean() const {
    return lost == 0 && twice == 0 && half_done == 0 && stale == 0 && regressions == 0;
  }
};

// The tables of all services, with nothing in them but the items.
void make_tables(const Place& place);

// How many orders are done with; naive: are written.
std::int64_t orders_done(const Place& place, bool naive);
// Whether the inventory knows the newest of every item.
bool stock_is_known(const Place& place);

Account account_of(const Place& place, bool naive);
void print(const Account& account, bool naive);

}  // namespace leat::orders
