#include "server/reactor/listeners.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/reactor/sockets.h"

namespace leat::reactor {
namespace {

int open_spare() {
  return ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

// Whether or not the socket blocks, this does not.
int accept_now(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  const int accepted = ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
  ::fcntl(fd, F_SETFL, flags);
  return accepted;
}

}  // namespace

Listeners::Listeners() : spare_(open_spare()) {}

Listeners::~Listeners() {
  close();
  if (spare_ >= 0) ::close(spare_);
}

Result<Address> Listeners::open(const Address& address) {
  Address bound = address;
  auto fd = open_listener(address, bound);
  if (!fd) return fail(fd.error());
  listeners_.push_back({*fd, address.unix_path});
  return bound;
}

void Listeners::close() {
  for (Listener& listener : listeners_) {
    if (listener.fd < 0) continue;
    ::close(listener.fd);
    listener.fd = -1;
    if (!listener.unix_path.empty()) ::unlink(listener.unix_path.c_str());
  }
}

void Listeners::shed() {
  if (spare_ >= 0) ::close(spare_);
  for (const Listener& listener : listeners_) {
    const int fd = listener.fd < 0 ? -1 : accept_now(listener.fd);
    if (fd >= 0) ::close(fd);
  }
  spare_ = open_spare();
}

}  // namespace leat::reactor
