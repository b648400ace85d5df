// Orchestrated sagas: a business transaction over several services, each with a database of its
// own. The orchestrator asks one after the other; when one refuses, or does not answer, it has
// undone what was done, the last first.
//
//   auto sagas = SagaOrchestrator::open(database, *Outbox::open(database), {order_saga});
//   database.begin();
//   database.execute("INSERT INTO orders …");
//   sagas->start("order", "order-42", json);      // the first command commits with the order
//   database.commit();
//   …
//   ConsumerOptions options{.topics = {"order-saga"}, .kind = GroupKind::kKeyShared};
//   co_await consume_once(client, Group{"order-saga"}, options, *inbox,
//                         [&](const ConsumedRecord& record) { return sagas->on_reply(record); });
//
// State, command, time-out and the inbox's row commit together, and a relay of the outbox publishes
// what was committed; nothing is held in memory, so a crash anywhere loses nothing and repeats
// nothing. Time-outs are delayed records, which shared and key_shared groups wait for: read the
// reply topic as one of those. Several may, with the same definitions.
//
// Between its steps a saga can be seen half done: there is no isolation.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "client/patterns/outbox.h"
#include "client/patterns/saga/saga_definition.h"
#include "client/patterns/saga/saga_logic.h"
#include "client/patterns/saga/saga_store.h"
#include "client/records.h"

namespace leat::patterns {

// Since the orchestrator was opened; what was rolled back afterwards is counted, too.
struct SagaCounts {
  std::uint64_t started = 0;
  std::uint64_t changed = 0;  // by replies and time-outs
  std::uint64_t ignored =
      0;  // replies that came late or twice, time-outs of what had been answered
  std::uint64_t foreign = 0;  // records of no saga of this database
  std::uint64_t completed = 0, compensated = 0, failed = 0;
};

// One thread at a time, as its database.
class SagaOrchestrator {
 public:
  using Now = std::function<Timestamp()>;

  // Makes the tables leat_saga and leat_saga_event unless they are there. `database` outlives the
  // orchestrator. `now`: the wall clock, unless told otherwise.
  // Errors: kInvalidConfig (a definition, or two of one name), kDatabaseSchema (a table of another
  // version), and Database's.
  static Result<SagaOrchestrator> open(Database& database, Outbox outbox,
                                       std::vector<SagaDefinition> definitions, Now now = {});

  // Inside a transaction of the caller's, beside the business row. False: there is a saga of this
  // id, which goes its way; nothing was changed. The context of the thread's MessageScope becomes
  // the saga's: what it sends carries that flow on, beside the saga's id as correlation id.
  // Errors: kInvalidRequest (no transaction, an unfit id, no such definition, the id is that of a
  // saga of another one), kLimitReached (too much data), Outbox's and Database's. Throws what the
  // definition does.
  Result<bool> start(std::string_view definition, std::string_view id, std::string_view data);

  // A record of the reply topic, inside the transaction of the inbox that knows it. What is late,
  // comes twice or is nobody's changes nothing, and is no error.
  // Errors: kDatabaseConflict (somebody else has changed the saga meanwhile: again, in a new
  // transaction), kInvalidConfig (there is no such definition, or it has lost a step; or time-outs
  // come early: see above), and start()'s.
  Result<> on_reply(const ConsumedRecord& record);

  // Forgets at most `most` sagas that were completed or compensated before, in a transaction of its
  // own: how many.
  Result<std::int64_t> clean_up(Timestamp before, std::int64_t most = 100) {
    return store_.clean_up(before, most);
  }

  const SagaCounts& counts() const { return counts_; }
  SagaStore& store() { return store_; }

 private:
  SagaOrchestrator(SagaStore store, Outbox outbox, Now now);
  Result<MaybeSagaDecision> decide(SagaRow row, const SagaAddress& about,
                                   const ConsumedRecord& record);
  Result<const SagaDefinition*> definition_of(const SagaRow& row) const;
  Result<> carry_out(const SagaDefinition& definition, const SagaDecision& decision);
  Result<> send_command(const SagaDecision& decision);
  Result<> ended(const SagaDefinition& definition, const SagaRow& row);

  SagaStore store_;
  Outbox outbox_;
  Now now_;
  std::map<std::string, SagaDefinition, std::less<>> definitions_;
  SagaCounts counts_;
};

// `leat saga retry`: see retried() in saga_logic.h. In a transaction of its own.
// Errors: kNotFound, kInvalidRequest (nothing to try again), and Database's.
Result<SagaRow> retry_saga(SagaStore& store, Outbox& outbox, std::string_view id, Timestamp now);

}  // namespace leat::patterns
