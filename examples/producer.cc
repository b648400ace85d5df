// Sends the lines of standard input to a topic and says where each is stored: callbacks, and a
// bound on what is under way, because a broker that is slow must slow its producers down.
//
//   producer URL TOPIC
#include <atomic>
#include <iostream>
#include <semaphore>
#include <string>

#include <asio/use_future.hpp>

#include "client/client.h"

int main(int argc, char** argv) {
  using namespace leat;
  if (argc != 3) {
    std::cerr << "usage: producer URL TOPIC\n";
    return 2;
  }
  constexpr int kUnderWay = 1'000;
  std::counting_semaphore<kUnderWay> room(kUnderWay);
  std::atomic<int> stored{0}, failed{0};
  const auto on_ack = [&](std::error_code error, const Ack& ack) {  // on the client's thread
    if (error)
      std::cerr << "producer: " << error.message() << "\n";
    else if (ack.duplicate)
      std::cerr << "producer: an earlier attempt had stored offset " << ack.offset.value << "\n";
    ++(error ? failed : stored);
    room.release();
  };
  try {
    Client client = Client::connect({.broker = argv[1]}, asio::use_future).get();
    client.admin().ensure_topic(Topic{argv[2]}, 4, asio::use_future).get();
    Producer producer = client.producer({.compression = Compression::kZstd});
    for (std::string line; std::getline(std::cin, line);) {
      room.acquire();
      producer.send({Topic{argv[2]}, Key{line}, bytes(line)}, on_ack);  // copies the line
    }
    producer.flush(asio::use_future).get();
  } catch (const std::system_error& error) {
    std::cerr << "producer: " << error.what() << "\n";
    return 1;
  }
  std::cout << stored << " stored, " << failed << " failed\n";
  return failed == 0 ? 0 : 1;
}
