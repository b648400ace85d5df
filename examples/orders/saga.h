// The saga of an order: it is charged, then shipped; where the carrier refuses, what was charged is
// given back, and the goods are in stock again.
#pragma once

#include "client/patterns/outbox.h"
#include "client/patterns/saga/saga_orchestrator.h"

namespace leat::orders {

patterns::SagaOrchestrator open_sagas(patterns::Database& database);

// So many of an item go, or come back: its row, and an event with its new version, in the caller's
// transaction.
Result<> sell(patterns::Database& database, patterns::Outbox& outbox, std::int64_t item,
              std::int64_t quantity);

}  // namespace leat::orders
