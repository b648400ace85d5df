// The relay: what the services have committed to their outboxes goes to the broker, each event
// once.
#include <iostream>
#include <thread>

#include "client/blocking.h"
#include "client/patterns/relay/outbox_relay.h"
#include "examples/orders/service.h"

namespace leat::orders {
namespace {

class Relay {
 public:
  Relay(const blocking::Client& client, const std::string& address)
      : database_(open_database(address)) {
    patterns::OutboxRelayOptions options;
    options.publish.partitions = 4;
    options.name = "relay";  // the only one: it comes back to what it had leased
    options.on_problem = [](const Error& why) { std::cerr << why.message() << "\n"; };
    relay_ = must(patterns::OutboxRelay::open(client, *database_, wakeup(address), options),
                  "the relay of " + address);
    thread_ = std::thread([this] { relay_->run(); });
  }
  ~Relay() {
    relay_->stop();
    thread_.join();
  }

 private:
  static std::unique_ptr<patterns::OutboxWakeup> wakeup(const std::string& address) {
    if (address.starts_with('/')) return patterns::wake_by_wal(address);
#ifdef LEAT_ORDERS_POSTGRES
    return patterns::wake_by_notifications(address);
#else
    return patterns::wake_by_time();
#endif
  }

  std::unique_ptr<patterns::Database> database_;
  std::unique_ptr<patterns::OutboxRelay> relay_;
  std::thread thread_;
};

}  // namespace

int run_relay(const Place& place) {
  block_sigterm();
  const blocking::Client client(connect(place, "relay"));
  const Relay shop(client, place.shop), payment(client, place.payment),
      carrier(client, place.carrier);
  wait_for_sigterm();
  return 0;
}

}  // namespace leat::orders
