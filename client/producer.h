// Sends records to any number of topics. Any thread; see client/client.h for tokens and errors.
//
//   Producer producer = client.producer({.linger = 5ms});
//   producer.send({Topic{"orders"}, Key{"42"}, bytes("hello")},
//                 [](std::error_code ec, Ack ack) { ... });
//   co_await producer.flush();
//
// Records of one partition are stored in the order they were sent. After a lost connection
// everything unacknowledged is sent again, in order, before anything newer; unless
// `.idempotent = false` the broker stores it once. What the application sends again it knows by
// OutgoingRecord::id. What fails for good, or is not acknowledged within the delivery timeout,
// fails alone: what follows it is sent.
#pragma once

#include <memory>
#include <utility>

#include "client/async.h"
#include "client/config.h"

namespace leat {

class ProducerCore;

class Producer {
 public:
  Producer() = default;  // none: only to be assigned to
  Producer(Producer&&) noexcept = default;
  Producer& operator=(Producer&& other) noexcept;
  // What is not acknowledged fails with kClosed: flush() before.
  ~Producer();

  // Completes with where the record is stored, and how durably. Copies the record's bytes when the
  // operation starts: in this call for callbacks and futures, at the co_await for awaitables.
  // Errors: kUnknownTopic, kUnknownPartition, kInvalidRequest (an id, a delay or a time that makes
  // no sense), kBatchTooLarge, kTimedOut (the delivery timeout: whether it was stored is unknown),
  // kProducerFenced, kClosed; kQueueFull, when too much is unacknowledged: wait for some of it.
  template <class Token = asio::use_awaitable_t<>>
  auto send(Record record, Token&& token = Token()) {
    return async::initiate<Ack>(
        *state_->link, std::forward<Token>(token),
        [state = state_](Completion<Ack> done, const Record& given) {
          start(*state, given, std::move(done));
        },
        std::move(record));
  }

  // Sends the answer to a request (client/requester.h), as send() does; borrows from both until it
  // starts. Error besides: kInvalidRequest, when the record asks for no reply. For an answer with
  // headers: make_reply().
  template <class Token = asio::use_awaitable_t<>>
  auto reply(const ConsumedRecord& request, Bytes answer, Token&& token = Token()) {
    return async::initiate<Ack>(
        *state_->link, std::forward<Token>(token),
        [state = state_](Completion<Ack> done, const ConsumedRecord& to, Bytes value) {
          start_reply(*state, to, value, std::move(done));
        },
        request, answer);
  }

  // Completes when every record sent so far is acknowledged or has failed, behind its handler.
  // Sends at once what lingers.
  template <class Token = asio::use_awaitable_t<>>
  auto flush(Token&& token = Token()) {
    return async::initiate<void>(
        *state_->link, std::forward<Token>(token),
        [state = state_](Completion<> done) { start_flush(*state, std::move(done)); });
  }

 private:
  friend class Client;
  struct State {
    std::shared_ptr<Link> link;
    std::shared_ptr<ProducerCore> core;
  };
  explicit Producer(State state) : state_(std::make_shared<State>(std::move(state))) {}
  static void start(State& state, const Record& record, Completion<Ack> done);
  static void start_reply(State& state, const ConsumedRecord& request, Bytes answer,
                          Completion<Ack> done);
  static void start_flush(State& state, Completion<> done);

  std::shared_ptr<State> state_;
};

}  // namespace leat
