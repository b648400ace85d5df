// Whether this is still the process that made an object: its threads do not come along through a
// fork, and what they hold may be locked for ever (rule 13).
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include <pthread.h>

#include "protocol/base/result.h"

namespace leat {

class OwnProcess {
 public:
  bool here() const { return forks_ == forks().load(std::memory_order_relaxed); }
  // Error: kNotAllowed.
  Result<> check() const {
    if (here()) return {};
    return fail(ErrorCode::kNotAllowed,
                "used in a child of the process that opened it; open another one there");
  }

 private:
  // How often the process was forked, on the way from the first to this one. Counted rather than
  // getpid() asked, which is a system call, and too slow for each record.
  static std::atomic<unsigned>& forks() {
    static std::atomic<unsigned> count{0};
    [[maybe_unused]] static const int counted =
        ::pthread_atfork(nullptr, nullptr, [] { forks().fetch_add(1, std::memory_order_relaxed); });
    return count;
  }

  unsigned forks_ = forks().load(std::memory_order_relaxed);
};

// For what a child inherits and must not take apart: its timers and locks are the parent's.
template <class T>
void leave_to_parent(std::shared_ptr<T> object) {
  [[maybe_unused]] const auto* kept = new std::shared_ptr<T>(std::move(object));
}

}  // namespace leat
