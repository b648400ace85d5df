// Request and reply: a request is a record in a topic, its reply a record in another, which the
// requester reads. Any thread; see client/client.h for tokens and errors.
//
//   Requester requester = client.requester({.reply_topic = "replies", .timeout = 5s});
//   SharedRecord reply = co_await requester.request({Topic{"quotes"}, Key{"42"}, bytes("tea")});
//
// Who answers is a consumer like any other, with a producer:
//
//   SharedRecord request = co_await consumer.next();
//   co_await producer.reply(request, bytes("9.90"));
//
// The reply topic may be shared: each requester reads one partition of it, chosen at random, from
// its end. Requests carry where their reply goes and a correlation id in reserved headers
// (protocol/reserved_headers.h), so any client can answer. Replies are of use for as long as
// somebody waits for them, and their topic need not keep them:
//
//   leat topic create replies --partitions 8 --durability memory --retention 10m
#pragma once

#include <memory>
#include <utility>

#include "client/async.h"
#include "client/config.h"
#include "client/shared_record.h"

namespace leat {

class RequesterCore;

class Requester {
 public:
  Requester() = default;  // none: only to be assigned to
  Requester(Requester&&) noexcept = default;
  Requester& operator=(Requester&& other) noexcept;
  // What waits for a reply fails with kClosed.
  ~Requester();

  // Sends the record and completes with the first reply to it. Copies its bytes as Producer::send()
  // does. A request is sent once; whoever answers may get it twice all the same, and answer twice.
  // Can be cancelled by the handler's slot: operation_aborted. Cancelled or timed out, the request
  // may be worked on, and its reply is dropped.
  // Errors: kTimedOut; kQueueFull, when max_in_flight wait already; what sending it can fail with;
  // what reading the reply topic can fail with, which is begun anew by the next request; kClosed.
  template <class Token = asio::use_awaitable_t<>>
  auto request(Record record, Token&& token = Token()) {
    return async::initiate_cancellable<SharedRecord>(
        *state_->link, std::forward<Token>(token),
        [state = state_, record = std::move(record)](Completion<SharedRecord> done,
                                                     auto on_cancel) {
          const Wait wait = prepare(state);
          on_cancel(wait.cancel());
          start(*state, wait, record, std::move(done));
        });
  }

  // Records of its partition that nobody waited for: late, duplicate, or another requester's.
  std::uint64_t dropped() const;

 private:
  friend class Client;
  struct State {
    std::shared_ptr<Link> link;
    std::shared_ptr<RequesterCore> core;
  };
  // One request, known before it starts so that it can be cancelled from then on.
  struct Wait {
    std::weak_ptr<State> state;
    std::uint64_t number;
    auto cancel() const {
      return [wait = *this] { Requester::cancel(wait); };
    }
  };
  explicit Requester(State state) : state_(std::make_shared<State>(std::move(state))) {}
  static Wait prepare(const std::shared_ptr<State>& state);
  static void start(State& state, const Wait& wait, const Record& record,
                    Completion<SharedRecord> done);
  static void cancel(const Wait& wait);

  std::shared_ptr<State> state_;
};

// The record that carries `answer` to where `request` wants it, whatever partition it names: for
// answers with headers, and for blocking::Producer. Borrows from both.
// Error: kInvalidRequest, when the record asks for no reply.
Result<Record> make_reply(const ConsumedRecord& request, OutgoingRecord answer);

}  // namespace leat
