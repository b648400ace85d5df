// LEAT_ASSERT checks our own promises, in release builds too. What a peer, a disk or a user can
// cause is never an assertion: that is a Result.
#pragma once

namespace leat {

using AssertHandler = void (*)(const char* expression, const char* file, int line);

// Replaces what happens on a failed assertion (default: one line on stderr, then abort). The
// handler must not return. Set it before other threads start.
void set_assert_handler(AssertHandler handler);

[[noreturn]] void assert_failed(const char* expression, const char* file, int line);

}  // namespace leat

#define LEAT_ASSERT(condition)                  \
  (__builtin_expect(!!(condition), 1) ? (void)0 \
                                      : ::leat::assert_failed(#condition, __FILE__, __LINE__))
