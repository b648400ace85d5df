// Idempotent consumers: what was processed stands in a table of the consumer's own database, and is
// written in the transaction that has the effect, so that both are there or neither.
//
//   auto database = SqliteDatabase::open("billing.db");
//   auto inbox = Inbox::open(**database, {.consumer = "billing"});
//   auto fresh = inbox->begin(record);            // a transaction, iff the record is new
//   if (fresh && *fresh) { charge(**database, record); inbox->commit(); }
//   record.ack();
//
// patterns/consume_once.h is the loop around it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "client/patterns/sql/database.h"
#include "client/records.h"

namespace leat::patterns {

// How a record is known again.
enum class InboxBy : std::uint8_t {
  // By its message id (OutgoingRecord::id), else by topic id, partition and offset. Needs no order;
  // knows what a producer sent twice under one id; remembers for a window.
  kMessageId,
  // By its place alone: the newest offset processed of each partition, which takes one row a
  // partition, and no window. For consumers that process a partition in its order (kPartitioned).
  // What a producer stored twice is two records.
  kPosition,
};

struct InboxOptions {
  std::string consumer;  // whose: several share a table. 1 to 255 bytes; usually the group's name
  InboxBy by = InboxBy::kMessageId;
  // How long ids are remembered, at least: clean_up() takes them later. A record that comes again
  // after it is processed again, so it must not be shorter than for how long dead letters are kept
  // and may be redriven (redrive_horizon).
  std::chrono::milliseconds window = std::chrono::hours(24 * 14);
  std::chrono::milliseconds redrive_horizon = std::chrono::hours(24 * 7);
};

// One thread at a time, as its database.
class Inbox {
 public:
  // Makes its tables (leat_inbox …) unless they are there, and those of an older version new, which
  // takes a while where there are many millions of ids. `database` outlives the inbox.
  // Errors: kInvalidConfig (the options do not go together), kDatabaseSchema (a table of another
  // version), and Database's.
  static Result<Inbox> open(Database& database, InboxOptions options);

  // Begins a transaction and remembers the record in it. False: it was processed before, and there
  // is no transaction. Where another process works on the same record, waits for what becomes of
  // it.
  Result<bool> begin(const ConsumedRecord& record);
  // Error kDatabaseUnreachable: whether it was committed is not known; begin() will tell.
  Result<> commit();
  // As if the record had never come.
  void rollback();

  // Records that were processed before, since the inbox was opened.
  std::uint64_t swallowed() const { return swallowed_; }

  // Forgets at most `most` ids that are older than the window, in a transaction of its own: how
  // many. Looks at ten times as many, on from where the last call stopped, also another process's;
  // so 0 does not say that there is nothing left. Call it now and then; not between begin() and
  // commit().
  Result<std::int64_t> clean_up(Timestamp now, std::int64_t most = 1'000);

  Database& database() const { return *database_; }
  const InboxOptions& options() const { return options_; }

 private:
  Inbox(Database& database, InboxOptions options)
      : database_(&database), options_(std::move(options)) {}
  Result<SqlRows> remember_id(const ConsumedRecord& record);
  Result<SqlRows> remember_position(const ConsumedRecord& record);

  Database* database_;
  InboxOptions options_;
  std::uint64_t swallowed_ = 0;
};

// What the inbox knows a record by, when by id: its message id, or "TOPIC-ID/PARTITION/OFFSET".
std::string message_id(const ConsumedRecord& record);

}  // namespace leat::patterns
