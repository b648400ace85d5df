// Removes published rows from an outbox in PostgreSQL, or marks them, beside whatever else its
// caller does: one statement at a time is under way, and what comes meanwhile waits for the next.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/patterns/relay/pgoutput.h"
#include "client/patterns/sql/postgres.h"

namespace leat::patterns {

// One thread. The database is the caller's only while nothing is under way.
class RowRemoval {
 public:
  RowRemoval(PostgresDatabase& database, bool keep) : database_(database), keep_(keep) {}

  // All of the log up to `whole` is done with once these rows are gone. Those that `transactions`
  // inserted may not be there for statements yet: PostgreSQL's log tells of a commit before others
  // see it, much before where it waits for a standby.
  void add(const std::vector<std::int64_t>& rows, pgoutput::Lsn whole,
           const std::vector<std::uint32_t>& transactions = {});
  // Takes what has come of the statement under way, and begins another if there is one to begin.
  // `most`: returns once no more rows wait than this; 0: until all are gone, and all transactions
  // that were named are seen by everybody. Errors: Database's.
  Result<> advance(std::size_t most = SIZE_MAX);

  pgoutput::Lsn done() const { return done_; }
  bool idle() const { return !removing_.any && !waiting_.any; }
  // Can be read when advance() has something to do.
  int socket() const;

 private:
  struct Rows {
    std::string numbers, transactions;  // joined by commas
    std::size_t count = 0;
    pgoutput::Lsn whole = 0;
    bool any = false;
  };
  Result<> begin();
  Result<bool> ended(bool wait);

  PostgresDatabase& database_;
  bool keep_;
  Rows waiting_, removing_;
  bool under_way_ = false, pausing_ = false, seen_ = false;
  pgoutput::Lsn done_ = 0;
};

}  // namespace leat::patterns
