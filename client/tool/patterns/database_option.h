// The database that a verb works on, as people name it.
#pragma once

#include <memory>
#include <string>

#include "client/patterns/relay/outbox_wakeup.h"
#include "client/patterns/sql/database.h"

namespace leat::tool {

inline constexpr const char* kDatabaseHelp =
    "sqlite:PATH, or what libpq takes: postgresql://USER@HOST/NAME, \"host=... dbname=...\"";

// Errors: kInvalidAddress (neither, or one that this program was built without), and Database's.
Result<std::unique_ptr<patterns::Database>> open_database(const std::string& address);
// What wakes a relay of its outbox.
std::unique_ptr<patterns::OutboxWakeup> wakeup_of(const std::string& address);

// Whether it is what libpq takes.
bool is_postgres(const std::string& address);

}  // namespace leat::tool
