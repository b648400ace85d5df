#include "tests/raw_connection.h"

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

namespace leat::test {
namespace {

constexpr int kHangSeconds = 60;

int connect_to(const std::string& url) {
  sockaddr_storage name{};
  socklen_t size = 0;
  if (url.starts_with("unix://")) {
    auto* un = reinterpret_cast<sockaddr_un*>(&name);
    un->sun_family = AF_UNIX;
    std::strncpy(un->sun_path, url.c_str() + 7, sizeof un->sun_path - 1);
    size = sizeof *un;
  } else {
    auto* in = reinterpret_cast<sockaddr_in*>(&name);
    in->sin_family = AF_INET;
    in->sin_port = htons(static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1))));
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    size = sizeof *in;
  }
  const int fd = ::socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval hang{.tv_sec = kHangSeconds, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &hang, sizeof hang);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&name), size) != 0)
    throw std::runtime_error("connecting to " + url + ": " + std::strerror(errno));
  return fd;
}

}  // namespace

RawConnection::RawConnection(const std::string& url) : fd_(connect_to(url)) {}
RawConnection::~RawConnection() {
  ::close(fd_);
}

void RawConnection::send(Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;  // the broker has closed: what it said can still be read
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void RawConnection::send(const native::Request& request, std::uint64_t correlation) {
  std::vector<std::byte> frame;
  native::encode(CorrelationId(correlation), request, frame);
  send(frame);
}

void RawConnection::hello() {
  send(native::Hello{});
  const native::Reply* reply = receive();
  if (!reply || !std::holds_alternative<native::HelloReply>(*reply))
    throw std::runtime_error("no HelloReply");
}

const native::Reply* RawConnection::receive() {
  received_.erase(received_.begin(), received_.begin() + static_cast<std::ptrdiff_t>(used_));
  used_ = 0;
  for (;;) {
    const auto frame = native::parse_frame(received_, {});
    if (!frame) throw std::runtime_error(frame.error().message());
    if (*frame) {
      auto decoded = native::decode_reply(**frame, aligned_);
      if (!decoded) throw std::runtime_error(decoded.error().message());
      used_ = (*frame)->frame_bytes;
      correlation_ = decoded->correlation.value;
      reply_ = std::move(decoded->message);
      return &reply_;
    }
    std::byte bytes[65536];
    const ssize_t n = ::recv(fd_, bytes, sizeof bytes, 0);
    if (n < 0 && errno == EAGAIN) throw std::runtime_error("the broker hangs");
    if (n <= 0) return nullptr;
    received_.insert(received_.end(), bytes, bytes + n);
  }
}

}  // namespace leat::test
