#include "server/reactor/receive_buffers.h"

#include <algorithm>
#include <cerrno>

#include <sys/mman.h>

namespace leat::reactor {
namespace {

// Address space, not memory: a page is there once something was received into it.
constexpr unsigned kBuffers = 64;  // a power of two
constexpr std::size_t kPageBytes = 4096, kRingBytes = 4096;
static_assert(kBuffers * sizeof(io_uring_buf) <= kRingBytes);

std::uint16_t buffer_id(std::uint32_t completion_flags) {
  return static_cast<std::uint16_t>(completion_flags >> IORING_CQE_BUFFER_SHIFT);
}

}  // namespace

ReceiveBuffers::~ReceiveBuffers() {
  if (memory_) ::munmap(memory_, mapped_bytes());
}

int ReceiveBuffers::set_up(io_uring& ring, std::size_t bytes) {
  buffer_bytes_ = std::max(bytes / kBuffers / kPageBytes, std::size_t{1}) * kPageBytes;
  void* memory = ::mmap(nullptr, mapped_bytes(), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return -errno;
  memory_ = static_cast<std::byte*>(memory);
  ring_ = static_cast<io_uring_buf_ring*>(memory);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
  registration.ring_entries = kBuffers;
  registration.bgid = kGroup;
  if (const int error = io_uring_register_buf_ring(&ring, &registration, 0); error < 0)
    return error;
  io_uring_buf_ring_init(ring_);
  for (unsigned id = 0; id < kBuffers; ++id) offer(static_cast<std::uint16_t>(id));
  return 0;
}

std::size_t ReceiveBuffers::mapped_bytes() const {
  return kRingBytes + kBuffers * buffer_bytes_;
}

std::byte* ReceiveBuffers::buffer(std::uint16_t id) const {
  return memory_ + kRingBytes + id * buffer_bytes_;
}

void ReceiveBuffers::offer(std::uint16_t id) {
  io_uring_buf_ring_add(ring_, buffer(id), static_cast<unsigned>(buffer_bytes_), id,
                        io_uring_buf_ring_mask(kBuffers), 0);
  io_uring_buf_ring_advance(ring_, 1);
}

Bytes ReceiveBuffers::bytes(std::uint32_t completion_flags, int size) const {
  if (!(completion_flags & IORING_CQE_F_BUFFER) || size <= 0) return {};
  return {buffer(buffer_id(completion_flags)), static_cast<std::size_t>(size)};
}

void ReceiveBuffers::give_back(std::uint32_t completion_flags) {
  if (completion_flags & IORING_CQE_F_BUFFER) offer(buffer_id(completion_flags));
}

}  // namespace leat::reactor
