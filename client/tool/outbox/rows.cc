// `leat outbox ls|retry`: what waits in an outbox, and what was put aside.
#include <cstdio>
#include <string>

#include "client/patterns/outbox_tables.h"
#include "client/tool/outbox/outbox.h"
#include "client/tool/patterns/database_option.h"
#include "client/tool/record_format.h"

namespace leat::tool {
namespace {

// Whoever tails the log is told of rows that are inserted, and of no others.
constexpr const char* kIsTailed =
    "SELECT count(*) FROM leat_outbox_lane WHERE relay = 'log tailing'";
constexpr const char* kInsertAgain =
    "WITH gone AS (DELETE FROM leat_outbox WHERE failed IS NOT NULL AND (CAST($1 AS BIGINT) = 0 OR "
    "sequence = $1) RETURNING *) INSERT INTO leat_outbox (id, aggregatetype, aggregateid, type, "
    "payload, headers, traceparent, deliver_at_ms) SELECT id, aggregatetype, aggregateid, type, "
    "payload, headers, traceparent, deliver_at_ms FROM gone ORDER BY sequence";
constexpr const char* kWaiting =
    "SELECT count(*), coalesce(min(sequence), 0), coalesce(max(sequence), 0) FROM leat_outbox "
    "WHERE published_ms IS NULL AND failed IS NULL";

std::string quoted(std::string_view text) {
  std::string out;
  append_string(out, text);
  return out;
}

Result<std::unique_ptr<patterns::Database>> open_outbox(const std::string& address) {
  auto database = open_database(address);
  if (!database) return fail(database.error());
  auto version = (*database)->execute("SELECT version FROM leat_schema WHERE name = 'outbox'");
  if (!version || version->empty())
    return fail(ErrorCode::kNotFound,
                "there is no outbox in it: Outbox::open() makes one, or leat outbox relay");
  if (auto ok = patterns::ensure_tables(**database, patterns::outbox_tables()); !ok)
    return fail(ok.error());
  return database;
}

int ls(const std::string& address, bool json) {
  auto database = open_outbox(address);
  if (!database) return failed("outbox ls", database.error());
  auto waiting = (*database)->execute(kWaiting);
  if (!waiting) return failed("outbox ls", waiting.error());
  const bool postgres = (*database)->dialect() == patterns::SqlDialect::kPostgres;
  auto aside = (*database)->execute(
      std::string("SELECT sequence, ") + (postgres ? "id::text" : "id") +
      ", aggregatetype, aggregateid, type, failed FROM leat_outbox WHERE failed IS NOT NULL "
      "ORDER BY sequence LIMIT 1000");
  if (!aside) return failed("outbox ls", aside.error());
  if (!json) {
    std::printf("waiting %lld\naside   %zu\n", static_cast<long long>(waiting->integer(0, 0)),
                aside->size());
    for (std::size_t i = 0; i < aside->size(); ++i)
      std::printf("%lld  %s  %s/%s  %s\n    %s\n", static_cast<long long>(aside->integer(i, 0)),
                  std::string(aside->text(i, 1)).c_str(), std::string(aside->text(i, 2)).c_str(),
                  std::string(aside->text(i, 3)).c_str(), std::string(aside->text(i, 4)).c_str(),
                  std::string(aside->text(i, 5)).c_str());
    return 0;
  }
  std::string rows;
  for (std::size_t i = 0; i < aside->size(); ++i)
    rows += (i == 0 ? "" : ",") + std::string("{\"sequence\":") +
            std::to_string(aside->integer(i, 0)) + ",\"id\":" + quoted(aside->text(i, 1)) +
            ",\"aggregate_type\":" + quoted(aside->text(i, 2)) +
            ",\"aggregate_id\":" + quoted(aside->text(i, 3)) +
            ",\"type\":" + quoted(aside->text(i, 4)) + ",\"reason\":" + quoted(aside->text(i, 5)) +
            "}";
  return print_json("outbox", "{\"waiting\":" + std::to_string(waiting->integer(0, 0)) +
                                  ",\"aside\":[" + rows + "]}");
}

int retry(const std::string& address, std::int64_t sequence) {
  auto database = open_outbox(address);
  if (!database) return failed("outbox retry", database.error());
  auto tailed = (*database)->execute(kIsTailed);
  if (!tailed) return failed("outbox retry", tailed.error());
  auto again = (*database)->execute(
      tailed->integer(0, 0) > 0
          ? kInsertAgain
          : "UPDATE leat_outbox SET failed = NULL WHERE failed IS NOT NULL AND (CAST($1 AS BIGINT) "
            "= 0 OR sequence = $1)",
      {sequence});
  if (!again) return failed("outbox retry", again.error());
  std::fprintf(stderr, "%lld to be published again\n", static_cast<long long>(again->affected()));
  return again->affected() == 0 && sequence != 0 ? 4 : 0;
}

}  // namespace

void add_outbox_ls(CLI::App& app, Run& run) {
  auto* verb = app.add_subcommand("ls", "how much waits, and what was put aside, with the reason");
  auto database = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  verb->add_option("--database", *database, kDatabaseHelp)->required();
  verb->add_flag("--json", *json, "for scripts");
  verb->callback([&, database, json] { run = [database, json] { return ls(*database, *json); }; });
}

void add_outbox_retry(CLI::App& app, Run& run) {
  auto* verb = app.add_subcommand("retry", "have what was put aside published again");
  auto database = std::make_shared<std::string>();
  auto sequence = std::make_shared<std::int64_t>(0);
  verb->add_option("--database", *database, kDatabaseHelp)->required();
  verb->add_option("--sequence", *sequence, "only this row (default: all)");
  verb->callback([&, database, sequence] { run = [=] { return retry(*database, *sequence); }; });
}

}  // namespace leat::tool
