// The other side of a saga: a service that does what commands ask and answers them, each once,
// however often it is asked. Needs no saga of its own, only its database with inbox and outbox.
//
//   auto stock = SagaParticipant::open(database, *Outbox::open(database), "stock");
//   co_await consume_once(client, Group{"stock"}, options, *inbox,
//                         [&](const ConsumedRecord& record) {
//     return stock->handle(record, [&](const SagaTask& task) -> Result<SagaAnswer> {
//       if (task.undo) return put_back(database, task);
//       if (!enough(database, task)) return SagaAnswer::failed("out of stock");
//       return take(database, task);
//     });
//   });
//
// The inbox swallows a record that comes twice; what swallows a command that is asked again, in a
// record of its own, is the table leat_saga_command: the handler does not run, and the answer is
// given again. A compensation undoes what was done; where nothing was, the handler does not run
// either, and a command that comes later is refused.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "client/patterns/outbox.h"
#include "client/patterns/saga/saga_correlation.h"
#include "client/patterns/sql/database.h"
#include "client/records.h"

namespace leat::patterns {

// What a handler is asked. Borrows.
struct SagaTask {
  const ConsumedRecord& record;
  std::string_view saga, step;
  bool undo;
  Bytes payload;
};

struct SagaAnswer {
  SagaOutcome outcome = SagaOutcome::kOk;
  std::string payload;
  static SagaAnswer ok(std::string payload = {}) { return {SagaOutcome::kOk, std::move(payload)}; }
  // Whatever the handler wrote is undone. Of a compensation: it is asked again.
  static SagaAnswer failed(std::string payload = {}) {
    return {SagaOutcome::kFailed, std::move(payload)};
  }
};
using SagaHandler = std::function<Result<SagaAnswer>(const SagaTask&)>;

// One thread at a time, as its database.
class SagaParticipant {
 public:
  // `name`: whose; several share the table. Makes the table leat_saga_command unless it is there;
  // `database` outlives the participant.
  // Errors: kInvalidConfig (the name is 1 to 255 bytes), kDatabaseSchema, and Database's.
  static Result<SagaParticipant> open(Database& database, Outbox outbox, std::string name);

  // Inside the transaction of an inbox: at most runs the handler, and adds the answer to the
  // outbox. An error of the handler's, or what it throws, answers nothing: the record comes again.
  // Errors: kInvalidRequest (no transaction; no saga's command), and Database's.
  Result<> handle(const ConsumedRecord& record, const SagaHandler& handler);

  // Commands that were known already, or had nothing to undo, since it was opened.
  std::uint64_t answered_again() const { return answered_again_; }

  // Forgets at most `most` commands that were handled before, in a transaction of its own: how
  // many. `before` is longer ago than any saga takes, retries by hand included.
  Result<std::int64_t> clean_up(Timestamp before, std::int64_t most = 1'000);

 private:
  enum class Known { kNew, kDone, kRefused, kUndone };
  struct Remembered {
    Known known = Known::kNew;
    std::string answer;
  };
  SagaParticipant(Database& database, Outbox outbox, std::string name)
      : database_(&database), outbox_(outbox), name_(std::move(name)) {}
  Result<Remembered> recall(const SagaAddress& about);
  Result<SagaAnswer> run(const SagaTask& task, const SagaHandler& handler);
  Result<SagaAnswer> again(const SagaAddress& about, const Remembered& remembered);
  Result<> remember(const SagaAddress& about, Known known, std::string_view answer);

  Database* database_;
  Outbox outbox_;
  std::string name_;
  std::uint64_t answered_again_ = 0;
};

}  // namespace leat::patterns
