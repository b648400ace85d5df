// The replication slot and the publication through which an outbox is read from PostgreSQL's log:
// made where they are missing, looked at before each start, each thing that is wrong told with what
// to do about it.
//
// A slot tells what commits after it was made. What is in the table by then, its backlog, is read
// as a snapshot of that moment shows it, which is written down in leat_outbox_tail before anything
// is published; so a relay may die anywhere. From then on the lanes of the outbox are not for
// relays that poll.
#pragma once

#include <cstdint>
#include <string>

#include "client/patterns/relay/pgoutput.h"
#include "client/patterns/sql/postgres.h"

namespace leat::patterns {

struct SlotOptions {
  std::string connection;  // libpq's, of a role that may replicate and owns the outbox
  std::string slot = "leat_outbox", publication = "leat_outbox";  // [a-z0-9_]{1,63}
  // Where the slot is gone, or useless: makes another, and publishes all that is in the table. What
  // was published and not yet deleted then comes again, known by its id.
  bool begin_anew = false;
};

struct OutboxSlot {
  std::string source;         // of the producer: another one for each slot
  pgoutput::Lsn begins = 0;   // all that the slot tells commits here or later
  std::string snapshot;       // which transactions the backlog is of
  bool backlog_done = false;  // nothing of it is left
};

// Everything is as it must be, or made so. `stop`, a descriptor that can be read, ends it: making a
// slot waits for transactions that are open.
// Errors: kInvalidConfig (a name; wal_level), kDatabaseConflict (relays that poll are at work, or
// not through), kDatabaseFailed (a slot or publication that is gone, useless or another one),
// kDatabaseSchema, kClosed (stopped), and Database's.
Result<OutboxSlot> prepare_slot(PostgresDatabase& database, const SlotOptions& options, int stop);

// Nothing of the backlog is left.
Result<> end_backlog(PostgresDatabase& database, const SlotOptions& options);

// Whether the server is about to give up the slot, because its relay is too far behind: what to do.
Result<> check_lag(PostgresDatabase& database, const SlotOptions& options);

// Removes slot, publication and what is written down, and lets relays poll again: when the relay
// has been stopped. Errors: kDatabaseConflict (one reads the slot), and Database's.
Result<> remove_slot(PostgresDatabase& database, const SlotOptions& options);

}  // namespace leat::patterns
