// Records that share what they lie in: good for as long as they live, wherever they go.
//
// Those of a shared or key_shared group are leased to this member, which says what became of each:
//
//   SharedRecord record = co_await consumer.next();
//   if (charge(record)) co_await record.ack();
//   else co_await record.nack(500ms);
//
// One that nobody settles, because all of its copies were destroyed or ack_timeout went by, is
// delivered again; so are all of a consumer that is closed, at once.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <asio/detached.hpp>
#include <asio/system_executor.hpp>

#include "client/async.h"
#include "client/context/message_context.h"
#include "client/lease.h"
#include "client/records.h"

namespace leat {

// Some records of a lease, and what they lie in.
class Leased {
 public:
  Leased() = default;  // not leased: of another kind of group, or of none
  Leased(std::shared_ptr<const void> owner, Lease* lease, std::uint32_t first, std::uint32_t count)
      : owner_(std::move(owner)), lease_(lease), first_(first), count_(count) {}

  template <class Token>
  auto settle(Settlement settlement, Token&& token) const {
    if constexpr (std::is_same_v<std::decay_t<Token>, asio::detached_t>)
      start(settlement, {});  // nobody to tell
    else
      return async::initiate_on<void>(
          executor(), std::forward<Token>(token),
          [leased = *this](Completion<> done, const Settlement& given) {
            leased.start(given, std::move(done));
          },
          std::move(settlement));
  }
  // `done` may be empty.
  void start(const Settlement& settlement, Completion<> done) const {
    if (const auto settler = lease_ ? lease_->settler.lock() : nullptr)
      return settler->settle(*lease_, first_, count_, settlement, std::move(done));
    if (done && lease_) return done(fail(ErrorCode::kClosed, "the consumer is gone"));
    if (done)
      done(fail(ErrorCode::kInvalidRequest,
                "only records of shared and key_shared groups are settled; commit() instead"));
  }

 private:
  asio::any_io_executor executor() const {
    const auto settler = lease_ ? lease_->settler.lock() : nullptr;
    return settler ? settler->executor() : asio::any_io_executor(asio::system_executor());
  }

  std::shared_ptr<const void> owner_;
  Lease* lease_ = nullptr;
  std::uint32_t first_ = 0, count_ = 0;
};

// Settling completes when the broker has taken note, durably. Any thread; also with
// asio::detached, which costs least. Errors: kLeaseLost (settled before, or somebody else has the
// record by now, or the connection it came over was lost: it comes again), kInvalidRequest (not a
// record of a shared or key_shared group), kClosed (the consumer).
struct SharedRecord : ConsumedRecord {
  std::shared_ptr<const void> owner;
  Lease* lease = nullptr;  // in what `owner` keeps
  std::uint32_t index = 0;
  SharedContext context = nullptr;  // for what it causes, where the client traces

  // Done with: it is never delivered to the group again.
  template <class Token = asio::use_awaitable_t<>>
  auto ack(Token&& token = Token()) const {
    return leased().settle({}, std::forward<Token>(token));
  }
  // Failed: again after `delay`, or as min_backoff and max_backoff say.
  template <class Token = asio::use_awaitable_t<>>
  auto nack(std::chrono::milliseconds delay, Token&& token = Token()) const {
    return leased().settle({.outcome = native::Outcome::kNack, .delay = delay, .reason = {}},
                           std::forward<Token>(token));
  }
  template <class Token = asio::use_awaitable_t<>>
  requires(!std::is_convertible_v<Token, std::chrono::milliseconds>) auto nack(
      Token&& token = Token()) const {
    return leased().settle({.outcome = native::Outcome::kNack, .delay = {}, .reason = {}},
                           std::forward<Token>(token));
  }
  // Still at work: ack_timeout begins anew.
  template <class Token = asio::use_awaitable_t<>>
  auto extend(Token&& token = Token()) const {
    return leased().settle({.outcome = native::Outcome::kExtend, .delay = {}, .reason = {}},
                           std::forward<Token>(token));
  }
  // Hopeless: to the dead letter topic at once, with the reason, of at most 1,024 bytes.
  template <class Token = asio::use_awaitable_t<>>
  auto reject(std::string reason, Token&& token = Token()) const {
    return leased().settle(
        {.outcome = native::Outcome::kReject, .delay = {}, .reason = std::move(reason)},
        std::forward<Token>(token));
  }

 private:
  Leased leased() const { return {owner, lease, index, 1}; }
};

// Records of one partition.
//
//   SharedRecords records = co_await consumer.poll();
//   for (std::size_t i = 0; i < records.size(); ++i)
//     if (!charge(records[i])) records[i].nack(500ms, asio::detached);
//   co_await records.ack_all();
struct SharedRecords {
  std::vector<ConsumedRecord> records;
  std::shared_ptr<const void> owner;
  Lease* lease = nullptr;                    // as in SharedRecord
  std::uint32_t first = 0;                   // the index of records[0]
  std::vector<SharedContext> contexts = {};  // as in SharedRecord, of each, or none

  auto begin() const { return records.begin(); }
  auto end() const { return records.end(); }
  std::size_t size() const { return records.size(); }
  SharedRecord operator[](std::size_t i) const {
    return {records[i], owner, lease, first + static_cast<std::uint32_t>(i),
            contexts.empty() ? nullptr : contexts[i]};
  }

  // Acks those that were not settled so far.
  template <class Token = asio::use_awaitable_t<>>
  auto ack_all(Token&& token = Token()) const {
    return Leased(owner, lease, first, static_cast<std::uint32_t>(size()))
        .settle({}, std::forward<Token>(token));
  }
};

// For what the record causes: MessageContext::child_of() it, in the span in which it is processed
// where this client traces.
inline SharedContext context_of(const SharedRecord& record) {
  if (record.context) return record.context;
  return std::make_shared<const MessageContext>(MessageContext::child_of(record));
}
// `record` continues the flow of `cause`:
//   co_await producer.send(continuing(order, {Topic{"payments"}, Key{"42"}, bytes("{}")}));
inline Record continuing(const SharedRecord& cause, Record record) {
  record.context = context_of(cause);
  return record;
}

// The handler of next() or request() and what it sends.
class HandlerScope {
 public:
  explicit HandlerScope(const Result<SharedRecord>& record) {
    if (!record || (!record->context && record->headers.empty())) return;
    if (record->context)
      scope_.emplace(record->context);
    else
      scope_.emplace(MessageScope::Lazily(), *record, record->owner);
  }

 private:
  std::optional<MessageScope> scope_;
};

template <>
struct async::Surroundings<SharedRecord> : HandlerScope {
  using HandlerScope::HandlerScope;
};

}  // namespace leat
