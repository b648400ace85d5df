#include "server/broker/retention.h"

#include <algorithm>

namespace leat::broker {
namespace {

using std::chrono::milliseconds;

constexpr auto kStep = std::chrono::minutes(1);    // the clocks part by more: somebody set one
constexpr auto kPatience = std::chrono::hours(1);  // until the wall clock is believed again

}  // namespace

WallTime RetentionClock::look(Now now) {
  const auto passed = std::chrono::duration_cast<milliseconds>(now.monotonic - last_.monotonic);
  const auto apart = [](WallTime a, WallTime b) { return a < b ? b - a : a - b; };
  const bool steady = apart(now.wall, last_.wall + passed) <= kStep;
  const WallTime alone = time_ + passed;
  if (!steady) distrusted_ = now.monotonic;
  const bool back = apart(now.wall, alone) <= kStep;
  if (back || (distrusted_ && now.monotonic - *distrusted_ >= kPatience)) distrusted_.reset();
  last_ = now;
  return time_ = distrusted_ ? alone : now.wall;
}

void RetentionSchedule::on_topics_changed(MonotonicTime now) {
  const auto topics = storage_.topics();
  const bool needed =
      std::ranges::any_of(topics, [](const storage::Topic* topic) { return topic->config.ages(); });
  if (!needed)
    next_.reset();
  else if (!next_)
    next_ = now + options_.retention_interval;
}

void RetentionSchedule::on_time(Now now) {
  if (!next_ || now.monotonic < *next_) return;
  storage_.retain(clock_.look(now));
  next_ = now.monotonic + options_.retention_interval;
}

}  // namespace leat::broker
