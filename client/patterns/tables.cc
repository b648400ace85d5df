#include "client/patterns/tables.h"

#include <optional>

namespace leat::patterns {
namespace {

constexpr const char* kSchema =
    "CREATE TABLE IF NOT EXISTS leat_schema "
    "(name TEXT PRIMARY KEY, version BIGINT NOT NULL)";

// The oldest that is brought up to date.
std::int64_t oldest(const TableSet& tables) {
  return tables.version - static_cast<std::int64_t>(tables.upgrades.size());
}

Error wrong_version(const TableSet& tables, std::int64_t found) {
  const std::string name(tables.name);
  return {ErrorCode::kDatabaseSchema,
          "the tables of '" + name + "' have version " + std::to_string(found) +
              ", this program knows version " + std::to_string(tables.version) + ": " +
              (found > tables.version
                   ? "use a program that is as new as they are"
                   : "it brings tables up to date from version " + std::to_string(oldest(tables)) +
                         " on; open them with a release in between first, see CHANGELOG.md")};
}

// Nothing: there are none.
Result<std::optional<std::int64_t>> version_of(Database& database, const TableSet& tables) {
  auto found = database.execute("SELECT version FROM leat_schema WHERE name = $1", {tables.name});
  if (!found) return fail(found.error());
  if (found->empty()) return std::optional<std::int64_t>();
  const std::int64_t version = found->integer(0, 0);
  if (version > tables.version || version < oldest(tables))
    return fail(wrong_version(tables, version));
  return std::optional(version);
}

// What brings them to this version, in one script.
std::string script(const TableSet& tables, std::optional<std::int64_t> from, bool postgres) {
  if (!from) return postgres ? tables.postgres : tables.sqlite;
  std::string script;
  for (std::int64_t missing = tables.version - *from; missing > 0; --missing) {
    const auto& upgrade = tables.upgrades[tables.upgrades.size() - static_cast<size_t>(missing)];
    script += postgres ? upgrade.postgres : upgrade.sqlite;
  }
  return script;
}

Result<> make(Database& database, const TableSet& tables) {
  const bool postgres = database.dialect() == SqlDialect::kPostgres;
  auto tx = Transaction::begin(database);
  if (!tx) return fail(tx.error());
  // Several programs may come at once, and PostgreSQL's IF NOT EXISTS is no lock.
  if (postgres)
    if (auto ok = database.run_script("SELECT pg_advisory_xact_lock(1818583412)"); !ok) return ok;
  if (auto ok = database.run_script(kSchema); !ok) return ok;
  const auto version = version_of(database, tables);
  if (!version) return fail(version.error());
  if (*version == tables.version) return {};
  if (auto ok = database.run_script(script(tables, *version, postgres)); !ok) return ok;
  auto written = database.execute(
      "INSERT INTO leat_schema VALUES ($1, $2) "
      "ON CONFLICT (name) DO UPDATE SET version = excluded.version",
      {tables.name, tables.version});
  if (!written) return fail(written.error());
  return tx->commit();
}

}  // namespace

// Where they are there nothing is locked, for others may be writing to them.
Result<> ensure_tables(Database& database, const TableSet& tables) {
  const auto version = version_of(database, tables);
  if (version && *version == tables.version) return {};
  if (!version && !(version.error() == ErrorCode::kDatabaseSchema)) return fail(version.error());
  return make(database, tables);  // where they have another version, it says so again
}

}  // namespace leat::patterns
