// Whether reads from the disk come back. Nobody else tells of one that hangs: a pushed consumer
// waits for it as for records that are not there yet. Sees how far they are, and decides; one
// thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

#include "protocol/base/clock.h"

namespace leat {

class ReadWatch {
 public:
  // They are read one after another: as long as some end the disk answers.
  static constexpr std::chrono::seconds kStalled{10};
  struct Progress {
    bool under_way = false;
    std::uint64_t ended = 0;  // so far
    friend bool operator==(const Progress&, const Progress&) = default;
  };
  enum class News { kNone, kStalled, kGoesOn };

  // Whether see() would find something new. Costs no look at the clock unless something is under
  // way and nothing ends.
  bool wants(const Progress& progress) const { return progress != seen_ || due_; }
  News see(const Progress& progress, MonotonicTime now) {
    const bool moved = progress.ended != seen_.ended || !progress.under_way;
    seen_ = progress;
    if (moved || (!due_ && !stalled_)) due_ = now + kStalled;
    if (!progress.under_way) due_.reset();
    if (moved && std::exchange(stalled_, false)) return News::kGoesOn;
    if (!due_ || now < *due_) return News::kNone;
    due_.reset();
    stalled_ = true;
    return News::kStalled;
  }
  // When to see() again, whatever happens.
  std::optional<MonotonicTime> due() const { return due_; }

 private:
  Progress seen_;
  std::optional<MonotonicTime> due_;
  bool stalled_ = false;  // told
};

}  // namespace leat
