// Sagas as rows of a database: where each one is, and how it came there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/patterns/saga/saga_definition.h"
#include "client/patterns/sql/database.h"
#include "client/records.h"

namespace leat::patterns {

struct SagaRow {
  SagaState state;
  std::string definition;
  SagaStatus status = SagaStatus::kRunning;
  bool backs_off = false;         // the next attempt waits for its time; else a reply is waited for
  std::vector<std::string> done;  // steps to be undone if need be, in the order they were done
  std::string why;                // it is compensated, or failed
  std::string reply_to;
  // Of what started it (client/context/message_context.h); empty: none.
  std::string flow, traceparent, tracestate;
  std::int64_t version = 1;  // rises with each change
  Timestamp created, updated;
  Timestamp deadline;  // of what is waited for, until the saga has ended
};

// One change of a saga.
struct SagaEvent {
  std::int64_t version = 1;  // that it made
  Timestamp at;
  std::string what;                          // "started", "ok", "timed out" …
  std::string step;                          // it was about: "charge/2", "charge/1/undo"
  SagaStatus status = SagaStatus::kRunning;  // from then on
  std::string sent;                          // the command that went out with it
  std::string detail;
};

struct SagaFilter {
  std::optional<SagaStatus> status = {};
  std::string definition = {};               // empty: of all
  std::optional<Timestamp> overdue_at = {};  // only those that wait, and should not any more
  std::int64_t most = 100;
};

// One thread at a time, as its database.
class SagaStore {
 public:
  // Makes the tables leat_saga and leat_saga_event unless they are there. `database` outlives the
  // store. Errors: kDatabaseSchema (a table of another version), and Database's.
  static Result<SagaStore> open(Database& database);
  // The same, and kDatabaseSchema where there are none: for those who look.
  static Result<SagaStore> existing(Database& database);

  // Inside a transaction. False: the id is taken, and nothing was changed.
  Result<bool> insert(const SagaRow& row, const SagaEvent& event);
  // Inside a transaction; `row.version` is one more than what was read.
  // Error kDatabaseConflict: somebody else has changed it since.
  Result<> change(const SagaRow& row, const SagaEvent& event);

  Result<std::optional<SagaRow>> find(std::string_view id);
  // Those that were changed last come first; without State::data.
  Result<std::vector<SagaRow>> list(const SagaFilter& filter);
  Result<std::vector<SagaEvent>> history(std::string_view id);

  // Forgets at most `most` that were completed or compensated before, in a transaction of its own:
  // how many. Their ids can be started again, and late replies are foreign.
  Result<std::int64_t> clean_up(Timestamp before, std::int64_t most);

  Database& database() const { return *database_; }

 private:
  explicit SagaStore(Database& database) : database_(&database) {}
  Result<> remember(std::string_view id, const SagaEvent& event);

  Database* database_;
};

}  // namespace leat::patterns
