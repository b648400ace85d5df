#include "server/reactor/uring_reactor.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/base/assert.h"

namespace leat::reactor {
namespace {

constexpr unsigned kSubmissions = 1024, kCompletions = 4096;
constexpr unsigned kBatch = 256;  // completions handled before output is handed over
constexpr int kTagShift = 56;     // the operation; the connection or listener is below it

// From the best to what any kernel takes. Deferred: completions are gathered until this thread asks
// for them, instead of interrupting it.
constexpr unsigned kSettings[] = {
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN,
    IORING_SETUP_COOP_TASKRUN, 0};

int open_ring(io_uring& ring) {
  int error = -EINVAL;
  for (const unsigned settings : kSettings) {
    io_uring_params params{};
    // The thread that runs it enables it: a single issuer is whoever does.
    params.flags = settings | IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL |
                   IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    params.cq_entries = kCompletions;
    error = io_uring_queue_init_params(kSubmissions, &ring, &params);
    if (error != -EINVAL) break;
  }
  return error;
}

// Multishot receive has no operation of its own to ask for; it came with zero-copy send (Linux
// 6.0), which we do not use.
bool has_operations(io_uring& ring) {
  io_uring_probe* probe = io_uring_get_probe_ring(&ring);
  if (!probe) return false;
  bool all = true;
  for (const int operation :
       {IORING_OP_ACCEPT, IORING_OP_RECV, IORING_OP_SEND, IORING_OP_SENDMSG, IORING_OP_READ,
        IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL, IORING_OP_CLOSE, IORING_OP_SEND_ZC})
    all = all && io_uring_opcode_supported(probe, operation);
  io_uring_free_probe(probe);
  return all;
}

tl::unexpected<Error> refused(const char* what, int error) {
  return fail(ErrorCode::kUnsupportedRequest,
              std::string("io_uring cannot be used: ") + what + ": " + std::strerror(-error));
}

// Runs `work` on a thread that ends at once. Whoever makes a ring counts among its users, and the
// kernel interrupts them when it is closed: calls of the host would fail with EINTR.
template <class Work>
void on_passing_thread(Work work) {
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread(std::move(work)).join();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace

// Where entries that send several slices point to, until they are submitted.
struct UringReactor::GatheredSends {
  static constexpr std::size_t kSends = 64;
  struct Send {
    msghdr message;
    std::array<iovec, kMostPieces> pieces;
  };
  std::array<Send, kSends> sends;
  std::size_t used = 0;
};

UringReactor::UringReactor(ReactorLimits limits, const Clock& clock)
    : SocketReactor(limits, clock), gathered_(std::make_unique_for_overwrite<GatheredSends>()) {
  ring_.ring_fd = -1;
}

Result<std::unique_ptr<UringReactor>> UringReactor::create(ReactorLimits limits,
                                                           const Clock& clock) {
  std::unique_ptr<UringReactor> reactor(new UringReactor(limits, clock));
  Result<> ok;
  on_passing_thread([&] { ok = reactor->set_up(); });
  if (!ok) return fail(ok.error());
  return reactor;
}

Result<> UringReactor::set_up() {
  if (event_ < 0) return refused("eventfd", -errno);
  if (const int error = open_ring(ring_); error < 0) {
    ring_.ring_fd = -1;
    return refused("io_uring_setup", error);
  }
  if (!has_operations(ring_)) return refused("this kernel is older than Linux 6.0", -EOPNOTSUPP);
  if (const int error = buffers_.set_up(ring_, limits().receive_bytes); error < 0)
    return refused("registering buffers", error);
  return {};
}

UringReactor::~UringReactor() {
  if (ring_.ring_fd >= 0) io_uring_queue_exit(&ring_);
}

// ---- entries ----

io_uring_sqe* UringReactor::entry(Operation operation, std::uint64_t of) {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  while (!entry) {
    submit();
    entry = io_uring_get_sqe(&ring_);
  }
  // What io_uring_prep_… sets leaves this alone.
  entry->user_data = static_cast<std::uint64_t>(operation) << kTagShift | of;
  if (operation != Operation::kIgnored) ++in_flight_;
  return entry;
}

void UringReactor::submit() {
  count_call();
  const int n = io_uring_submit(&ring_);
  LEAT_ASSERT(n >= 0 || n == -EINTR || n == -EAGAIN || n == -EBUSY || n == -ENOMEM);
  if (io_uring_sq_ready(&ring_) == 0) gathered_->used = 0;
}

void UringReactor::cancel(Operation operation, std::uint64_t of) {
  io_uring_sqe* sqe = entry(Operation::kIgnored, 0);
  io_uring_prep_cancel64(sqe, static_cast<std::uint64_t>(operation) << kTagShift | of, 0);
  io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
}

void UringReactor::watch_listener(std::size_t listener) {
  if (handler_) arm_accept(listener);
}

void UringReactor::arm_accept(std::size_t listener) {
  const int fd = listeners_.fd(listener);
  if (fd < 0) return;
  // With the flag the kernel would answer "would block" instead of waiting.
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  io_uring_prep_multishot_accept(entry(Operation::kAccept, listener), fd, nullptr, nullptr,
                                 SOCK_CLOEXEC);
}

void UringReactor::arm_wake() {
  io_uring_prep_read(entry(Operation::kWake, 0), event_, &wakes_, sizeof wakes_, 0);
}

void UringReactor::flush(ConnectionId id, Connection& connection) {
  while (gathered_->used == GatheredSends::kSends) submit();
  io_uring_sqe* sqe = entry(Operation::kSend, id.value);  // first: it may submit
  GatheredSends::Send& send = gathered_->sends[gathered_->used];
  const std::size_t count = connection.output.gather(send.pieces);
  if (count == 1) {
    io_uring_prep_send(sqe, connection.fd, send.pieces[0].iov_base, send.pieces[0].iov_len,
                       MSG_NOSIGNAL);
  } else {
    send.message = {};
    send.message.msg_iov = send.pieces.data();
    send.message.msg_iovlen = count;
    io_uring_prep_sendmsg(sqe, connection.fd, &send.message, MSG_NOSIGNAL);
    ++gathered_->used;
  }
  connection.writing = true;
  if (!connection.waiting) deadlines_.waits(connection.waiting, id, flush_time_);
}

void UringReactor::drop(ConnectionId id, Connection& of) {
  auto& connection = static_cast<UringConnection&>(of);
  // Unread input would turn the close into a reset and take the last reply with it.
  if (connection.closing) ::shutdown(connection.fd, SHUT_WR);
  if (connection.armed && !connection.cancelling) cancel(Operation::kReceive, id.value);
  if (connection.writing) {
    cancel(Operation::kSend, id.value);
    leaving_.emplace(id, std::move(connection.output));
  }
  if (connection.landing) leaving_landings_.emplace(id, std::move(connection.landing));
  // Behind the entries that name this descriptor, or they would meet whoever gets its number next.
  io_uring_sqe* sqe = entry(Operation::kIgnored, 0);
  io_uring_prep_close(sqe, connection.fd);
  io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
  erase(id, connection);
}

void UringReactor::stop_listening() {
  if (handler_) {
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
      if (listeners_.fd(i) < 0) continue;
      cancel(Operation::kAccept, i);
      cancel(Operation::kPoll, i);
    }
    submit();  // before the descriptors are anybody else's
  }
  listeners_.close();
}

// ---- the loop ----

void UringReactor::run(ReactorHandler& handler) {
  handler_ = &handler;
  stopping_ = false;
  begin();
  while (!stopping_) {
    wait();
    handle_completions();
    deliver_held();
    after_events();
  }
  finish();
  handler_ = nullptr;
}

void UringReactor::begin() {
  if (!enabled_) LEAT_ASSERT(io_uring_enable_rings(&ring_) == 0);
  enabled_ = true;
  io_uring_register_ring_fd(&ring_);  // spares a look-up per call; fine if refused
  arm_wake();
  for (std::size_t i = 0; i < listeners_.size(); ++i) arm_accept(i);
  for (auto& [id, connection] : connections_) update_reading(id, *connection);
}

void UringReactor::wait() {
  const auto idle = resumed_.empty() ? idle_time() : Duration::zero();
  int n;
  count_call();
  if (!idle) {
    n = io_uring_submit_and_wait(&ring_, 1);
  } else if (*idle == Duration::zero()) {
    n = io_uring_submit_and_get_events(&ring_);
  } else {
    __kernel_timespec limit{.tv_sec = *idle / std::chrono::seconds(1),
                            .tv_nsec = (*idle % std::chrono::seconds(1)).count()};
    io_uring_cqe* first;
    n = io_uring_submit_and_wait_timeout(&ring_, &first, 1, &limit, nullptr);
  }
  LEAT_ASSERT(n >= 0 || n == -EINTR || n == -ETIME || n == -EAGAIN || n == -EBUSY || n == -ENOMEM);
  if (io_uring_sq_ready(&ring_) == 0) gathered_->used = 0;
}

std::size_t UringReactor::handle_completions() {
  std::array<io_uring_cqe*, kBatch> completions;
  const unsigned n = io_uring_peek_batch_cqe(&ring_, completions.data(), kBatch);
  for (unsigned i = 0; i < n; ++i) {
    const io_uring_cqe& completion = *completions[i];
    handle(completion.user_data, completion.res, completion.flags);
  }
  io_uring_cq_advance(&ring_, n);
  return n;
}

void UringReactor::handle(std::uint64_t tag, int result, std::uint32_t flags) {
  const auto operation = static_cast<Operation>(tag >> kTagShift);
  const std::uint64_t of = tag & ((std::uint64_t{1} << kTagShift) - 1);
  if (operation != Operation::kIgnored && !(flags & IORING_CQE_F_MORE)) --in_flight_;
  switch (operation) {
    case Operation::kIgnored:
      return;
    case Operation::kAccept:
      return on_accepted(static_cast<std::size_t>(of), result, flags);
    case Operation::kPoll:
      if (!finishing_) arm_accept(static_cast<std::size_t>(of));
      return;
    case Operation::kWake:
      return on_woken();
    case Operation::kReceive:
      return on_received(ConnectionId(of), result, flags);
    case Operation::kSend:
      return on_sent(ConnectionId(of), result);
  }
}

// Lets what was queued leave as far as nobody must be waited for, then takes back from the kernel
// everything that points into this process.
void UringReactor::finish() {
  finishing_ = true;
  do {
    flush_dirty();
    io_uring_submit_and_get_events(&ring_);
    while (handle_completions() > 0) continue;
  } while (output_waits());
  io_uring_sqe* sqe = entry(Operation::kIgnored, 0);
  io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
  while (in_flight_ > 0) {
    io_uring_submit_and_wait(&ring_, 1);
    handle_completions();
  }
  io_uring_submit(&ring_);  // descriptors to close
  io_uring_unregister_ring_fd(&ring_);
  resumed_.clear();
  finishing_ = false;
}

// ---- completions ----

void UringReactor::on_woken() {
  if (finishing_) return;
  arm_wake();
  handler_->on_wake();
}

void UringReactor::on_accepted(std::size_t listener, int result, std::uint32_t flags) {
  if (result >= 0 && (finishing_ || listeners_.fd(listener) < 0)) {
    ::close(result);
  } else if (result >= 0) {
    if (const auto id = admit(result, listener)) {
      handler_->on_accept(*id, listener);
      if (Connection* connection = find(*id)) update_reading(*id, *connection);
    }
  }
  if (flags & IORING_CQE_F_MORE || finishing_ || listeners_.fd(listener) < 0) return;
  if (result >= 0) return arm_accept(listener);
  // Without descriptors an accept fails at once although nobody waits: armed again right away it
  // would fail for ever.
  if (result == -EMFILE || result == -ENFILE) listeners_.shed();
  io_uring_prep_poll_add(entry(Operation::kPoll, listener), listeners_.fd(listener), POLLIN);
}

void UringReactor::on_sent(ConnectionId id, int result) {
  if (leaving_.erase(id) > 0) return;
  Connection* connection = find(id);
  if (!connection) return;
  connection->writing = false;
  const bool again = result == -EINTR || result == -EAGAIN;
  if (result < 0 && !again) return finishing_ ? void() : lost(id);
  if (!again) connection->output.sent(static_cast<std::size_t>(result));
  if (!connection->output.empty()) mark_dirty(id, *connection);
  written(id, *connection, result > 0);
}

}  // namespace leat::reactor
