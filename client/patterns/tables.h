// Tables of the patterns: made where they are missing, and refused where they are of another
// version. leat_schema says which are there.
#pragma once

#include <string>
#include <string_view>

#include "client/patterns/sql/database.h"

namespace leat::patterns {

struct TableSet {
  std::string_view name;  // "inbox"
  std::int64_t version;
  std::string sqlite, postgres;  // CREATE TABLE IF NOT EXISTS …
};

// Error kDatabaseSchema: another version, with what to do.
Result<> ensure_tables(Database& database, const TableSet& tables);

}  // namespace leat::patterns
