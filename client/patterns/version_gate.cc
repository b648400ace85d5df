#include "client/patterns/version_gate.h"

#include "client/patterns/tables.h"

namespace leat::patterns {
namespace {

const TableSet kVersionTables = {.name = "version",
                                 .version = 1,
                                 .sqlite = R"(
CREATE TABLE IF NOT EXISTS leat_version (
  scope TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL,
  PRIMARY KEY (scope, key)) WITHOUT ROWID;
)",
                                 .postgres = R"(
CREATE TABLE IF NOT EXISTS leat_version (
  scope TEXT NOT NULL, key TEXT NOT NULL, version BIGINT NOT NULL,
  PRIMARY KEY (scope, key));
)"};

}  // namespace

Result<VersionGate> VersionGate::open(Database& database, std::string scope) {
  if (auto ok = ensure_tables(database, kVersionTables); !ok) return fail(ok.error());
  return VersionGate(database, std::move(scope));
}

Result<bool> VersionGate::admit(std::string_view key, std::int64_t version) {
  if (!database_->in_transaction())
    return fail(ErrorCode::kInvalidRequest,
                "admit() belongs into the transaction that applies the event: begin() first");
  auto rows = database_->execute(
      "INSERT INTO leat_version AS known (scope, key, version) VALUES ($1, $2, $3) "
      "ON CONFLICT (scope, key) DO UPDATE SET version = excluded.version "
      "WHERE known.version < excluded.version",
      {scope_, key, version});
  if (!rows) return fail(rows.error());
  const bool newer = rows->affected() > 0;
  if (!newer) ++stale_;
  return newer;
}

Result<bool> MemoryVersionGate::admit(std::string_view key, std::int64_t version) {
  const auto known = versions_.find(key);
  if (known == versions_.end()) {
    if (versions_.size() >= most_)
      return fail(ErrorCode::kLimitReached, std::to_string(most_) +
                                                " keys are known: forget() those that are done "
                                                "with, or allow more");
    versions_.emplace(key, version);
    return true;
  }
  if (version <= known->second) {
    ++stale_;
    return false;
  }
  known->second = version;
  return true;
}

void MemoryVersionGate::forget(std::string_view key) {
  if (const auto known = versions_.find(key); known != versions_.end()) versions_.erase(known);
}

}  // namespace leat::patterns
