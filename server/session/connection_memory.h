// The share of the memory budget that connections have together: frames that have begun to come,
// requests held back, output that waits. Sessions use it on the shard's thread; output is given
// back by whoever lets go of it last, on any thread, also after the server is gone.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>

#include "protocol/base/bytes.h"

namespace leat::session {

class ConnectionMemory {
 public:
  // `wake`: any thread; wants_room() may be true then.
  ConnectionMemory(std::size_t limit, std::size_t largest_frame, std::function<void()> wake)
      : limit_(limit), for_held_(limit - largest_frame), wake_(std::move(wake)) {}

  std::size_t limit() const { return limit_; }
  std::size_t used() const { return used_; }
  std::size_t peak() const { return peak_; }
  // Then whoever has output waiting gets no more for now. The others go on: one that does not read
  // must not starve them.
  bool is_full() const { return used_ > limit_ / 2; }

  // For the rest of a frame, whole, before it comes. One frame always passes, so that those who
  // wait for theirs get it in turn. False: not now; the shard tells when there is room again.
  bool reserve(std::size_t bytes) {
    if (!fits(bytes)) {
      wanted_ = true;
      if (!fits(bytes)) return false;  // looked at again: output may have been let go of meanwhile
    }
    reserved_ += bytes;
    add(bytes);
    return true;
  }
  // For what came already. False: there is no room at all, and the connection has to go. The
  // largest frame stays free of it, so that those who wait with a part of theirs never wait for one
  // another.
  bool hold(std::size_t bytes) {
    if (bytes == 0) return true;
    if (held_ + bytes > for_held_ || used_ + bytes > limit_) return false;
    held_ += bytes;
    add(bytes);
    return true;
  }
  void give_back(std::size_t held, std::size_t reserved) {
    held_ -= held;
    reserved_ -= reserved;
    if (held + reserved > 0) release(held + reserved);
  }
  // Keeps `owner` and counts `bytes` until the last holder lets go.
  static std::shared_ptr<const void> count_output(const std::shared_ptr<ConnectionMemory>& memory,
                                                  std::shared_ptr<const void> owner,
                                                  std::size_t bytes) {
    return std::make_shared<Counted>(memory, std::move(owner), bytes);
  }

  // The shard, once woken: whether those that were refused may try again.
  bool take_room() { return (reserved_ == 0 || used_ <= limit_ / 4) && wanted_.exchange(false); }
  // No wake is called from here on.
  void close() {
    const std::lock_guard lock(mutex_);
    wake_ = nullptr;
  }

 private:
  struct Counted {
    Counted(std::shared_ptr<ConnectionMemory> m, std::shared_ptr<const void> o, std::size_t b)
        : memory(std::move(m)), owner(std::move(o)), bytes(b) {
      memory->add(bytes);
    }
    ~Counted() { memory->release(bytes); }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    std::shared_ptr<ConnectionMemory> memory;
    std::shared_ptr<const void> owner;
    std::size_t bytes;
  };

  bool fits(std::size_t bytes) const {
    return used_ + bytes <= (reserved_ > 0 ? limit_ / 2 : limit_);
  }
  void add(std::size_t bytes) {
    const std::size_t now = used_ += bytes;
    if (now > peak_) peak_ = now;  // only the shard adds
  }
  void release(std::size_t bytes) {
    used_ -= bytes;
    if (!wanted_) return;
    const std::lock_guard lock(mutex_);
    if (wake_) wake_();
  }

  const std::size_t limit_, for_held_;
  std::atomic<std::size_t> used_{0}, peak_{0};
  std::atomic<bool> wanted_{false};
  std::size_t held_ = 0, reserved_ = 0;  // of used_; the shard's
  std::mutex mutex_;
  std::function<void()> wake_;
};

}  // namespace leat::session
