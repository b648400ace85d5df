// The relay of an outbox, by polling: publishes what was committed, each event once, in the order
// of its aggregate. Several may share an outbox; one that dies, wherever, leaves neither a
// duplicate nor a gap. `leat outbox relay` is this in a process of its own.
//
//   auto relay = OutboxRelay::open(client, database, wake_by_wal("orders.db"));
//   std::thread thread([&] { (*relay)->run(); });
//   …
//   (*relay)->stop();
//
// While one transaction stays open that has written anything, what was committed after it began
// waits (PostgreSQL): its own events might come first.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "client/blocking.h"
#include "client/patterns/relay/outbox_reader.h"
#include "client/patterns/relay/outbox_wakeup.h"
#include "client/patterns/relay/publisher.h"

namespace leat::patterns {

struct OutboxRelayOptions {
  std::string name;  // among the relays of the outbox; empty: one that no other has
  PublisherOptions publish;
  std::int64_t rows = 2'000;                // at most in a round
  std::chrono::milliseconds lease{10'000};  // a relay that is silent for so long is taken for dead
  bool keep = false;  // published rows are marked (published_ms) and stay, instead of being deleted
  // Looks at least so often, however quiet it is.
  std::chrono::milliseconds look_again{1'000};
  // For a log, on the relay's thread: what cannot be done now and is tried again; that others have
  // had all of the outbox for as long as a lease, once until they let go of some; rows that were
  // put aside for good (their column `failed` says why).
  std::function<void(const Error& why)> on_problem;
  std::function<void(const OutboxRow& row, const Error& why)> on_refused;
};

class OutboxRelay {
 public:
  // Makes the outbox's tables unless they are there. `database` outlives the relay, which alone
  // uses it.
  // Errors: kInvalidConfig, kDatabaseSchema, and Database's.
  static Result<std::unique_ptr<OutboxRelay>> open(blocking::Client client, Database& database,
                                                   std::unique_ptr<OutboxWakeup> wakeup,
                                                   OutboxRelayOptions options = {});
  ~OutboxRelay();
  OutboxRelay(const OutboxRelay&) = delete;
  OutboxRelay& operator=(const OutboxRelay&) = delete;

  // Publishes until stop(); whatever fails is told and tried again, less and less often. Blocks.
  void run();
  // Publishes what there is until there is nothing left, or something fails, and says how many.
  Result<std::uint64_t> run_once();
  // Ends run(), which gives back its leases; any thread, also a signal handler.
  void stop();

  // Any thread.
  std::uint64_t published() const { return published_; }
  std::uint64_t refused() const { return refused_; }

 private:
  OutboxRelay(blocking::Client client, OutboxReader reader, std::unique_ptr<OutboxWakeup> wakeup,
              OutboxRelayOptions options);
  Result<bool> step();
  Result<> renew();
  void note_holders();
  void tell_of_holders();
  Result<> begin(const OutboxRound& round);
  Result<> end(const OutboxRound& round);
  Result<> check_age(const OutboxRound& round, Publisher& publisher);
  Publisher& publisher(int lane);
  bool stopped() const;
  bool while_waiting();

  blocking::Client client_;
  OutboxReader reader_;
  std::unique_ptr<OutboxWakeup> wakeup_;
  OutboxRelayOptions options_;
  std::map<int, std::unique_ptr<Publisher>> publishers_;
  std::set<std::pair<int, std::string>> checked_;  // lane and topic: what is stored is not newer
  std::chrono::steady_clock::time_point renew_at_;
  std::vector<RefusedRow> refused_rows_;                             // of the rounds under way
  std::set<int> unfinished_;                                         // lanes of them
  std::optional<std::chrono::steady_clock::time_point> held_since_;  // by others, all of it
  bool told_of_holders_ = false;
  int stop_;  // an eventfd
  std::atomic<std::uint64_t> published_ = 0, refused_ = 0;
};

}  // namespace leat::patterns
