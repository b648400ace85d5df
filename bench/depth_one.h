// Many connections that each send one record and wait for its ack, on one thread: what the broker
// gives when hardly any processor time goes into its clients.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/native/codec.h"

namespace leat::bench {

class DepthOne {
 public:
  // `url` as Server::listeners() gives it, of a TCP listener on this machine. Throws
  // std::runtime_error, as run() does.
  DepthOne(const std::string& url, TopicId topic, std::int32_t partitions, int connections,
           std::size_t value_bytes);
  ~DepthOne();
  DepthOne(const DepthOne&) = delete;
  DepthOne& operator=(const DepthOne&) = delete;

  // `each` records a connection.
  void run(std::uint64_t each);

 private:
  struct Connection {
    int fd = -1;
    std::vector<std::byte> request, received;
    std::uint64_t left = 0;
  };
  void say_hello(Connection& connection);
  void send(Connection& connection, Bytes frame);
  const native::Reply* receive(Connection& connection);
  bool answered(Connection& connection);

  int epoll_;
  std::vector<Connection> connections_;
  native::AlignedEnvelope aligned_;
  native::Reply reply_;
};

}  // namespace leat::bench
