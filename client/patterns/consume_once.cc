#include "client/patterns/consume_once.h"

#include <algorithm>

#include <asio/experimental/as_tuple.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

namespace leat::patterns {
namespace {

using asio::experimental::as_tuple;
using std::chrono::steady_clock;
using Outcome = Handled::Outcome;

constexpr int kConflicts = 10;  // in a row, until others are let go first

bool is_away(const Error& error) {
  return error == ErrorCode::kDatabaseUnreachable || error == ErrorCode::kNoSpace ||
         error == ErrorCode::kDatabaseConflict || error == ErrorCode::kDatabaseSchema;
}

Handled failed(const Error& error) {
  return {is_away(error) ? Outcome::kAway : Outcome::kFailed, error};
}

// Also what a handler throws.
Handled run(const ConsumedRecord& record, const RecordHandler& handler) {
  try {
    auto handled = handler(record);
    if (!handled) return failed(handled.error());
    return {};
  } catch (const Reject& reject) {
    return {Outcome::kRejected, Error(ErrorCode::kInvalidRequest, reject.what())};
  } catch (const tl::bad_expected_access<Error>& failure) {  // by value(): as if returned
    return failed(failure.error());
  } catch (const std::exception& error) {
    return {Outcome::kFailed, Error(ErrorCode::kInternal, error.what())};
  } catch (...) {
    return {Outcome::kFailed, Error(ErrorCode::kInternal, "the handler threw no std::exception")};
  }
}

Handled attempt(Inbox& inbox, const ConsumedRecord& record, const RecordHandler& handler) {
  auto fresh = inbox.begin(record);
  if (!fresh) return failed(fresh.error());
  if (!*fresh) return {};
  Handled handled = run(record, handler);
  if (handled.outcome == Outcome::kDone)
    if (auto committed = inbox.commit(); !committed) handled = failed(committed.error());
  if (handled.outcome != Outcome::kDone) inbox.rollback();
  return handled;
}

// Also while something else was done than waiting.
asio::awaitable<bool> cancelled() {
  const auto state = co_await asio::this_coro::cancellation_state;
  co_return state.cancelled() != asio::cancellation_type::none;
}

class Loop {
 public:
  Loop(Consumer& consumer, Inbox& inbox, const RecordHandler& handler,
       const ConsumeOnceOptions& options)
      : consumer_(consumer), inbox_(inbox), handler_(handler), options_(options) {}

  asio::awaitable<Error> run() {
    while (!co_await cancelled()) {
      auto [ec, records] = co_await consumer_.poll(as_tuple(asio::use_awaitable));
      if (ec) {
        Error why(ec.category() == leat_category() ? static_cast<ErrorCode>(ec.value())
                                                   : ErrorCode::kClosed,
                  error_detail());
        if (is_final(why)) co_return why;
        report({}, why);
        continue;
      }
      held_ = std::move(records);
      for (std::size_t i = 0; i < held_.size(); ++i) {
        const SharedRecord record = held_[i];
        if (co_await cancelled()) co_return stop_before(record, ErrorCode::kClosed);
        Error why = co_await process(record);
        if (why.code != ErrorCode::kOk) co_return why;
      }
      if (!held_.lease && held_.size() > 0) commit_behind(held_.records.back());
      held_ = {};
      clean_up();
    }
    co_return ErrorCode::kClosed;
  }

  // What was not settled is not given back before the consumer has left.
  SharedRecords& held() { return held_; }

 private:
  // Told about one partition, the others go on.
  static bool is_final(const Error& why) {
    return why == ErrorCode::kClosed || why == ErrorCode::kInconsistentGroup ||
           why == ErrorCode::kInvalidGroupName || why == ErrorCode::kShuttingDown;
  }

  void report(const ConsumedRecord& record, const Error& why) const {
    if (options_.on_failure) options_.on_failure(record, why);
  }

  // kOk: go on.
  asio::awaitable<Error> process(const SharedRecord& record) {
    auto backoff = options_.min_backoff;
    const auto until = steady_clock::now() + options_.patience;
    if (record.lease) consumer_.keep_leases(options_.patience);
    for (std::uint32_t attempts = 1;; ++attempts) {
      const Handled handled = handle(record);
      if (handled.outcome == Outcome::kDone) {
        if (record.lease) record.ack(asio::detached);
        co_return ErrorCode::kOk;
      }
      report(record, handled.why);
      if (handled.outcome == Outcome::kAway) {
        if (steady_clock::now() >= until) co_return stop_before(record, handled.why);
      } else if (record.lease) {
        settle(record, handled);
        co_return ErrorCode::kOk;
      } else if (handled.outcome == Outcome::kRejected ||
                 (options_.attempts > 0 && attempts >= options_.attempts)) {
        co_return stop_before(record, handled.why);
      }
      asio::steady_timer timer(co_await asio::this_coro::executor, backoff);
      const auto [aborted] = co_await timer.async_wait(as_tuple(asio::use_awaitable));
      if (aborted || co_await cancelled()) co_return stop_before(record, ErrorCode::kClosed);
      backoff = std::min(backoff * 2, options_.max_backoff);
    }
  }

  // What it sends, or puts into an outbox, continues the record's flow.
  Handled handle(const SharedRecord& record) const {
    const MessageScope scope(record);
    return handle_once(inbox_, record, handler_);
  }

  static void settle(const SharedRecord& record, const Handled& handled) {
    if (handled.outcome == Outcome::kRejected)
      record.reject(handled.why.detail.substr(0, 1'024), asio::detached);
    else
      record.nack(asio::detached);
  }

  // Behind what was processed, in front of this one.
  Error stop_before(const ConsumedRecord& record, const Error& why) {
    if (!held_.lease && record.offset != held_.records.front().offset)
      commit({std::string(record.topic), record.partition, record.offset});
    return {why.code, std::string(record.topic) + "/" + std::to_string(record.partition.value) +
                          " at offset " + std::to_string(record.offset.value) + ": " + why.detail};
  }
  void commit_behind(const ConsumedRecord& record) {
    commit({std::string(record.topic), record.partition, record.offset + 1});
  }
  // Where it fails, others have the partition, or the next commit will do.
  void commit(PartitionOffset position) {
    consumer_.commit_offsets({std::move(position)}, [](std::error_code) {});
  }

  void clean_up() {
    const auto now = steady_clock::now();
    if (options_.clean_up == 0 || inbox_.options().by != InboxBy::kMessageId ||
        now < next_clean_up_)
      return;
    next_clean_up_ = now + std::chrono::seconds(1);
    const auto time =
        std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
    if (auto cleaned = inbox_.clean_up(time, options_.clean_up); !cleaned)
      report({}, cleaned.error());
  }

  Consumer& consumer_;
  Inbox& inbox_;
  const RecordHandler& handler_;
  const ConsumeOnceOptions& options_;
  SharedRecords held_;
  steady_clock::time_point next_clean_up_;
};

// Until it answers again. False: cancelled.
asio::awaitable<bool> wait_for_database(Database& database, const ConsumeOnceOptions& options) {
  auto backoff = std::max(options.min_backoff, std::chrono::milliseconds(1));
  for (;;) {
    if (database.begin()) {
      database.rollback();
      co_return true;
    }
    asio::steady_timer timer(co_await asio::this_coro::executor, backoff);
    const auto [aborted] = co_await timer.async_wait(as_tuple(asio::use_awaitable));
    if (aborted || co_await cancelled()) co_return false;
    backoff = std::min(backoff * 2, options.max_backoff);
  }
}

Result<> ended(const Error& why) {
  if (why == ErrorCode::kClosed) return {};
  return fail(why);
}

}  // namespace

Handled handle_once(Inbox& inbox, const ConsumedRecord& record, const RecordHandler& handler) {
  Handled handled;
  for (int conflicts = 0; conflicts < kConflicts; ++conflicts) {
    handled = attempt(inbox, record, handler);
    if (!(handled.why == ErrorCode::kDatabaseConflict)) break;
  }
  return handled;
}

asio::awaitable<Result<>> consume_once(Consumer& consumer, Inbox& inbox, RecordHandler handler,
                                       ConsumeOnceOptions options) {
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  Loop loop(consumer, inbox, handler, options);
  const Error why = co_await loop.run();
  co_await asio::this_coro::throw_if_cancelled(throws);
  co_return ended(why);
}

asio::awaitable<Result<>> consume_once(Client& client, Group group,
                                       ConsumerOptions consumer_options, Inbox& inbox,
                                       RecordHandler handler, ConsumeOnceOptions options) {
  // Whoever is cancelled still takes its leave.
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  Error why = ErrorCode::kOk;
  for (bool back = true; back;) {
    Consumer consumer = client.consumer(group, consumer_options);
    Loop loop(consumer, inbox, handler, options);
    why = co_await loop.run();
    // Gracefully: what it held counts as no attempt, and others get it.
    co_await consumer.close(as_tuple(asio::use_awaitable));
    if (!is_away(why)) break;
    back = co_await wait_for_database(inbox.database(), options);
    if (!back) why = ErrorCode::kClosed;
  }
  co_await asio::this_coro::throw_if_cancelled(throws);
  co_return ended(why);
}

}  // namespace leat::patterns
