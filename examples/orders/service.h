// What the services share: their database, their client, the loop of an idempotent consumer, and an
// end when SIGTERM comes.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "client/client.h"
#include "client/patterns/consume_once.h"
#include "client/patterns/outbox.h"
#include "client/patterns/sql/database.h"
#include "examples/orders/place.h"

namespace leat::orders {

// A path is SQLite's, anything else PostgreSQL's.
std::unique_ptr<patterns::Database> open_database(const std::string& address);
std::string text_of(const ConsumedRecord& record);

TraceOptions trace_options(const Place& place, const std::string& service);
ClientOptions client_options(const Place& place, const std::string& service);

// Waits for the broker, which may be away just then.
Client connect(const Place& place, const std::string& service);

// SIGTERM is waited for, and nothing else happens to the process because of it. Before any thread.
void block_sigterm();
void wait_for_sigterm();

// Consumes a topic, each record once with its effect, until SIGTERM. `make` makes the handler, on
// the thread that uses the database.
int consume_until_sigterm(const Place& place, const std::string& service, const std::string& topic,
                          const std::string& address,
                          const std::function<patterns::RecordHandler(patterns::Database&)>& make);

}  // namespace leat::orders
