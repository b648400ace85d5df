#include "server/broker/delivery/takers.h"

#include <algorithm>

namespace leat::broker {

std::optional<std::size_t> Takers::for_key(KeyHash key) {
  const std::size_t first = key ? *key : turn_++;
  for (std::size_t i = 0; i < all_.size(); ++i)
    if (const std::size_t at = (first + i) % all_.size(); all_[at].most_records > 0) return at;
  return std::nullopt;
}

std::optional<std::size_t> Takers::index_of(const MemberKey& member) const {
  const auto it = std::ranges::lower_bound(all_, member, {}, &Taker::member);
  if (it == all_.end() || it->member != member) return std::nullopt;
  return static_cast<std::size_t>(it - all_.begin());
}

std::optional<std::size_t> Takers::find(const MemberKey& member) const {
  const auto at = index_of(member);
  return at && all_[*at].most_records > 0 ? at : std::nullopt;
}

bool Takers::anybody_may_take() const {
  return std::ranges::any_of(all_, [](const Taker& taker) { return taker.most_records > 0; });
}

std::optional<MonotonicTime> Takers::idle_since() const {
  std::optional<MonotonicTime> first;
  for (const Taker& taker : all_)
    if (taker.idle_since && taker.most_records > 0)
      first = first ? std::min(*first, *taker.idle_since) : taker.idle_since;
  return first;
}

}  // namespace leat::broker
