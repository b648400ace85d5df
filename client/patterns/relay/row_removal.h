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

  // All of the log up to `whole` is done with once these rows are gone.
  void add(const std::vector<std::int64_t>& rows, pgoutput::Lsn whole);
  // Takes what has come of the statement under way, and begins another if there is one to begin.
  // `most`: returns once no more rows wait than this; 0: until all are gone. Errors: Database's.
  Result<> advance(std::size_t most = SIZE_MAX);

  pgoutput::Lsn done() const { return done_; }
  bool idle() const { return !under_way_ && rows_ == 0; }
  // Can be read when advance() has something to do.
  int socket() const;

 private:
  Result<> begin();
  Result<bool> ended(bool wait);

  PostgresDatabase& database_;
  bool keep_;
  bool under_way_ = false;
  std::string waiting_;  // the numbers of rows, joined by commas
  std::size_t rows_ = 0;
  pgoutput::Lsn waiting_whole_ = 0, removed_whole_ = 0, done_ = 0;
};

}  // namespace leat::patterns
