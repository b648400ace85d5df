// Threads of storage: named, with every signal blocked, so that a host's handlers run on the host's
// own threads (rule 13).
#pragma once

#include <chrono>
#include <thread>
#include <utility>

#include <pthread.h>
#include <signal.h>

namespace leat::storage {

// Who waits for a full disk looks again so often: nobody tells when there is space again.
inline constexpr auto kSpaceAfter = std::chrono::seconds(1);

// While it lives, this thread blocks every signal, and so do the threads that begin meanwhile.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// `name` at most 15 characters.
template <class Function>
std::thread start_thread(const char* name, Function run) {
  const SignalsBlocked blocked;
  return std::thread([name, run = std::move(run)]() mutable {
    pthread_setname_np(pthread_self(), name);
    run();
  });
}

}  // namespace leat::storage
