#include "server/broker/delivery/patience.h"

#include <algorithm>
#include <utility>

namespace leat::broker {

void Patience::see(bool crowded, bool eased, std::optional<MonotonicTime> idle_since,
                   MonotonicTime now) {
  if (crowded) {
    if (!std::exchange(paused_, true)) since_ = now;
  } else if (eased) {
    paused_ = false;
    patience_ = kPatience;
  }
  until_.reset();
  impatient_ = false;
  if (!paused_ || !idle_since) return;
  const MonotonicTime until = std::max(since_, *idle_since) + patience_;
  impatient_ = until <= now || impatient_at_ == now;
  if (!impatient_) {
    until_ = until;
  } else if (impatient_at_ != now) {  // once, however often it is seen
    impatient_at_ = since_ = now;
    patience_ /= 2;
  }
}

void Patience::shift(Duration gap) {
  since_ += gap;
  if (impatient_at_) *impatient_at_ += gap;
  if (until_) *until_ += gap;
}

}  // namespace leat::broker
