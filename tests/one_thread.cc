// Part of test programs that are declared to have one thread, which are not built under
// ThreadSanitizer: a second thread ends them.
#include <cstdio>
#include <cstdlib>

#include <pthread.h>

extern "C" __attribute__((visibility("default"))) int pthread_create(pthread_t*,
                                                                     const pthread_attr_t*,
                                                                     void* (*)(void*), void*) {
  std::fputs("a thread is made: take ONE_THREAD from this test's leat_test()\n", stderr);
  std::abort();
}
