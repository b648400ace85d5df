#include "bench/kafka/kafka_start.h"

#include <array>
#include <memory>
#include <stdexcept>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/kafka/kafka_client.h"
#include "bench/kafka/leatd.h"
#include "bench/measure.h"

namespace leat::bench {
namespace {

class Connection {
 public:
  explicit Connection(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd_ < 0 || ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      throw std::runtime_error("cannot connect to leatd");
  }
  ~Connection() { ::close(fd_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // As clients begin: ApiVersions, version 0, without a client id.
  void greet() {
    constexpr std::array<unsigned char, 14> kRequest = {0, 0, 0, 10, 0,    18,  0,
                                                        0, 0, 0, 0,  0x01, 255, 255};
    if (::send(fd_, kRequest.data(), kRequest.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(kRequest.size()))
      throw std::runtime_error("leatd does not take ApiVersions");
    std::array<unsigned char, 4> length{};
    receive(length.data(), length.size());
    std::vector<unsigned char> answer(std::size_t{length[2]} << 8 | length[3]);
    receive(answer.data(), answer.size());
  }

 private:
  void receive(unsigned char* to, std::size_t bytes) {
    if (::recv(fd_, to, bytes, MSG_WAITALL) != static_cast<ssize_t>(bytes))
      throw std::runtime_error("leatd does not answer ApiVersions");
  }
  int fd_;
};

std::uint16_t port_of(const std::string& address) {
  return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

}  // namespace

IdleConnections idle_kafka_connections(const std::string& leatd, const std::string& directory,
                                       int count) {
  const Leatd broker(leatd, directory);
  const auto port = port_of(broker.kafka());
  std::vector<std::unique_ptr<Connection>> connections;
  const auto open = [&] {
    connections.push_back(std::make_unique<Connection>(port));
    connections.back()->greet();
  };
  for (int i = 0; i < 10; ++i) open();  // what the first ones make the process touch is not theirs
  const double before = broker.resident_kib();
  for (int i = 0; i < count; ++i) open();
  return {count, (broker.resident_kib() - before) / count, before};
}

FirstAck first_kafka_ack(const std::string& leatd, const std::string& directory) {
  const auto began = Clock::now();
  const Leatd broker(leatd, directory);
  FirstAck result{.ready_ms = seconds_since(began) * 1e3, .acked_ms = 0};
  kafka_produce({{"bootstrap.servers", broker.kafka()}}, "first", 100, 0);
  result.acked_ms = seconds_since(began) * 1e3;
  return result;
}

}  // namespace leat::bench
