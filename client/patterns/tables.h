// Tables of the patterns: made where they are missing, brought up where they are older and it is
// known how, and refused where they are of another version. leat_schema says which are there.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "client/patterns/sql/database.h"

namespace leat::patterns {

struct TableSet {
  struct Upgrade {
    std::string sqlite, postgres;
  };
  std::string_view name;  // "inbox"
  std::int64_t version;
  std::string sqlite, postgres;        // CREATE TABLE IF NOT EXISTS …
  std::vector<Upgrade> upgrades = {};  // to `version`, each from the one before
};

// Error kDatabaseSchema: another version, with what to do.
Result<> ensure_tables(Database& database, const TableSet& tables);

}  // namespace leat::patterns
