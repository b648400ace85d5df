// How UringReactor receives: into buffers that the kernel picks, or where the handler wants it.
#include <cerrno>
#include <utility>

#include <sys/socket.h>

#include "server/reactor/uring_reactor.h"

namespace leat::reactor {

void UringReactor::update_reading(ConnectionId id, Connection& of) {
  auto& connection = static_cast<UringConnection&>(of);
  if (finishing_) return;
  if (!connection.reads()) {
    if (connection.armed && !connection.cancelling) cancel(Operation::kReceive, id.value);
    connection.cancelling = connection.armed;
    return;
  }
  if (connection.waits() || connection.ended) resumed_.push_back(id);
  // While one is being cancelled its last completion comes first, and arms the next.
  if (connection.armed || connection.ended) return;
  if (!arm_landing(id, connection)) arm_receive(id, connection);
  connection.armed = true;
}

// Into the buffers, until it is cancelled; once only where a landing is likely to be wanted next.
void UringReactor::arm_receive(ConnectionId id, UringConnection& connection) {
  io_uring_sqe* sqe = entry(Operation::kReceive, id.value);
  if (std::exchange(connection.in_turns, false))
    io_uring_prep_recv(sqe, connection.fd, nullptr, 0, 0);
  else
    io_uring_prep_recv_multishot(sqe, connection.fd, nullptr, 0, 0);
  io_uring_sqe_set_flags(sqe, IOSQE_BUFFER_SELECT);
  sqe->buf_group = ReceiveBuffers::kGroup;
}

// A frame is begun: the rest of it goes where it is wanted, and is told once it is all there.
bool UringReactor::arm_landing(ConnectionId id, UringConnection& connection) {
  Landing wanted = landing(id, connection);
  if (wanted.place.empty()) return false;
  io_uring_prep_recv(entry(Operation::kReceive, id.value), connection.fd, wanted.place.data(),
                     wanted.place.size(), MSG_WAITALL);
  connection.landing = std::move(wanted.owner);
  connection.in_turns = true;
  return true;
}

Landing UringReactor::landing(ConnectionId id, const UringConnection& connection) const {
  if (!handler_ || connection.waits()) return {};  // those go there first
  return handler_->landing(id);
}

void UringReactor::on_received(ConnectionId id, int result, std::uint32_t flags) {
  auto* connection = static_cast<UringConnection*>(find(id));
  if (!connection) leaving_landings_.erase(id);
  if (connection && connection->landing)
    deliver_landed(id, *connection, result);
  else if (connection && !finishing_)
    deliver(id, *connection, buffers_.bytes(flags, result));
  buffers_.give_back(flags);
  connection = static_cast<UringConnection*>(find(id));
  if (!connection) return;
  if (flags & IORING_CQE_F_MORE) {
    // Then the last completion arms what is wanted.
    if (finishing_ || !connection->reads() || connection->cancelling ||
        landing(id, *connection).place.empty())
      return;
    connection->cancelling = true;
    return cancel(Operation::kReceive, id.value);
  }
  connection->armed = connection->cancelling = false;
  const bool goes_on = result > 0 || result == -ECANCELED || result == -ENOBUFS ||
                       result == -EINTR || result == -EAGAIN;
  if (goes_on) return update_reading(id, *connection);
  connection->ended = true;
  if (!finishing_ && connection->reads() && !connection->waits()) lost(id);
}

void UringReactor::deliver(ConnectionId id, UringConnection& connection, Bytes bytes) {
  if (bytes.empty() || connection.closing) return;
  if (!connection.paused && !connection.waits()) return handler_->on_receive(id, bytes);
  connection.held.insert(connection.held.end(), bytes.begin(), bytes.end());
}

void UringReactor::deliver_landed(ConnectionId id, UringConnection& connection, int result) {
  connection.landing.reset();
  if (result <= 0 || finishing_ || connection.closing) return;
  const auto bytes = static_cast<std::size_t>(result);
  if (!connection.paused) return handler_->on_landed(id, bytes);
  connection.landed = bytes;
}

void UringReactor::deliver_held() {
  for (const ConnectionId id : std::exchange(resumed_, {})) {
    auto* connection = static_cast<UringConnection*>(find(id));
    if (!connection || !connection->reads()) continue;
    if (const std::size_t landed = std::exchange(connection->landed, 0))
      handler_->on_landed(id, landed);
    connection = static_cast<UringConnection*>(find(id));
    if (!connection || !connection->reads()) continue;
    const std::vector<std::byte> held = std::exchange(connection->held, {});
    if (!held.empty()) handler_->on_receive(id, held);
    connection = static_cast<UringConnection*>(find(id));
    if (connection && connection->reads() && !connection->waits() && connection->ended) lost(id);
  }
}

}  // namespace leat::reactor
