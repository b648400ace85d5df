// `leat saga ls|show|retry`: sagas of a service, in its own database.
#include "client/tool/saga/saga.h"

#include <cstdio>
#include <iostream>

#include "client/patterns/saga/saga_orchestrator.h"
#include "client/tool/patterns/database_option.h"

namespace leat::tool {
namespace {

using patterns::SagaRow;
using patterns::SagaStatus;
using patterns::SagaStore;

constexpr std::int64_t kMost = 100'000;  // that ls lists at once

struct Arguments {
  std::string database, id, status, definition;
  std::int64_t count = 100;
  bool overdue = false, json = false;
};

Timestamp now() {
  return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

// The database, and what is in it.
struct Opened {
  std::unique_ptr<patterns::Database> database;
  SagaStore store;
};
Result<Opened> open(const std::string& address) {
  auto database = open_database(address);
  if (!database) return fail(database.error());
  auto store = SagaStore::existing(**database);
  if (!store) return fail(store.error());
  return Opened{std::move(*database), *store};
}

void write(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

int ls(const Arguments& arguments) {
  auto sagas = open(arguments.database);
  if (!sagas) return failed("saga ls", sagas.error());
  patterns::SagaFilter filter{.status = patterns::saga_status(arguments.status),
                              .definition = arguments.definition,
                              .most = arguments.count + 1};
  if (arguments.overdue) filter.overdue_at = now();
  auto rows = sagas->store.list(filter);
  if (!rows) return failed("saga ls", rows.error());
  const bool more = rows->size() > static_cast<std::size_t>(arguments.count);
  if (more) rows->pop_back();
  if (arguments.json) {
    std::string all;
    for (const SagaRow& row : *rows) all += (all.empty() ? "" : ",") + saga_json(row);
    print_json("sagas", "[" + all + "]");
  } else {
    for (const SagaRow& row : *rows) write(saga_line(row));
  }
  if (more) {
    std::fflush(stdout);
    std::cerr << "leat: there are more than " << arguments.count << ": see --count\n";
  }
  return 0;
}

int show(const Arguments& arguments) {
  auto sagas = open(arguments.database);
  if (!sagas) return failed("saga show", sagas.error());
  auto row = sagas->store.find(arguments.id);
  if (!row) return failed("saga show", row.error());
  if (!*row) return failed("saga show", Error(ErrorCode::kNotFound, "saga '" + arguments.id + "'"));
  auto history = sagas->store.history(arguments.id);
  if (!history) return failed("saga show", history.error());
  if (arguments.json) return print_json("saga", saga_json_with_data(**row, *history));
  write(saga_text(**row) + "\n");
  for (const patterns::SagaEvent& event : *history) write(saga_event_line(event));
  return 0;
}

int retry(const Arguments& arguments) {
  auto sagas = open(arguments.database);
  if (!sagas) return failed("saga retry", sagas.error());
  auto outbox = patterns::Outbox::open(*sagas->database);
  if (!outbox) return failed("saga retry", outbox.error());
  auto row = patterns::retry_saga(sagas->store, *outbox, arguments.id, now());
  if (!row) return failed("saga retry", row.error());
  std::cerr << "leat: saga '" << arguments.id << "' goes on with " << row->state.step
            << " once the relay has published and its service has read that\n";
  return 0;
}

CLI::App* add(CLI::App& app, Run& run, const char* name, const char* description,
              int (*verb)(const Arguments&), const std::shared_ptr<Arguments>& arguments) {
  CLI::App* const added = app.add_subcommand(name, description);
  added->add_option("--database", arguments->database, kDatabaseHelp)
      ->required()
      ->type_name("DATABASE");
  added->callback([&run, verb, arguments] { run = [=] { return verb(*arguments); }; });
  return added;
}

}  // namespace

void add_saga_ls(CLI::App& app, Run& run) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* const verb = add(app, run, "ls", "sagas, those that changed last first", ls, arguments);
  verb->add_option("--status", arguments->status, "only those that are")
      ->check(CLI::IsMember({"running", "compensating", "completed", "compensated", "failed"}));
  verb->add_option("--definition", arguments->definition, "only those of this name");
  verb->add_flag("--overdue", arguments->overdue,
                 "only those that wait for something that should have come");
  verb->add_option("-n,--count", arguments->count, "at most so many (default: 100)")
      ->check(CLI::Range(std::int64_t(1), kMost));
  verb->add_flag("--json", arguments->json, "for scripts");
}

void add_saga_show(CLI::App& app, Run& run) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* const verb = add(app, run, "show", "one saga, and how it came there", show, arguments);
  verb->add_option("id", arguments->id, "of the saga")->required();
  verb->add_flag("--json", arguments->json, "for scripts");
}

void add_saga_retry(CLI::App& app, Run& run) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* const verb =
      add(app, run, "retry", "have one go on that has failed, or waits in vain", retry, arguments);
  verb->add_option("id", arguments->id, "of the saga")->required();
}

}  // namespace leat::tool
