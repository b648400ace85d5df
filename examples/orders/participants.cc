// Payment and carrier: idempotent consumers that do what the saga asks, and answer through an
// outbox of their own.
#include "client/patterns/saga/saga_participant.h"
#include "examples/orders/service.h"

namespace leat::orders {
namespace {

using patterns::Database;
using patterns::SagaAnswer;
using patterns::SagaTask;

int participate(const Place& place, const std::string& name, const std::string& address,
                Result<SagaAnswer> (*work)(Database&, const SagaTask&)) {
  return consume_until_sigterm(place, name, name, address, [&](Database& database) {
    auto outbox = must(patterns::Outbox::open(database), "the outbox");
    auto side = std::make_shared<patterns::SagaParticipant>(
        must(patterns::SagaParticipant::open(database, outbox, name), name));
    return patterns::record_handler([side, work, &database](const ConsumedRecord& record) {
      return side->handle(record, [&](const SagaTask& task) { return work(database, task); });
    });
  });
}

// A charge has no key of its own: nothing but the inbox keeps a second one out.
Result<SagaAnswer> charge(Database& database, const SagaTask& task) {
  const std::int64_t order = std::stoll(std::string(as_text(task.payload)));
  auto done = database.execute(task.undo ? "INSERT INTO refunds (order_id, cents) VALUES ($1, $2)"
                                         : "INSERT INTO charges (order_id, cents) VALUES ($1, $2)",
                               {order, cents_of(order)});
  if (!done) return fail(done.error());
  return SagaAnswer::ok();
}

Result<SagaAnswer> ship(Database& database, const SagaTask& task) {
  const std::int64_t order = std::stoll(std::string(as_text(task.payload)));
  if (task.undo) return SagaAnswer::ok();
  if (is_refused(order)) return SagaAnswer::failed("nobody goes there");
  auto done = database.execute("INSERT INTO shipments (order_id) VALUES ($1)", {order});
  if (!done) return fail(done.error());
  return SagaAnswer::ok();
}

}  // namespace

int run_payment(const Place& place) {
  return participate(place, "payment", place.payment, charge);
}

int run_carrier(const Place& place) {
  return participate(place, "carrier", place.carrier, ship);
}

}  // namespace leat::orders
