#include "bench/depth_one.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/record_batch.h"

namespace leat::bench {
namespace {

int connect_to(const std::string& url) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1))));
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int yes = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0)
    throw std::runtime_error("connecting to " + url + ": " + std::strerror(errno));
  return fd;
}

std::vector<std::byte> frame_of(const native::Request& request) {
  std::vector<std::byte> frame;
  native::encode(CorrelationId(1), request, frame);
  return frame;
}

}  // namespace

DepthOne::DepthOne(const std::string& url, TopicId topic, std::int32_t partitions, int connections,
                   std::size_t value_bytes)
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)), connections_(static_cast<std::size_t>(connections)) {
  const std::string value(value_bytes, 'v');
  RecordBatchBuilder batch;
  batch.append({{}, as_bytes(value), {}}, 0);
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    Connection& connection = connections_[i];
    connection.fd = connect_to(url);
    const PartitionIndex partition(static_cast<std::int32_t>(i) % partitions);
    connection.request = frame_of(native::Produce{topic, partition, batch.finish()});
    say_hello(connection);
    epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event) != 0)
      throw std::runtime_error(std::string("epoll_ctl: ") + std::strerror(errno));
  }
}

DepthOne::~DepthOne() {
  for (const Connection& connection : connections_)
    if (connection.fd >= 0) ::close(connection.fd);
  ::close(epoll_);
}

void DepthOne::run(std::uint64_t each) {
  std::size_t busy = connections_.size();
  for (Connection& connection : connections_) {
    connection.left = each;
    send(connection, connection.request);
  }
  std::array<epoll_event, 64> events;
  while (busy > 0) {
    const int n = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < n; ++i) {
      Connection& connection = connections_[events[static_cast<std::size_t>(i)].data.u64];
      if (!answered(connection)) continue;
      if (--connection.left == 0)
        --busy;
      else
        send(connection, connection.request);
    }
  }
}

void DepthOne::say_hello(Connection& connection) {
  send(connection, frame_of(native::Hello{}));
  const native::Reply* reply = nullptr;
  while (!reply) reply = receive(connection);
  if (!std::holds_alternative<native::HelloReply>(*reply))
    throw std::runtime_error("the broker refuses the connection");
}

void DepthOne::send(Connection& connection, Bytes frame) {
  while (!frame.empty()) {
    const ssize_t n = ::send(connection.fd, frame.data(), frame.size(), MSG_NOSIGNAL);
    if (n <= 0) throw std::runtime_error(std::string("sending: ") + std::strerror(errno));
    frame = frame.subspan(static_cast<std::size_t>(n));
  }
}

// Nothing while it is incomplete.
const native::Reply* DepthOne::receive(Connection& connection) {
  std::array<std::byte, 4096> bytes;
  const ssize_t n = ::recv(connection.fd, bytes.data(), bytes.size(), 0);
  if (n <= 0) throw std::runtime_error("the broker closed a connection");
  auto& received = connection.received;
  received.insert(received.end(), bytes.begin(), bytes.begin() + n);
  const auto frame = native::parse_frame(received, {});
  if (!frame) throw std::runtime_error(frame.error().message());
  if (!*frame) return nullptr;
  auto decoded = native::decode_reply(**frame, aligned_);
  if (!decoded) throw std::runtime_error(decoded.error().message());
  reply_ = std::move(decoded->message);
  received.clear();  // at depth 1 nothing is behind it
  return &reply_;
}

bool DepthOne::answered(Connection& connection) {
  const native::Reply* reply = receive(connection);
  if (reply && !std::holds_alternative<native::ProduceReply>(*reply))
    throw std::runtime_error("the broker did not store a record");
  return reply != nullptr;
}

}  // namespace leat::bench
