// Where the services of the example live, as each process is told on its command line, and what
// they agree on.
#pragma once

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "protocol/base/result.h"

namespace leat::orders {

inline constexpr int kItems = 20;
inline constexpr std::int64_t kInStock = 1'000'000;  // of each item, at the beginning

// A member of a group that was killed is missed after so long.
inline constexpr std::chrono::milliseconds kMissedAfter{500};

// What is ordered, by the order's number, so that the account can say what should have come of it.
inline std::int64_t item_of(std::int64_t order) {
  return order % kItems;
}
inline std::int64_t quantity_of(std::int64_t order) {
  return 1 + order % 3;
}
inline std::int64_t cents_of(std::int64_t order) {
  return 100 * quantity_of(order) + order % 100;
}
// The carrier does not go where these are to be sent.
inline bool is_refused(std::int64_t order) {
  return order % 8 == 3;
}

struct Place {
  std::string directory;                          // with traces and logs
  std::string broker;                             // leat://…
  std::string shop, payment, inventory, carrier;  // databases: a path, or what libpq takes
  std::int64_t orders = 5'000;
  double sample = 0.02;  // of orders, that are traced

  std::vector<std::string> arguments() const {
    return {directory,
            broker,
            shop,
            payment,
            inventory,
            carrier,
            std::to_string(orders),
            std::to_string(sample)};
  }
  static Place of(const std::vector<std::string>& arguments) {
    if (arguments.size() != 8) throw std::runtime_error("a role is started by the story alone");
    return {arguments[0],
            arguments[1],
            arguments[2],
            arguments[3],
            arguments[4],
            arguments[5],
            std::stoll(arguments[6]),
            std::stod(arguments[7])};
  }
};

template <class T>
T must(Result<T> result, const std::string& doing) {
  if (!result) throw std::runtime_error(doing + ": " + result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// The processes. Each runs until SIGTERM.
int run_shop(const Place& place);       // takes orders
int run_saga(const Place& place);       // sees to it that each is charged and shipped, or neither
int run_relay(const Place& place);      // publishes what the others have written down
int run_payment(const Place& place);    // charges
int run_inventory(const Place& place);  // knows how much there is
int run_carrier(const Place& place);    // ships, but not everywhere

// The same without any of the patterns.
int run_naive_shop(const Place& place);
int run_naive_payment(const Place& place);
int run_naive_inventory(const Place& place);

}  // namespace leat::orders
