#include "tests/protocol/kafka/counted_allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<std::size_t> allocated{0};
}  // namespace

void* operator new(std::size_t n) {
  allocated += n;
  if (void* at = std::malloc(n)) return at;
  throw std::bad_alloc();
}
void operator delete(void* at) noexcept {
  std::free(at);
}
void operator delete(void* at, std::size_t) noexcept {
  std::free(at);
}

namespace leat {

std::size_t allocated_bytes() {
  return allocated;
}

}  // namespace leat
