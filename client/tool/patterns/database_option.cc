#include "client/tool/patterns/database_option.h"

#include <filesystem>
#include <string_view>

#ifdef LEAT_WITH_POSTGRES
#include "client/patterns/sql/postgres.h"
#endif
#ifdef LEAT_WITH_SQLITE
#include "client/patterns/sql/sqlite.h"
#endif

namespace leat::tool {
namespace {

constexpr std::string_view kSqlite = "sqlite:";

template <class D>
Result<std::unique_ptr<patterns::Database>> any(Result<std::unique_ptr<D>> database) {
  if (!database) return fail(database.error());
  return std::unique_ptr<patterns::Database>(std::move(*database));
}

}  // namespace

bool is_postgres(const std::string& address) {
  return address.starts_with("postgres://") || address.starts_with("postgresql://") ||
         address.find('=') != std::string::npos;
}

Result<std::unique_ptr<patterns::Database>> open_database(const std::string& address) {
#ifdef LEAT_WITH_SQLITE
  if (address.starts_with(kSqlite) && address.size() > kSqlite.size()) {
    const std::string path = address.substr(kSqlite.size());
    // SQLite would make one, of a name that was mistyped too.
    if (!std::filesystem::exists(path))
      return fail(ErrorCode::kDatabaseUnreachable, "there is no file '" + path + "'");
    return any(patterns::SqliteDatabase::open(path));
  }
#endif
#ifdef LEAT_WITH_POSTGRES
  if (!address.starts_with(kSqlite) && is_postgres(address))
    return any(patterns::PostgresDatabase::open(address));
#endif
  if (address.starts_with(kSqlite) || is_postgres(address))
    return fail(ErrorCode::kInvalidAddress,
                "'" + address + "': this program was built without that database");
  return fail(ErrorCode::kInvalidAddress, "'" + address + "' is none of " + kDatabaseHelp);
}

std::unique_ptr<patterns::OutboxWakeup> wakeup_of(const std::string& address) {
#ifdef LEAT_WITH_SQLITE
  if (address.starts_with(kSqlite)) return patterns::wake_by_wal(address.substr(kSqlite.size()));
#endif
#ifdef LEAT_WITH_POSTGRES
  if (is_postgres(address)) return patterns::wake_by_notifications(address);
#endif
  return patterns::wake_by_time();
}

}  // namespace leat::tool
