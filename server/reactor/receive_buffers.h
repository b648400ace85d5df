// The ring of buffers that io_uring receives into: the kernel picks one for each read.
#pragma once

#include <cstdint>

#include <liburing.h>

#include "protocol/base/bytes.h"

namespace leat::reactor {

class ReceiveBuffers {
 public:
  static constexpr int kGroup = 0;

  ReceiveBuffers() = default;
  ~ReceiveBuffers();  // the ring is gone by then, or was never set up
  ReceiveBuffers(const ReceiveBuffers&) = delete;
  ReceiveBuffers& operator=(const ReceiveBuffers&) = delete;

  // `bytes` in all. 0, or the negated errno.
  int set_up(io_uring& ring, std::size_t bytes);
  // The buffer that a completion names. Page-aligned; the caller's until given back.
  Bytes bytes(std::uint32_t completion_flags, int size) const;
  void give_back(std::uint32_t completion_flags);

 private:
  std::size_t mapped_bytes() const;
  std::byte* buffer(std::uint16_t id) const;
  void offer(std::uint16_t id);

  std::byte* memory_ = nullptr;  // the ring's page, and the buffers behind it
  std::size_t buffer_bytes_ = 0;
  io_uring_buf_ring* ring_ = nullptr;
};

}  // namespace leat::reactor
