// Threads of storage: named, with every signal blocked, so that a host's handlers run on the host's
// own threads (rule 13).
#pragma once

#include <thread>
#include <utility>

#include <pthread.h>
#include <signal.h>

namespace leat::storage {

// `name` at most 15 characters.
template <class Function>
std::thread start_thread(const char* name, Function run) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread([name, run = std::move(run)]() mutable {
    pthread_setname_np(pthread_self(), name);
    run();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace leat::storage
