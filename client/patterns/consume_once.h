// The loop of an idempotent consumer: each record in a transaction with its inbox, then the ack.
//
//   auto database = SqliteDatabase::open("billing.db");
//   auto inbox = Inbox::open(**database, {.consumer = "billing"});
//   ConsumerOptions options{.topics = {"orders"}, .kind = GroupKind::kKeyShared, .max_deliveries =
//   5}; co_await consume_once(client, Group{"billing"}, options, *inbox,
//                         [&](const ConsumedRecord& record) { charge(**database, record); });
//
// What the handler, inside the transaction, may do:
//   return                 the transaction is committed, the record acked
//   throw Reject("why")    rolled back; hopeless: to the dead letter topic at once
//   throw anything else,   rolled back; the record is delivered again, after the group's back-off,
//   return an Error        and after max_deliveries is a dead letter
// The transaction is run again by itself where the database asks for it (kDatabaseConflict:
// deadlock, serialization, a lock). While the database cannot be reached, is full or too slow,
// nothing counts as an attempt: the record is tried again, and after ConsumeOnceOptions::patience
// the consumer leaves its group until the database is back. So long all that was delivered to it
// stays leased, whatever ack_timeout is.
// Nothing is acked that was not committed; what was committed and could not be acked comes again,
// and is swallowed.
//
// A partitioned group (kPartitioned) has neither leases nor dead letters: a record that fails is
// tried again in place, and nothing behind it in its partition is processed before it. After
// ConsumeOnceOptions::attempts the loop ends with the handler's error, and the record is the first
// to come when it is begun again.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <asio/awaitable.hpp>

#include "client/client.h"
#include "client/patterns/inbox.h"

namespace leat::patterns {

// Thrown by a handler: the record will never be processed, as one that cannot be parsed.
struct Reject : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct ConsumeOnceOptions {
  std::uint32_t attempts = 5;  // of a partitioned group, in place; 0: for ever
  // Between attempts in place, doubled from one to the next.
  std::chrono::milliseconds min_backoff{10}, max_backoff{2'000};
  // How long a record may be in hand: as long a database that is away is waited for, and the leases
  // of what was delivered are extended, counted anew from each record on. Of a handler that takes
  // longer they run out then, and its records go to others.
  std::chrono::milliseconds patience{5'000};
  // Ids older than the window are forgotten, at most so many about once a second; 0: never here.
  std::int64_t clean_up = 1'000;
  // Told of every attempt that failed, for a log.
  std::function<void(const ConsumedRecord& record, const Error& why)> on_failure;
};

using RecordHandler = std::function<Result<>(const ConsumedRecord& record)>;

// From a function of a record that returns nothing, or a Result<>.
template <class F>
RecordHandler record_handler(F handler) {
  return [handler = std::move(handler)](const ConsumedRecord& record) mutable -> Result<> {
    if constexpr (std::is_void_v<std::invoke_result_t<F&, const ConsumedRecord&>>) {
      handler(record);
      return {};
    } else {
      return handler(record);
    }
  };
}

// Runs until it is cancelled. Fails when the consumer does for good (kInconsistentGroup …), or, in
// a partitioned group, a handler does. Blocks its executor while it is in the database: give it a
// thread of its own.
asio::awaitable<Result<>> consume_once(Client& client, Group group, ConsumerOptions consumer,
                                       Inbox& inbox, RecordHandler handler,
                                       ConsumeOnceOptions options);
template <class F>
asio::awaitable<Result<>> consume_once(Client& client, Group group, ConsumerOptions consumer,
                                       Inbox& inbox, F handler, ConsumeOnceOptions options = {}) {
  return consume_once(client, std::move(group), std::move(consumer), inbox,
                      record_handler(std::move(handler)), std::move(options));
}

// The same with a consumer of the caller's, until that is closed, too. Fails also when the database
// was away for longer than `patience`, with its error: close the consumer, so that others get its
// records.
asio::awaitable<Result<>> consume_once(Consumer& consumer, Inbox& inbox, RecordHandler handler,
                                       ConsumeOnceOptions options);
template <class F>
asio::awaitable<Result<>> consume_once(Consumer& consumer, Inbox& inbox, F handler,
                                       ConsumeOnceOptions options = {}) {
  return consume_once(consumer, inbox, record_handler(std::move(handler)), std::move(options));
}

// What a record's transaction came to.
struct Handled {
  enum class Outcome {
    kDone,      // committed, now or before
    kFailed,    // by its handler
    kRejected,  // for good
    kAway,      // the database's doing, not the record's
  };
  Outcome outcome = Outcome::kDone;
  Error why = ErrorCode::kOk;
};
// One record in one transaction, for loops of one's own; again, a few times, where the database
// asks for it. Blocks.
Handled handle_once(Inbox& inbox, const ConsumedRecord& record, const RecordHandler& handler);

}  // namespace leat::patterns
