// PostgreSQL's streaming replication of a logical slot, through libpq: what has arrived, and what
// is confirmed. Not more is read from the socket than is asked for, so that a reader who is slow
// holds the server back. https://www.postgresql.org/docs/current/protocol-replication.html
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "client/patterns/relay/pgoutput.h"
#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

struct pg_conn;
struct pg_result;

namespace leat::patterns {

// A connection for replication commands, which also takes SQL. Errors: kDatabaseUnreachable.
using ReplicationConnection = std::shared_ptr<pg_conn>;
Result<ReplicationConnection> connect_for_replication(const std::string& connection);

// Runs one command, as long as it takes; kClosed once `stop`, a descriptor, can be read. Errors:
// those of postgres_error().
Result<std::shared_ptr<pg_result>> run_command(pg_conn* connection, const std::string& command,
                                               int stop);

// One thread.
class ReplicationStream {
 public:
  // Begins to read the slot, by pgoutput, from what was confirmed last. Errors: kDatabaseConflict
  // (another reads it), and those of postgres_error().
  static Result<std::unique_ptr<ReplicationStream>> open(const std::string& connection,
                                                         const std::string& slot,
                                                         const std::string& publication, int stop);

  // Ends it in order, so that the slot is free at once; not within a second: at any rate.
  ~ReplicationStream();
  ReplicationStream(const ReplicationStream&) = delete;
  ReplicationStream& operator=(const ReplicationStream&) = delete;

  struct Arrived {
    Bytes message;  // of pgoutput; empty: a keepalive
    std::shared_ptr<const void> owner;
    pgoutput::Lsn end = 0;  // of a keepalive: all before was sent
    bool reply_wanted = false;
  };
  // Nothing: nothing more has arrived. Errors: kDatabaseUnreachable, the server's.
  Result<std::optional<Arrived>> next();
  // Until something arrives, `stop` or `other` can be read (-1: none), or the time is over.
  void wait(std::chrono::milliseconds most, int stop, int other = -1);

  // All before `done` is done with: the server need not send it again. Also keeps the server from
  // taking its peer for dead: at least every few seconds. `ask`: it is to answer with a keepalive.
  Result<> confirm(pgoutput::Lsn done, bool ask = false);

 private:
  explicit ReplicationStream(ReplicationConnection connection)
      : connection_(std::move(connection)) {}
  Error ended();

  ReplicationConnection connection_;
};

}  // namespace leat::patterns
