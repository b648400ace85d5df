// Reads orders, writes receipts, on one thread with coroutines: each receipt is stored before its
// order is committed, so that none is missing whatever breaks.
//
//   coroutine URL: sends ten orders, and ends when there are ten receipts
#include <iostream>
#include <string>

#include <asio/co_spawn.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <asio/io_context.hpp>

#include "client/client.h"

namespace {

using namespace leat;
using asio::experimental::as_tuple;

constexpr int kOrders = 10;

asio::awaitable<void> order(Producer& producer) {
  for (int i = 0; i < kOrders; ++i) {
    const std::string number = std::to_string(i);
    co_await producer.send({Topic{"orders"}, Key{number}, bytes("one coffee")});  // throws
  }
}

asio::awaitable<void> serve(Consumer& consumer, Producer& producer) {
  for (int served = 0; served < kOrders; ++served) {
    const SharedRecord record = co_await consumer.next();
    const std::string receipt = "paid: " + std::string(as_text(*record.value));
    auto [error, ack] = co_await producer.send(
        {Topic{"receipts"}, Key{*record.key}, bytes(receipt)}, as_tuple(asio::use_awaitable));
    if (error) {
      std::cerr << "order " << as_text(*record.key) << ": " << error.message() << "\n";
      co_return;
    }
    std::cout << "order " << as_text(*record.key) << " " << receipt << "\n";
    co_await consumer.commit();
  }
}

asio::awaitable<void> run(std::string broker) {
  const ClientOptions options{.broker = std::move(broker)};
  Client client = co_await Client::connect(options);
  Admin admin = client.admin();
  co_await admin.ensure_topic(Topic{"orders"}, 4);
  co_await admin.ensure_topic(Topic{"receipts"}, 4);
  Producer producer = client.producer({.linger = std::chrono::milliseconds(1)});
  Consumer consumer = client.consumer(Group{"counter"}, {.topics = {"orders"}});
  co_await order(producer);
  co_await serve(consumer, producer);
  co_await consumer.close();  // the group need not wait for this member
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: coroutine URL\n";
    return 2;
  }
  asio::io_context io;
  int status = 0;
  asio::co_spawn(io, run(argv[1]), [&](std::exception_ptr thrown) {
    try {
      if (thrown) std::rethrow_exception(thrown);
    } catch (const std::exception& error) {
      std::cerr << "coroutine: " << error.what() << "\n";
      status = 1;
    }
  });
  io.run();
  return status;
}
