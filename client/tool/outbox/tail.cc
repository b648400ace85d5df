// `leat outbox relay --tail`: publishes what PostgreSQL's log tells of the outbox.
#include <atomic>
#include <thread>

#include "client/tool/outbox/outbox.h"
#include "client/tool/patterns/database_option.h"

#ifdef LEAT_WITH_POSTGRES
#include "client/patterns/relay/outbox_tail.h"
#endif

namespace leat::tool {

#ifdef LEAT_WITH_POSTGRES

namespace {

using namespace std::chrono_literals;

std::atomic<patterns::OutboxTail*> g_tail = nullptr;

void stop_tail() {
  if (patterns::OutboxTail* const tail = g_tail.load()) tail->stop();
}

patterns::OutboxTailOptions tail_options(const RelayOptions& given) {
  patterns::OutboxTailOptions options;
  options.slot = {.connection = given.database,
                  .slot = given.slot,
                  .publication = given.publication,
                  .begin_anew = given.begin_anew};
  options.publish.topic = given.topic;
  options.publish.partitions = given.partitions;
  options.rows = static_cast<std::size_t>(given.rows);
  options.keep = given.keep;
  options.on_problem = [](const Error& why) { say_of_relay(why.message() + "; trying again"); };
  options.on_refused = [](const patterns::OutboxRow& row, const Error& why) {
    say_of_relay("event " + std::string(row.id) + " is put aside: " + why.message());
  };
  return options;
}

int remove(const RelayOptions& given, const patterns::SlotOptions& slot) {
  auto database = patterns::PostgresDatabase::open(given.database);
  if (!database) return failed("outbox relay", database.error());
  if (auto ok = patterns::remove_slot(**database, slot); !ok)
    return failed("outbox relay", ok.error());
  say_of_relay("the slot '" + given.slot + "' is removed");
  return 0;
}

// Stopped: an error that is never told.
Result<blocking::Client> connect(const Context& context, bool patient) {
  for (;;) {
    auto client = context.connect();
    if (client || !patient || interrupted() != 0 || !client.error().retryable()) return client;
    say_of_relay("broker: " + client.error().message() + "; trying again");
    std::this_thread::sleep_for(1s);
  }
}

}  // namespace

int tail_outbox(const Context& context, const RelayOptions& given) {
  if (given.database.starts_with("sqlite:") || !is_postgres(given.database))
    return failed("outbox relay", {ErrorCode::kUsage,
                                   "--tail reads PostgreSQL's log; without it "
                                   "the relay polls any database"});
  const patterns::OutboxTailOptions options = tail_options(given);
  if (given.remove_slot) return remove(given, options.slot);
  auto client = connect(context, !given.once);
  if (!client) return interrupted() != 0 ? interrupted() : failed("outbox relay", client.error());
  auto tail = patterns::OutboxTail::open(*client, options);
  if (!tail) return failed("outbox relay", tail.error());
  if (given.once) {
    auto published = (*tail)->run_once();
    if (!published) return failed("outbox relay", published.error());
    say_of_relay(std::to_string(*published) + " published");
    return 0;
  }
  g_tail = tail->get();
  say_of_relay("to " + context.broker + ", from PostgreSQL's log");
  run_until_stopped(stop_tail, [&] { (*tail)->run(); });
  g_tail = nullptr;
  say_of_relay(std::to_string((*tail)->published()) + " published, " +
               std::to_string((*tail)->refused()) + " put aside");
  return interrupted();
}

#else

int tail_outbox(const Context&, const RelayOptions&) {
  return failed(
      "outbox relay",
      {ErrorCode::kUsage, "this program was built without PostgreSQL, whose log --tail reads"});
}

#endif

}  // namespace leat::tool
