#include "server/broker/delivery/retries.h"

#include <algorithm>
#include <chrono>

namespace leat::broker {
namespace {
constexpr Duration kLongestWait = std::chrono::hours(24 * 30);  // whatever the wall clock says
}  // namespace

MonotonicTime due_of(const storage::Retry& retry, Now now) {
  const auto wait = std::chrono::milliseconds(retry.due_ms - now.wall.time_since_epoch().count());
  if (wait <= wait.zero()) return MonotonicTime::min();
  return now.monotonic + std::min<Duration>(wait, kLongestWait);
}

std::pair<Offset, std::uint32_t> attempts_at(Offset at, Offset last,
                                             const storage::PartitionAcks* acks) {
  if (!acks || acks->retries().empty()) return {last, 0};
  const auto& runs = acks->retries();
  const auto next = runs.upper_bound(at);
  if (next != runs.begin())
    if (const auto& [first, run] = *std::prev(next); run.last >= at)
      return {std::min(last, run.last), run.retry.attempts};
  if (next == runs.end() || next->first > last) return {last, 0};
  return {next->first + -1, 0};
}

}  // namespace leat::broker
