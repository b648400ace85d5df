// Durable writes through io_uring: in flight together, each durable when it is done (RWF_DSYNC).
// Small writes come from memory that the kernel knows; a small one with nothing beside it this
// thread makes itself, in start(). Why, and the settings: docs/architecture.md.
#pragma once

#include <liburing.h>
#include <sys/uio.h>

#include "storage/write_queue.h"

namespace leat::storage {

class UringWriteQueue final : public WriteQueue {
 public:
  // On the thread that will use it: the kernel holds the ring to that one.
  // Error: kUnsupportedRequest, saying what this kernel or its settings refuse.
  static Result<std::unique_ptr<UringWriteQueue>> open(std::size_t depth);
  ~UringWriteQueue() override;
  UringWriteQueue(const UringWriteQueue&) = delete;
  UringWriteQueue& operator=(const UringWriteQueue&) = delete;

  const char* name() const override { return "uring"; }
  std::size_t depth() const override { return slots_.size(); }
  MutableBytes buffer(Slot slot, std::size_t bytes) override;
  void start(Slot slot, File& file, std::uint64_t at, std::span<const Inlay> inlays) override;
  std::vector<Done> wait(Time until) override;
  void wake() override;

 private:
  struct Write {
    File* file = nullptr;
    std::uint64_t at = 0;
    MutableBytes bytes;   // of its buffer
    AlignedBuffer large;  // for what does not fit into the slot's share of registered_
    std::vector<Bytes> pieces;
    std::vector<iovec> vector;  // the pieces for the kernel
  };

  explicit UringWriteQueue(std::size_t depth) : slots_(depth) {}
  Result<> set_up();
  MutableBytes registered(Slot slot);
  void prepare(Slot slot, int file);
  io_uring_sqe* entry(std::uint64_t tag);
  void submit_and_wait(Time until);

  io_uring ring_{};
  int event_ = -1;  // wake()'s eventfd
  std::vector<Write> slots_;
  std::size_t in_flight_ = 0;  // with the kernel
  std::vector<Done> done_;     // by this thread
  AlignedBuffer registered_;
  bool known_ = false;       // to the kernel: registered_
  bool wake_armed_ = false;  // a read of event_ is with the kernel
  std::uint64_t wakes_ = 0;  // where the kernel writes the eventfd's count
};

}  // namespace leat::storage
