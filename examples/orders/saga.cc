#include "examples/orders/saga.h"

#include "examples/orders/service.h"

namespace leat::orders {
namespace {

using patterns::Database;
using patterns::SagaCommand;
using patterns::SagaState;
using patterns::SagaStatus;

// The order's last word, in the transaction that ends its saga.
Result<> end(Database& database, patterns::Outbox outbox, const SagaState& saga,
             SagaStatus status) {
  const std::int64_t order = std::stoll(saga.data);
  const bool shipped = status == SagaStatus::kCompleted;
  const std::string_view state = shipped                              ? "shipped"
                                 : status == SagaStatus::kCompensated ? "cancelled"
                                                                      : "stuck";
  auto changed = database.execute("UPDATE orders SET state = $1 WHERE id = $2", {state, order});
  if (!changed) return fail(changed.error());
  if (status != SagaStatus::kCompensated) return {};
  return sell(database, outbox, item_of(order), -quantity_of(order));
}

}  // namespace

patterns::SagaOrchestrator open_sagas(Database& database) {
  const auto outbox = must(patterns::Outbox::open(database), "the outbox");
  patterns::SagaDefinition order{.name = "order",
                                 .reply_to = "order-saga",
                                 .steps = {{.name = "charge",
                                            .command =
                                                [](const SagaState& saga) {
                                                  return SagaCommand{"payment", saga.data};
                                                },
                                            .compensation =
                                                [](const SagaState& saga) {
                                                  return SagaCommand{"payment", saga.data};
                                                },
                                            .timeout = std::chrono::minutes(10)},
                                           {.name = "ship",
                                            .command =
                                                [](const SagaState& saga) {
                                                  return SagaCommand{"carrier", saga.data};
                                                },
                                            .timeout = std::chrono::minutes(10)}}};
  order.on_end = [outbox](Database& at, const SagaState& saga, SagaStatus status) {
    return end(at, outbox, saga, status);
  };
  return must(patterns::SagaOrchestrator::open(database, outbox, {std::move(order)}), "the sagas");
}

Result<> sell(Database& database, patterns::Outbox& outbox, std::int64_t item,
              std::int64_t quantity) {
  auto changed = database.execute(
      "UPDATE items SET sold = sold + $1, version = version + 1 WHERE item = $2", {quantity, item});
  if (!changed) return fail(changed.error());
  auto row = database.execute("SELECT version, sold FROM items WHERE item = $1", {item});
  if (!row) return fail(row.error());
  const std::string name = std::to_string(item);
  const std::string payload =
      name + " " + std::to_string(row->integer(0, 0)) + " " + std::to_string(row->integer(0, 1));
  auto added = outbox.add({.aggregate_type = "items",
                           .aggregate_id = name,
                           .type = "ItemSold",
                           .payload = bytes(payload)});
  if (!added) return fail(added.error());
  return {};
}

int run_saga(const Place& place) {
  return consume_until_sigterm(place, "saga", "order-saga", place.shop, [](Database& database) {
    auto sagas = std::make_shared<patterns::SagaOrchestrator>(open_sagas(database));
    return patterns::record_handler(
        [sagas](const ConsumedRecord& record) { return sagas->on_reply(record); });
  });
}

}  // namespace leat::orders
