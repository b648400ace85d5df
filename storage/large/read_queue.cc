#include "storage/large/read_queue.h"

#include <algorithm>
#include <cerrno>

#include <liburing.h>

#include "protocol/base/assert.h"

namespace leat::storage {
namespace {

class UringReads final : public ReadQueue {
 public:
  explicit UringReads(unsigned depth) : depth_(depth) {
    open_ = io_uring_queue_init(depth, &ring_, 0) == 0;
  }
  ~UringReads() override {
    if (open_) io_uring_queue_exit(&ring_);
  }
  UringReads(const UringReads&) = delete;
  UringReads& operator=(const UringReads&) = delete;
  bool usable() const { return open_; }

  void read(std::span<Read> reads) override {
    while (!reads.empty()) {
      const auto now = reads.first(std::min<std::size_t>(reads.size(), depth_));
      if (now.size() == 1)
        ReadsInTurn().read(now);
      else
        read_together(now);
      reads = reads.subspan(now.size());
    }
  }

 private:
  void read_together(std::span<Read> reads) {
    for (Read& one : reads) {
      io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
      LEAT_ASSERT(sqe);
      io_uring_prep_read(sqe, one.file->descriptor(), one.into.data(),
                         static_cast<unsigned>(one.into.size()), one.at);
      io_uring_sqe_set_data(sqe, &one);
    }
    for (std::size_t left = reads.size(); left > 0;) {
      const int n = io_uring_submit_and_wait(&ring_, 1);
      LEAT_ASSERT(n >= 0 || n == -EINTR || n == -EAGAIN || n == -EBUSY || n == -ENOMEM);
      io_uring_cqe* done;
      while (left > 0 && io_uring_peek_cqe(&ring_, &done) == 0) {
        finish(*static_cast<Read*>(io_uring_cqe_get_data(done)), done->res);
        io_uring_cqe_seen(&ring_, done);
        --left;
      }
    }
  }

  // A short or refused one is made again by the file, which knows what to do about either.
  static void finish(Read& one, int result) {
    if (result == static_cast<int>(one.into.size()))
      one.result = one.into.size();
    else
      one.result = one.file->read(one.at, one.into);
  }

  const unsigned depth_;
  io_uring ring_{};
  bool open_ = false;
};

}  // namespace

std::unique_ptr<ReadQueue> open_uring_reads(unsigned depth) {
  auto queue = std::make_unique<UringReads>(depth);
  if (!queue->usable()) return nullptr;
  return queue;
}

}  // namespace leat::storage
