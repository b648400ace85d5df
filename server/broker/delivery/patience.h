// Whether a key_shared group reads on in a partition of which enough waits for members already.
//
// Reading pauses until half of that is gone: so what members get comes in pieces worth sending. Who
// has nothing to do meanwhile, and not just between two deliveries, waits a little for the others
// to make room; then more is read than can be kept, until he has something. What is held back
// instead of kept must be read twice, so only then; but where it happens again before there is
// room, after half as long each time: somebody is slow for good.
#pragma once

#include <chrono>
#include <optional>

#include "protocol/base/clock.h"

namespace leat::broker {

class Patience {
 public:
  // `crowded`: enough waits; `eased`: less than half of it. `idle_since`: of whoever has nothing
  // and could take something, the longest.
  void see(bool crowded, bool eased, std::optional<MonotonicTime> idle_since, MonotonicTime now);

  bool paused() const { return paused_; }        // were it not for who is impatient
  bool impatient() const { return impatient_; }  // as of that time
  bool reads() const { return !paused_ || impatient_; }

  // When somebody becomes impatient, unless what is seen changes.
  std::optional<MonotonicTime> until() const { return until_; }
  // It has come: it is to be seen again.
  void on_time(MonotonicTime now) {
    if (until_ && *until_ <= now) until_.reset();
  }
  void shift(Duration gap);

 private:
  static constexpr Duration kPatience = std::chrono::milliseconds(50);
  bool paused_ = false, impatient_ = false;
  Duration patience_ = kPatience;
  MonotonicTime since_{};  // that it is paused, or somebody was impatient last
  std::optional<MonotonicTime> impatient_at_, until_;
};

}  // namespace leat::broker
