#include "server/reactor/refused_connections.h"

#include <sys/socket.h>
#include <unistd.h>

namespace leat::reactor {

RefusedConnections::~RefusedConnections() {
  while (!staying_.empty()) close_oldest();
}

void RefusedConnections::refuse(int fd, Bytes why, MonotonicTime now) {
  // First: whoever sees the end of this one finds no more than kMost descriptors in use.
  if (staying_.size() == kMost) close_oldest();
  if (why.empty() || ::send(fd, why.data(), why.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    ::close(fd);
    return;
  }
  ::shutdown(fd, SHUT_WR);
  staying_.push_back({fd, now + kStay});
}

std::optional<MonotonicTime> RefusedConnections::next() const {
  if (staying_.empty()) return std::nullopt;
  return staying_.front().until;
}

void RefusedConnections::close_due(MonotonicTime now) {
  while (!staying_.empty() && staying_.front().until <= now) close_oldest();
}

void RefusedConnections::close_oldest() {
  ::close(staying_.front().fd);
  staying_.pop_front();
}

}  // namespace leat::reactor
