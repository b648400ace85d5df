#include "server/reactor/sockets.h"

#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace leat::reactor {
namespace {

constexpr int kBacklog = 1024;

std::string shown(const Address& address) {
  return address.unix_path.empty() ? address.host + ":" + std::to_string(address.port)
                                   : address.unix_path;
}

tl::unexpected<Error> failed(const Address& address) {
  const int error = errno;
  const std::string detail = shown(address) + ": " + std::strerror(error);
  if (error == EADDRINUSE)
    return fail(ErrorCode::kAddressInUse,
                detail + "; stop what listens there or choose another with --listen");
  if (error == EACCES || error == EPERM) return fail(ErrorCode::kNotAllowed, detail);
  if (error == EADDRNOTAVAIL || error == ENOENT || error == ENOTDIR)
    return fail(ErrorCode::kInvalidAddress, detail);
  return fail(ErrorCode::kIoError, detail);
}

// A file left by a process that is gone, as nobody answers on it.
bool stale(const sockaddr_un& name) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool refused = ::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 &&
                       errno == ECONNREFUSED;
  ::close(fd);
  return refused;
}

Result<int> listen_unix(const Address& address) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (address.unix_path.size() >= sizeof name.sun_path)
    return fail(ErrorCode::kInvalidAddress,
                address.unix_path + ": a Unix socket's path has at most " +
                    std::to_string(sizeof name.sun_path - 1) + " bytes");
  std::memcpy(name.sun_path, address.unix_path.data(), address.unix_path.size());
  if (stale(name)) ::unlink(address.unix_path.c_str());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return failed(address);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 ||
      ::listen(fd, kBacklog) != 0) {
    auto error = failed(address);
    ::close(fd);
    return error;
  }
  return fd;
}

Result<int> bind_tcp(const Address& address, const addrinfo& found) {
  const int fd = ::socket(found.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return failed(address);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (found.ai_family == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (::bind(fd, found.ai_addr, found.ai_addrlen) != 0 || ::listen(fd, kBacklog) != 0) {
    auto error = failed(address);
    ::close(fd);
    return error;
  }
  return fd;
}

std::uint16_t bound_port(int fd) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size);
  std::uint16_t port = 0;  // at the same place in both families
  std::memcpy(&port, reinterpret_cast<const char*>(&name) + offsetof(sockaddr_in, sin_port),
              sizeof port);
  return ntohs(port);
}

}  // namespace

Result<int> open_listener(const Address& address, Address& bound) {
  if (!address.unix_path.empty()) return listen_unix(address);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error =
      ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (error != 0)
    return fail(ErrorCode::kInvalidAddress, "'" + address.host + "': " + ::gai_strerror(error));
  auto fd = bind_tcp(address, *found);
  ::freeaddrinfo(found);
  if (fd) bound.port = bound_port(*fd);
  return fd;
}

std::string peer_of(int fd) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  char text[INET6_ADDRSTRLEN] = "";
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0) return {};
  if (name.ss_family == AF_INET) {
    const auto& address = reinterpret_cast<const sockaddr_in&>(name).sin_addr;
    ::inet_ntop(AF_INET, &address, text, sizeof text);
  } else if (name.ss_family == AF_INET6) {
    const auto& address = reinterpret_cast<const sockaddr_in6&>(name).sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&address))
      ::inet_ntop(AF_INET, &address.s6_addr[12], text, sizeof text);
    else
      ::inet_ntop(AF_INET6, &address, text, sizeof text);
  }
  return text;
}

void prepare_connection(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // fails on Unix sockets: fine
}

}  // namespace leat::reactor
