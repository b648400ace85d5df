// The order service: an order is a row, the first command of its saga and an event about the item,
// all in one transaction. What is committed is published by the relay, whatever dies in between.
#include <atomic>
#include <thread>

#include "client/patterns/saga/saga_orchestrator.h"
#include "client/tracing/tracer.h"
#include "examples/orders/saga.h"
#include "examples/orders/service.h"

namespace leat::orders {
namespace {

using patterns::Database;

constexpr auto kPatience = std::chrono::milliseconds(5);
constexpr std::int64_t kMostOpen = 200;

class Shop {
 public:
  explicit Shop(const Place& place)
      : place_(place),
        database_(open_database(place.shop)),
        outbox_(must(patterns::Outbox::open(*database_), "the outbox")),
        sagas_(open_sagas(*database_)),
        tracer_(must(Tracer::open(trace_options(place, "shop"), "shop"), "tracing")) {}

  // From where it was, whenever it died.
  void take_orders(const std::atomic<bool>& stopping) {
    const auto last = must(database_->execute("SELECT max(id) FROM orders"), "looking");
    for (std::int64_t id = last.integer(0, 0) + 1; id <= place_.orders && !stopping; ++id) {
      while (id % 20 == 0 && is_busy() && !stopping) std::this_thread::sleep_for(kPatience);
      while (!take(id) && !stopping) std::this_thread::sleep_for(kPatience);
    }
  }

 private:
  // So that there are orders still to come when the others die.
  bool is_busy() {
    const auto open = database_->execute("SELECT count(*) FROM orders WHERE state = 'placed'");
    return !open || open->integer(0, 0) >= kMostOpen;
  }

  // One flow and one trace an order: whatever comes of it continues them by itself.
  bool take(std::int64_t id) {
    const std::string name = "order-" + std::to_string(id);
    OpenSpan span = tracer_->start("take " + name, SpanKind::kServer, std::nullopt);
    auto context = std::make_shared<MessageContext>(MessageContext::begin(name));
    context->trace = span.context();
    const MessageScope scope(std::move(context));
    const bool taken = write(id, name);
    if (taken) tracer_->finish(std::move(span));
    return taken;
  }

  // False: somebody else had the database, or it was away. Again.
  bool write(std::int64_t id, const std::string& name) {
    auto transaction = patterns::Transaction::begin(*database_);
    if (!transaction) return false;
    const auto row = database_->execute(
        "INSERT INTO orders (id, item, quantity, cents, state) VALUES ($1, $2, $3, $4, 'placed') "
        "ON CONFLICT DO NOTHING",
        {id, item_of(id), quantity_of(id), cents_of(id)});
    if (row && row->affected() == 0) return true;  // it was committed, and the answer lost
    return row && sell(*database_, outbox_, item_of(id), quantity_of(id)) &&
           sagas_.start("order", name, std::to_string(id)) && transaction->commit();
  }

  const Place& place_;
  std::unique_ptr<Database> database_;
  patterns::Outbox outbox_;
  patterns::SagaOrchestrator sagas_;
  std::shared_ptr<Tracer> tracer_;
};

}  // namespace

int run_shop(const Place& place) {
  block_sigterm();
  std::atomic<bool> stopping{false};
  Shop shop(place);
  std::thread thread([&] { shop.take_orders(stopping); });
  wait_for_sigterm();
  stopping = true;
  thread.join();
  return 0;
}

}  // namespace leat::orders
