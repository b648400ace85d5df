// `leat outbox relay`: publishes what a database's outbox holds, until it is told to stop.
#include <atomic>
#include <cstdio>
#include <iostream>
#include <thread>

#include <signal.h>

#include "client/patterns/relay/outbox_relay.h"
#include "client/tool/outbox/outbox.h"
#include "client/tool/patterns/database_option.h"

namespace leat::tool {
namespace {

using namespace std::chrono_literals;

std::atomic<patterns::OutboxRelay*> g_relay = nullptr;
std::atomic<void (*)()> g_stop = nullptr;

// run_program()'s handler notes the signal, too, by which what has not begun ends.
void stop_on(int signal) {
  if (void (*const stop)() = g_stop.load()) stop();
  note_signal(signal);
}

void stop_relay() {
  if (patterns::OutboxRelay* const relay = g_relay.load()) relay->stop();
}

void say(const std::string& line) {
  say_of_relay(line);
}

patterns::OutboxRelayOptions relay_options(const RelayOptions& given) {
  patterns::OutboxRelayOptions options;
  options.name = given.name;
  options.publish.topic = given.topic;
  options.publish.partitions = given.partitions;
  options.rows = given.rows;
  options.lease = std::chrono::milliseconds(given.lease_ms);
  options.look_again = std::chrono::milliseconds(given.look_again_ms);
  options.keep = given.keep;
  options.on_problem = [](const Error& why) { say(why.message() + "; trying again"); };
  options.on_refused = [](const patterns::OutboxRow& row, const Error& why) {
    say("event " + std::string(row.id) + " is put aside: " + why.message());
  };
  return options;
}

// Neither the broker nor the database need be there already.
template <class Open>
auto patiently(const char* doing, bool patient, Open open) {
  for (;;) {
    auto opened = open();
    if (opened || !patient || interrupted() != 0 || !opened.error().retryable()) return opened;
    say(std::string(doing) + ": " + opened.error().message() + "; trying again");
    std::this_thread::sleep_for(1s);
  }
}

int relay(const Context& context, const RelayOptions& given) {
  if (given.tail) return tail_outbox(context, given);
  auto database = patiently("database", !given.once, [&] { return open_database(given.database); });
  if (!database)
    return interrupted() != 0 ? interrupted() : failed("outbox relay", database.error());
  auto client = patiently("broker", !given.once, [&] { return context.connect(); });
  if (!client) return interrupted() != 0 ? interrupted() : failed("outbox relay", client.error());
  // By now the database may be gone again, and wants another connection.
  auto relay = patiently("database", !given.once, [&] {
    auto opened = patterns::OutboxRelay::open(*client, **database, wakeup_of(given.database),
                                              relay_options(given));
    if (!opened && opened.error() == ErrorCode::kDatabaseUnreachable)
      if (auto again = open_database(given.database); again) database = std::move(again);
    return opened;
  });
  if (!relay) return interrupted() != 0 ? interrupted() : failed("outbox relay", relay.error());
  if (given.once) {
    auto published = (*relay)->run_once();
    if (!published) return failed("outbox relay", published.error());
    say(std::to_string(*published) + " published");
    return 0;
  }
  g_relay = relay->get();
  say("to " + context.broker);
  run_until_stopped(stop_relay, [&] { (*relay)->run(); });
  g_relay = nullptr;
  say(std::to_string((*relay)->published()) + " published, " + std::to_string((*relay)->refused()) +
      " put aside");
  return interrupted();
}

}  // namespace

void say_of_relay(const std::string& line) {
  std::cerr << "leat outbox relay: " << line << "\n";
}

void run_until_stopped(void (*stop)(), const std::function<void()>& run) {
  g_stop = stop;
  struct sigaction action {};
  action.sa_handler = stop_on;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  if (interrupted() == 0) run();
  g_stop = nullptr;
}

void add_relay(CLI::App& app, Context& context, Run& run) {
  auto* verb = app.add_subcommand(
      "relay", "publish what is committed to the outbox, each event once, until Ctrl-C");
  auto given = std::make_shared<RelayOptions>();
  verb->add_option("--database", given->database, kDatabaseHelp)->required();
  verb->add_option("--topic", given->topic,
                   "where events go: {aggregatetype} and {type} are replaced by the row's "
                   "(default: {aggregatetype})");
  verb->add_option("--partitions", given->partitions,
                   "of topics that are not there yet; 0: do not make them (default: 1)")
      ->check(CLI::Range(0, 10'000));
  verb->add_option("--name", given->name, "among the relays of the outbox (default: a new one)");
  verb->add_option("--rows", given->rows, "at most in a round (default: 2000)")
      ->check(CLI::Range(1, 100'000));
  verb->add_option("--lease", given->lease_ms,
                   "a relay that is silent for so long is taken for dead (default: 10s)")
      ->transform(durations())
      ->type_name("TIME");
  verb->add_option("--look-again", given->look_again_ms,
                   "at least so often, however quiet it is (default: 1s)")
      ->transform(durations())
      ->type_name("TIME");
  verb->add_flag("--keep", given->keep, "mark published rows (published_ms) instead of deleting");
  verb->add_flag("--once", given->once, "publish what there is, and end");
  auto* tail = verb->add_flag("--tail", given->tail,
                              "read PostgreSQL's log instead of polling: one relay at a time");
  verb->add_option("--slot", given->slot, "the replication slot (default: leat_outbox)")
      ->needs(tail);
  verb->add_option("--publication", given->publication, "(default: leat_outbox)")->needs(tail);
  verb->add_flag("--begin-anew", given->begin_anew,
                 "where the slot is gone or given up: make another, publish all that is there")
      ->needs(tail);
  verb->add_flag("--remove-slot", given->remove_slot,
                 "no longer read the log: remove slot and publication, let relays poll")
      ->needs(tail);
  verb->callback([&, given] { run = [&context, given] { return relay(context, *given); }; });
}

}  // namespace leat::tool
