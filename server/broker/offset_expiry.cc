#include "server/broker/offset_expiry.h"

namespace leat::broker {

void OffsetExpiry::restore(MonotonicTime now) {
  if (options_.offset_retention.count() == 0) return;
  for (const std::string& group : storage_.groups()) touch(group, now);
}

void OffsetExpiry::touch(std::string_view group, MonotonicTime now) {
  if (options_.offset_retention.count() > 0)
    schedule(std::string(group), now + options_.offset_retention);
}

void OffsetExpiry::schedule(const std::string& group, MonotonicTime when) {
  const auto [it, is_new] = due_.try_emplace(group, when);
  if (!is_new) deadlines_.erase({it->second, group});
  it->second = when;
  deadlines_.insert({when, group});
}

void OffsetExpiry::on_time(MonotonicTime now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const std::string group = deadlines_.begin()->second;
    deadlines_.erase(deadlines_.begin());
    due_.erase(group);
    // Of one with members the time begins when the last of them has gone.
    if (ids_.kind_of(group) != GroupKind::kNone || !storage_.has_group(group)) continue;
    // Storage that no longer writes keeps it.
    if (storage_.delete_group(group)) classic_.forget(group);
  }
}

std::optional<MonotonicTime> OffsetExpiry::next_deadline() const {
  if (deadlines_.empty()) return std::nullopt;
  return deadlines_.begin()->first;
}

}  // namespace leat::broker
