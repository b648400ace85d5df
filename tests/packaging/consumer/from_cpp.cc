// The C++ client and server, from an install tree: the asynchronous face, and the one that waits.
#include <cstdio>
#include <exception>

#include <asio.hpp>

#include "client/client.h"
#include "server/server.h"

namespace {
asio::awaitable<void> produce(leat::Client client) {
  leat::Producer producer = client.producer();
  co_await producer.send({leat::Topic{"t"}, leat::Key{"k"}, leat::bytes("hello")});
}
}  // namespace

int main(int, char** argv) {
  auto server = leat::Server::open({.data_dir = argv[1], .memory_bytes = 16 << 20});
  if (!server) return std::fprintf(stderr, "%s\n", server.error().message().c_str()), 1;
  auto client = (*server)->connect_local();
  if (!client || !client->create_topic("t", 1)) return 1;
  asio::io_context io;
  asio::co_spawn(io, produce(client->async()), [](std::exception_ptr thrown) {
    if (thrown) std::rethrow_exception(thrown);
  });
  io.run();
  auto consumer = client->consumer({.topics = {"t"}});
  if (!consumer) return 1;
  const auto records = (*consumer)->poll(std::chrono::seconds(60));
  if (!records || records->size() != 1) return 1;
  std::printf("leat %s from C++\n", std::string(leat::version()).c_str());
  return 0;
}
