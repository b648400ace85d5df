#include "client/patterns/tables.h"

namespace leat::patterns {
namespace {

constexpr const char* kSchema =
    "CREATE TABLE IF NOT EXISTS leat_schema "
    "(name TEXT PRIMARY KEY, version BIGINT NOT NULL)";

Error wrong_version(const TableSet& tables, std::int64_t found) {
  const std::string name(tables.name);
  return {ErrorCode::kDatabaseSchema,
          "the tables of '" + name + "' have version " + std::to_string(found) +
              ", this program knows version " + std::to_string(tables.version) + ": " +
              (found > tables.version ? "use a program that is as new as they are"
                                      : "migrate them as CHANGELOG.md says")};
}

}  // namespace

Result<> ensure_tables(Database& database, const TableSet& tables) {
  const bool postgres = database.dialect() == SqlDialect::kPostgres;
  auto tx = Transaction::begin(database);
  if (!tx) return fail(tx.error());
  // Several programs may come at once, and PostgreSQL's IF NOT EXISTS is no lock.
  if (postgres)
    if (auto ok =
            database.run_script("SELECT pg_advisory_xact_lock(" + std::to_string(0x6c656174) + ")");
        !ok)
      return ok;
  if (auto ok = database.run_script(kSchema); !ok) return ok;
  auto found = database.execute("SELECT version FROM leat_schema WHERE name = $1", {tables.name});
  if (!found) return fail(found.error());
  if (!found->empty() && found->integer(0, 0) != tables.version)
    return fail(wrong_version(tables, found->integer(0, 0)));
  if (auto ok = database.run_script(postgres ? tables.postgres : tables.sqlite); !ok) return ok;
  if (found->empty()) {
    auto written =
        database.execute("INSERT INTO leat_schema VALUES ($1, $2)", {tables.name, tables.version});
    if (!written) return fail(written.error());
  }
  return tx->commit();
}

}  // namespace leat::patterns
