// A broker, seen from an application that does not wait: every operation takes an Asio completion
// token (client/async.h), by default one to co_await. For threads that wait: client/blocking.h.
//
//   asio::awaitable<void> run() {
//     ClientOptions options{.broker = "leat://127.0.0.1:5328"};
//     Client client = co_await Client::connect(options);           // throws std::system_error
//     Producer producer = client.producer({.linger = 5ms});
//     Ack ack = co_await producer.send({Topic{"orders"}, Key{"42"}, bytes("hello")});
//     Consumer consumer = client.consumer(Group{"billing"}, {.topics = {"orders"}});
//     auto [ec, record] = co_await consumer.next(as_tuple(asio::use_awaitable));
//   }
//
// Failures are std::error_code of client/error_code.h, which also tells how to get at their detail.
// A lost connection is made again by itself, with back-off; operations go on or fail as they say.
// (GCC 12 destroys twice what is braced inside a co_await: name aggregates such as ClientOptions
// before. The types of records.h are safe.)
#pragma once

#include <memory>
#include <utility>

#include "client/admin.h"
#include "client/async.h"
#include "client/config.h"
#include "client/consumer.h"
#include "client/producer.h"
#include "client/requester.h"

namespace leat {

// Any thread. Producers, consumers, requesters and admins keep the connection alive beyond the
// client, which may be copied: it is the same one then.
namespace blocking {
class Client;
}

class Client {
 public:
  Client() = default;  // none: only to be assigned to

  // Completes with a Client that is connected. Errors: kInvalidAddress (of the broker, or of where
  // spans go), kUnreachable, kUnsupportedVersion; kIoError, when spans go to a file that cannot be
  // opened.
  template <class Token = asio::use_awaitable_t<>>
  static auto connect(ClientOptions options, Token&& token = Token()) {
    return connect_link(std::move(options), std::forward<Token>(token));
  }

  // Completes with the round-trip time. Errors: kTimedOut.
  template <class Token = asio::use_awaitable_t<>>
  auto ping(Token&& token = Token()) {
    return async::initiate<std::chrono::nanoseconds>(
        *link_, std::forward<Token>(token),
        [link = link_](auto done) { requests::ping(*link, std::move(done)); });
  }

  // At once, without asking the broker; what fails, fails in what is sent or read.
  Producer producer(const ProducerOptions& options = {}) const;
  Consumer consumer(ConsumerOptions options) const;
  Consumer consumer(Group group, ConsumerOptions options) const;
  Requester requester(RequesterOptions options) const;
  Admin admin() const { return Admin(link_); }

  // What became of its spans, with ClientOptions::trace.
  TraceStats trace_stats() const;
  // Exports the spans that have ended, and waits for that. False: not in time, or not at all.
  bool flush_traces(std::chrono::milliseconds patience) const;

  // The client's thread, where handlers without an executor run.
  asio::any_io_executor executor() const { return async::executor_of(*link_); }

 private:
  friend class blocking::Client;
  explicit Client(std::shared_ptr<Link> link) : link_(std::move(link)) {}
  static std::shared_ptr<Link> new_link(const ClientOptions& options);
  static void start_link(std::shared_ptr<Link> link, ClientOptions options,
                         Completion<Client> done);

  template <class Token>
  static auto connect_link(ClientOptions options, Token&& token) {
    std::shared_ptr<Link> link = new_link(options);
    Link& at = *link;
    return async::initiate<Client>(
        at, std::forward<Token>(token),
        [link = std::move(link)](Completion<Client> done, ClientOptions given) mutable {
          start_link(std::move(link), std::move(given), std::move(done));
        },
        std::move(options));
  }

  std::shared_ptr<Link> link_;
};

}  // namespace leat
