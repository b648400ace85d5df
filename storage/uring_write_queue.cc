#include "storage/uring_write_queue.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/eventfd.h>
#include <unistd.h>

#include "protocol/base/assert.h"

namespace leat::storage {
namespace {

// Registered memory is there from the start, used or not: enough for the groups of many small
// requests. Where writes are large, looking their pages up no longer counts.
constexpr std::size_t kRegisteredBytes = 64 << 10;
constexpr std::uint64_t kWakeTag = ~std::uint64_t{0};

int open_ring(io_uring& ring, unsigned entries) {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  const int error = io_uring_queue_init_params(entries, &ring, &params);
  if (error != -EINVAL) return error;
  params = {};  // before Linux 6.1
  return io_uring_queue_init_params(entries, &ring, &params);
}

bool has_operations(io_uring& ring) {
  io_uring_probe* probe = io_uring_get_probe_ring(&ring);
  if (!probe) return false;
  bool all = true;
  for (const int operation :
       {IORING_OP_READ, IORING_OP_WRITE, IORING_OP_WRITE_FIXED, IORING_OP_WRITEV})
    all = all && io_uring_opcode_supported(probe, operation);
  io_uring_free_probe(probe);
  return all && (ring.features & IORING_FEAT_EXT_ARG);  // waiting with a time limit
}

tl::unexpected<Error> refused(const char* what, int error) {
  return fail(ErrorCode::kUnsupportedRequest, std::string("io_uring cannot be used for files: ") +
                                                  what + ": " + std::strerror(-error));
}

}  // namespace

Result<std::unique_ptr<UringWriteQueue>> UringWriteQueue::open(std::size_t depth) {
  std::unique_ptr<UringWriteQueue> queue(new UringWriteQueue(depth));
  if (auto ok = queue->set_up(); !ok) return fail(ok.error());
  return queue;
}

Result<> UringWriteQueue::set_up() {
  ring_.ring_fd = -1;
  if (const int error = open_ring(ring_, static_cast<unsigned>(slots_.size()) + 1); error < 0) {
    ring_.ring_fd = -1;
    return refused("io_uring_setup", error);
  }
  if (!has_operations(ring_)) return refused("this kernel is older than Linux 5.11", -EOPNOTSUPP);
  event_ = ::eventfd(0, EFD_CLOEXEC);
  if (event_ < 0) return refused("eventfd", -errno);
  registered_.resize(slots_.size() * kRegisteredBytes);
  const iovec all{.iov_base = registered_.bytes().data(), .iov_len = registered_.bytes().size()};
  known_ = io_uring_register_buffers(&ring_, &all, 1) == 0;  // else a limit on locked memory
  return {};
}

UringWriteQueue::~UringWriteQueue() {
  if (ring_.ring_fd >= 0) io_uring_queue_exit(&ring_);
  if (event_ >= 0) ::close(event_);
}

MutableBytes UringWriteQueue::registered(Slot slot) {
  return registered_.bytes().subspan(slot * kRegisteredBytes, kRegisteredBytes);
}

MutableBytes UringWriteQueue::buffer(Slot slot, std::size_t bytes) {
  Write& write = slots_[slot];
  if (bytes <= kRegisteredBytes) {
    write.bytes = registered(slot).first(bytes);
  } else {
    write.large.resize(bytes);
    write.bytes = write.large.bytes();
  }
  return write.bytes;
}

io_uring_sqe* UringWriteQueue::entry(std::uint64_t tag) {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  LEAT_ASSERT(sqe);  // one for each slot, and the wake's
  sqe->user_data = tag;
  return sqe;
}

void UringWriteQueue::start(Slot slot, File& file, std::uint64_t at,
                            std::span<const Inlay> inlays) {
  Write& write = slots_[slot];
  write.file = &file;
  write.at = at;
  write.pieces = pieces_of(write.bytes, inlays);
  std::size_t size = 0;
  for (const Bytes piece : write.pieces) size += piece.size();
  if (in_flight_ == 0 && done_.empty() && size <= kRegisteredBytes) {
    count_call();
    return done_.push_back({slot, file.write(at, write.pieces)});
  }
  ++in_flight_;
  prepare(slot, file.descriptor());
  // A small one leaves with the call that waits; a large one shall not wait for its successor.
  if (size <= kRegisteredBytes) return;
  count_call();
  io_uring_submit(&ring_);
}

void UringWriteQueue::prepare(Slot slot, int file) {
  Write& write = slots_[slot];
  io_uring_sqe* sqe = entry(slot);
  const auto size = static_cast<unsigned>(write.bytes.size());
  if (write.pieces.size() > 1) {
    write.vector.clear();
    for (const Bytes piece : write.pieces)
      write.vector.push_back({const_cast<std::byte*>(piece.data()), piece.size()});
    io_uring_prep_writev(sqe, file, write.vector.data(), static_cast<unsigned>(write.vector.size()),
                         write.at);
  } else if (known_ && write.bytes.data() == registered(slot).data()) {
    io_uring_prep_write_fixed(sqe, file, write.bytes.data(), size, write.at, 0);
  } else {
    io_uring_prep_write(sqe, file, write.bytes.data(), size, write.at);
  }
  sqe->rw_flags = RWF_DSYNC;
}

void UringWriteQueue::submit_and_wait(Time until) {
  const auto left = until == Time::max() ? Time::duration::max() : until - Time::clock::now();
  int n;
  count_call();
  if (until == Time::max()) {
    n = io_uring_submit_and_wait(&ring_, 1);
  } else if (left <= Time::duration::zero()) {
    n = io_uring_submit_and_get_events(&ring_);
  } else {
    __kernel_timespec limit{.tv_sec = left / std::chrono::seconds(1),
                            .tv_nsec = (left % std::chrono::seconds(1)).count()};
    io_uring_cqe* first;
    n = io_uring_submit_and_wait_timeout(&ring_, &first, 1, &limit, nullptr);
  }
  LEAT_ASSERT(n >= 0 || n == -EINTR || n == -ETIME || n == -EAGAIN || n == -EBUSY || n == -ENOMEM);
}

std::vector<WriteQueue::Done> UringWriteQueue::wait(Time until) {
  if (!done_.empty()) return std::exchange(done_, {});
  if (!wake_armed_) io_uring_prep_read(entry(kWakeTag), event_, &wakes_, sizeof wakes_, 0);
  wake_armed_ = true;
  submit_and_wait(until);
  std::vector<Done> done;
  std::array<io_uring_cqe*, 32> completions;
  const unsigned n = io_uring_peek_batch_cqe(&ring_, completions.data(), completions.size());
  for (unsigned i = 0; i < n; ++i) {
    const std::uint64_t tag = completions[i]->user_data;
    if (tag == kWakeTag) {
      wake_armed_ = false;
      continue;
    }
    --in_flight_;
    const Write& write = slots_[tag];
    done.push_back({tag, write.file->end_write(write.at, write.pieces, completions[i]->res)});
  }
  io_uring_cq_advance(&ring_, n);
  return done;
}

void UringWriteQueue::wake() {
  count_call();
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(event_, &one, sizeof one);
}

}  // namespace leat::storage
