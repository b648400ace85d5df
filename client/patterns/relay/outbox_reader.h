// What relays read of an outbox by polling, and what they write down, so that every event is
// published once, in the order of its aggregate, however many relays there are and wherever one
// dies.
//
// A lane's aggregates are published by one relay at a time, which has leased it. It takes rows in
// rounds: in one transaction the rows of the last round are deleted, those of the next are chosen,
// and their numbers are written into the lane's row with the round's. What is published carries
// (round, number of the row) as its position in the source, of which the broker stores each once
// and in order, by lane. Whoever leases a lane after a crash finds the open round and publishes the
// same again.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "client/patterns/relay/outbox_row.h"
#include "client/patterns/sql/database.h"

namespace leat::patterns {

struct OutboxReaderOptions {
  std::string name;           // of the relay, different from others'
  std::int64_t rows = 2'000;  // at most in a round
  std::chrono::milliseconds lease{10'000};
  bool keep = false;  // mark published rows instead of deleting them
};

// What a lane publishes next.
struct OutboxRound {
  int lane = 0;
  std::int64_t number = 0;
  bool again = false;  // it was open already: parts of it may be published
  std::vector<OutboxRow> rows;
};

// A row that can never be published, and why.
struct RefusedRow {
  std::int64_t sequence;
  std::string why;
};

// One thread at a time, as its database.
class OutboxReader {
 public:
  // Reads an outbox that is there; `database` outlives the reader, which alone uses it and, of
  // PostgreSQL, changes how its sessions plan.
  // Errors: kDatabaseSchema (no outbox, or of another version), and Database's.
  static Result<OutboxReader> open(Database& database, OutboxReaderOptions options);

  // The outbox's own id, a UUID: part of the names of its sources.
  const std::string& identity() const { return identity_; }

  // Takes leases, gives back what others should have; to be called at least every third of
  // `lease`. Between rounds.
  Result<> renew_leases();
  std::size_t lanes() const { return leased_.size(); }
  // Who has them all, where there is none for this relay: kDatabaseConflict, for people. Else kOk.
  const Error& held_by_others() const { return held_by_others_; }

  // Marks or deletes the rows of the rounds that were given before, but for those refused, which
  // stay with the reason, and those of lanes that are `unfinished`, whose round is given again; and
  // gives the next, whose rows are good until the call after. Nothing: there is none.
  Result<std::vector<OutboxRound>> next(const std::vector<RefusedRow>& refused = {},
                                        const std::set<int>& unfinished = {});
  // Some committed rows wait for transactions that are older: look again soon. They may have
  // written rows that come before.
  bool waits_for_others() const { return waits_for_others_; }

  // Gives the leases back, and what was given by next() is not done.
  void release();

 private:
  struct Lane {
    std::int64_t round = 0;
    std::string open;  // the numbers of the rows, joined by commas
  };
  OutboxReader(Database& database, OutboxReaderOptions options)
      : database_(&database), options_(std::move(options)) {}
  Result<> read_identity();
  Result<> lease(std::int64_t now);
  Result<std::int64_t> share(std::int64_t now);
  struct Statements;
  void finish(const std::vector<int>& lanes, const std::vector<RefusedRow>& refused,
              Statements& into);
  void choose(Statements& into) const;
  Result<std::vector<OutboxRound>> begin(const std::vector<int>& finished,
                                         const std::vector<RefusedRow>& refused);
  bool any_open() const;
  Result<std::vector<OutboxRound>> reopened();
  std::vector<OutboxRound> make_rounds();
  Result<> write_down();
  bool postgres() const { return database_->dialect() == SqlDialect::kPostgres; }
  void note_holders(const SqlRows& lanes);
  std::string lane_list() const;
  std::string list_of(const std::string& numbers) const;  // as the database takes them

  Database* database_;
  OutboxReaderOptions options_;
  std::string identity_;
  std::map<int, Lane> leased_;
  std::vector<int> given_;  // lanes whose round was given and is not done
  std::set<int> changed_;   // lanes whose row is to be written
  SqlRows chosen_;          // what the rounds given lie in
  std::vector<SqlRows> again_;
  bool waits_for_others_ = false;
  Error held_by_others_ = ErrorCode::kOk;
};

}  // namespace leat::patterns
