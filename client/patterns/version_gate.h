// Version gates (optimistic concurrency): an event is applied only where its version is greater
// than that of what is stored, so that late and repeated events change nothing.
//
//   if (auto newer = gate.admit("sku-7", event.version); newer && *newer) update_stock(database);
//   record.ack();                                   // also when it was stale
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "client/patterns/sql/database.h"

namespace leat::patterns {

// The versions stand in the table leat_version, and rise in the transaction that applies the event.
// One thread at a time, as its database.
class VersionGate {
 public:
  // `scope` names what is versioned, "stock": several gates share the table. `database` outlives
  // the gate. Errors: kDatabaseSchema, and Database's.
  static Result<VersionGate> open(Database& database, std::string scope);

  // Inside a transaction of the caller's: whether `version` is greater than what is stored for the
  // key, which it is from then on; another transaction with the same key waits for this one.
  // Errors: kInvalidRequest (no transaction), and Database's.
  Result<bool> admit(std::string_view key, std::int64_t version);

  // How many were not greater, since the gate was opened.
  std::uint64_t stale() const { return stale_; }

 private:
  VersionGate(Database& database, std::string scope)
      : database_(&database), scope_(std::move(scope)) {}
  Database* database_;
  std::string scope_;
  std::uint64_t stale_ = 0;
};

// The same for state in memory, as caches and projections that are built anew at every start.
// One thread at a time.
class MemoryVersionGate {
 public:
  // Keys are never forgotten by themselves, for then a stale event would pass.
  explicit MemoryVersionGate(std::size_t most_keys = 1'000'000) : most_(most_keys) {}

  // Error kLimitReached: a key too many; forget() some that are done with.
  Result<bool> admit(std::string_view key, std::int64_t version);
  void forget(std::string_view key);

  std::uint64_t stale() const { return stale_; }
  std::size_t size() const { return versions_.size(); }

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::size_t most_;
  std::unordered_map<std::string, std::int64_t, Hash, std::equal_to<>> versions_;
  std::uint64_t stale_ = 0;
};

}  // namespace leat::patterns
