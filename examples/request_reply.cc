// Asks what things cost and waits for the answers, over two topics: who asks knows the topic of
// those who answer, never one of them, and there may be many of both.
//
//   request_reply URL: asks three prices, and answers them itself
#include <iostream>
#include <string>

#include <asio/co_spawn.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>

#include "client/client.h"

namespace {

using namespace leat;
using namespace std::chrono_literals;
using asio::experimental::as_tuple;

constexpr const char* kItems[] = {"tea", "coffee", "water"};

asio::awaitable<void> answer(Consumer& consumer, Producer& producer) {
  for ([[maybe_unused]] const char* item : kItems) {
    const SharedRecord request = co_await consumer.next();
    const std::string price = std::to_string(request.value->size()) + ".90";  // by the letter
    co_await producer.reply(request, bytes(price));
    co_await consumer.commit();
  }
}

asio::awaitable<void> ask(Requester& requester) {
  for (const char* item : kItems) {
    auto [error, reply] =
        co_await requester.request({Topic{"prices"}, bytes(item)}, as_tuple(asio::use_awaitable));
    if (error)  // nobody answered in time, for one
      std::cerr << item << ": " << error.message() << "\n";
    else
      std::cout << item << ": " << as_text(*reply.value) << "\n";
  }
}

asio::awaitable<void> run(std::string broker) {
  const ClientOptions options{.broker = std::move(broker)};
  Client client = co_await Client::connect(options);
  Admin admin = client.admin();
  co_await admin.ensure_topic(Topic{"prices"}, 4);
  // Replies are worth nothing once nobody waits for them: in memory will do, and not for long.
  const TopicConfig brief{.durability = Durability::kMemory, .retention = {.time = 10min}};
  auto [exists, topic] =
      co_await admin.create_topic(Topic{"replies"}, 4, brief, as_tuple(asio::use_awaitable));
  if (exists && exists != ErrorCode::kTopicExists) throw std::system_error(exists);

  Consumer consumer = client.consumer(Group{"shop"}, {.topics = {"prices"}});
  Producer producer = client.producer({.linger = 0ms});  // somebody waits
  Requester requester = client.requester({.reply_topic = "replies", .timeout = 10s});
  using namespace asio::experimental::awaitable_operators;
  co_await (answer(consumer, producer) && ask(requester));
  co_await consumer.close();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: request_reply URL\n";
    return 2;
  }
  asio::io_context io;
  int status = 0;
  asio::co_spawn(io, run(argv[1]), [&](std::exception_ptr thrown) {
    try {
      if (thrown) std::rethrow_exception(thrown);
    } catch (const std::exception& error) {
      std::cerr << "request_reply: " << error.what() << "\n";
      status = 1;
    }
  });
  io.run();
  return status;
}
