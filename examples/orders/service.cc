#include "examples/orders/service.h"

#include <iostream>
#include <thread>

#include <signal.h>

#include <asio.hpp>

#include "client/patterns/sql/sqlite.h"
#ifdef LEAT_ORDERS_POSTGRES
#include "client/patterns/sql/postgres.h"
#endif

namespace leat::orders {
namespace {

using namespace std::chrono_literals;

sigset_t sigterm() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  return signals;
}

asio::awaitable<void> consume(Client& client, const std::string& group, ConsumerOptions options,
                              patterns::Inbox& inbox, patterns::RecordHandler handler) {
  patterns::ConsumeOnceOptions once;
  once.patience = 20s;  // while others have the database's lock
  once.on_failure = [](const ConsumedRecord& record, const Error& why) {
    std::cerr << "offset " << record.offset.value << ": " << why.message() << "\n";
  };
  for (;;) {
    const Result<> ended =
        co_await patterns::consume_once(client, Group{group}, options, inbox, handler, once);
    if (ended || ended.error() == ErrorCode::kShuttingDown) co_return;
    std::cerr << group << ": " << ended.error().message() << "\n";
  }
}

}  // namespace

std::unique_ptr<patterns::Database> open_database(const std::string& address) {
  if (address.starts_with('/'))
    return must(patterns::SqliteDatabase::open(address, 20s), "opening " + address);
#ifdef LEAT_ORDERS_POSTGRES
  return must(patterns::PostgresDatabase::open(address), "opening " + address);
#else
  throw std::runtime_error("built without PostgreSQL (libpq)");
#endif
}

std::string text_of(const ConsumedRecord& record) {
  return std::string(as_text(record.value.value_or(Bytes())));
}

TraceOptions trace_options(const Place& place, const std::string& service) {
  return {.endpoint = "file://" + place.directory + "/traces." + service,
          .service_name = service,
          .sample = place.sample,
          .interval = 20ms};
}

ClientOptions client_options(const Place& place, const std::string& service) {
  ClientOptions options{.broker = place.broker, .client_name = service};
  options.max_backoff = 100ms;
  options.trace = trace_options(place, service);
  options.trace.sample = 0;  // a trace begins with an order, nowhere else
  return options;
}

void block_sigterm() {
  const sigset_t signals = sigterm();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

void wait_for_sigterm() {
  const sigset_t signals = sigterm();
  int signal = 0;
  ::sigwait(&signals, &signal);
}

int consume_until_sigterm(const Place& place, const std::string& service, const std::string& topic,
                          const std::string& address,
                          const std::function<patterns::RecordHandler(patterns::Database&)>& make) {
  block_sigterm();
  asio::io_context io;
  std::thread thread([&] {
    const auto database = open_database(address);
    auto inbox = must(patterns::Inbox::open(*database, {.consumer = service}), "the inbox");
    const patterns::RecordHandler handler = make(*database);
    Client client = connect(place, service);
    ConsumerOptions options{.topics = {topic}, .kind = GroupKind::kKeyShared};
    options.prefetch_records = 200;
    options.max_backoff = 200ms;
    asio::co_spawn(io, consume(client, service, options, inbox, handler), asio::detached);
    io.run();
  });
  wait_for_sigterm();
  io.stop();
  thread.join();
  return 0;
}

// Again and again while there is no broker.
Client connect(const Place& place, const std::string& service) {
  for (;;) {
    try {
      return Client::connect(client_options(place, service), asio::use_future).get();
    } catch (const std::system_error& error) {
      if (!retryable(error.code())) throw;
      std::this_thread::sleep_for(20ms);
    }
  }
}

}  // namespace leat::orders
