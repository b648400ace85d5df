// The relay of an outbox in PostgreSQL by reading the database's log: each event is published as
// soon as it is committed, once, in the order of commits. One relay at a time; one that dies,
// wherever, leaves neither a duplicate nor a gap, and another goes on. `leat outbox relay --tail`
// is this in a process of its own.
//
//   auto tail = OutboxTail::open(client, {.slot = {.connection = "dbname=orders"}});
//   std::thread thread([&] { (*tail)->run(); });
//   …
//   (*tail)->stop();
//
// Each record has its commit's place in the log as its position in the producer's source, so the
// broker knows what comes again after a crash. The log is confirmed when the broker's acks are in
// and the rows are deleted. Until a relay has confirmed it PostgreSQL keeps the log: with nobody to
// read it, a slot fills the disk; see max_slot_wal_keep_size, and remove_slot() (outbox_slot.h).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "client/blocking.h"
#include "client/patterns/relay/outbox_slot.h"
#include "client/patterns/relay/publisher.h"
#include "client/patterns/relay/replication_stream.h"
#include "client/patterns/relay/row_removal.h"
#include "client/patterns/relay/tail_rows.h"

namespace leat::patterns {

struct OutboxTailOptions {
  SlotOptions slot;
  PublisherOptions publish;
  std::size_t rows = 5'000, bytes = 8 << 20;  // at most published at a time: a transaction may be
                                              // larger, and is published in parts
  bool keep = false;  // published rows are marked (published_ms) and stay, instead of being deleted
  // For a log, on the relay's thread: what cannot be done now and is tried again; rows that were
  // put aside for good (their column `failed` says why).
  std::function<void(const Error& why)> on_problem;
  std::function<void(const OutboxRow& row, const Error& why)> on_refused;
};

class OutboxTail {
 public:
  // Connects to nothing yet. Error: kInvalidConfig.
  static Result<std::unique_ptr<OutboxTail>> open(blocking::Client client,
                                                  OutboxTailOptions options);
  ~OutboxTail();
  OutboxTail(const OutboxTail&) = delete;
  OutboxTail& operator=(const OutboxTail&) = delete;

  // Publishes until stop(); whatever fails is told and tried again, less and less often. Blocks.
  void run();
  // Publishes what was committed before the call, or fails; says how many.
  Result<std::uint64_t> run_once();
  // Ends run(); any thread, also a signal handler.
  void stop();

  // Any thread. Rows; what is published again after a failure is counted again.
  std::uint64_t published() const { return published_; }
  std::uint64_t refused() const { return refused_; }

 private:
  OutboxTail(blocking::Client client, OutboxTailOptions options);
  Result<> session(bool once);
  Result<> run_session(bool once);
  Result<> publish_backlog(const OutboxSlot& slot);
  Result<> follow(bool once);
  Result<bool> read();
  Result<> publish(const std::vector<PositionedRow>& rows, pgoutput::Lsn whole,
                   const std::vector<std::uint32_t>& transactions);
  Result<> check_age(const std::vector<PositionedRow>& rows);
  Result<> settle(const std::vector<PositionedRow>& rows, const Published& published,
                  pgoutput::Lsn whole, const std::vector<std::uint32_t>& transactions);
  Result<> confirm(bool ask = false);
  Result<> check_lag_now();
  Result<pgoutput::Lsn> end_of_log();
  bool while_waiting();
  bool stopped() const;

  blocking::Client client_;
  OutboxTailOptions options_;
  std::unique_ptr<PostgresDatabase> database_;
  std::unique_ptr<Publisher> publisher_;
  std::string source_;  // the publisher's
  // Of the session.
  std::unique_ptr<ReplicationStream> stream_;
  std::unique_ptr<TailRows> rows_;
  std::unique_ptr<RowRemoval> removal_;              // on database_
  std::vector<std::shared_ptr<const void>> owners_;  // of what rows_ lies in
  pgoutput::Lsn log_end_ = 0;                        // when the session began
  std::set<std::string> checked_;                    // topics: what is stored there is not newer
  pgoutput::Lsn done_ = 0;
  bool reply_wanted_ = false;
  std::chrono::steady_clock::time_point confirmed_at_, lag_checked_at_;
  int stop_;  // an eventfd
  std::atomic<std::uint64_t> published_ = 0, refused_ = 0;
};

}  // namespace leat::patterns
