#include "protocol/base/assert.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace leat {
namespace {
std::atomic<AssertHandler> g_handler{nullptr};
}  // namespace

void set_assert_handler(AssertHandler handler) {
  g_handler.store(handler);
}

void assert_failed(const char* expression, const char* file, int line) {
  if (AssertHandler handler = g_handler.load()) handler(expression, file, line);
  std::fprintf(stderr, "leat: assertion failed: %s (%s:%d)\n", expression, file, line);
  std::abort();
}

}  // namespace leat
