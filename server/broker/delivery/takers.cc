#include "server/broker/delivery/takers.h"

#include <algorithm>

namespace leat::broker {

std::optional<std::size_t> Takers::for_key(KeyHash key) {
  const std::size_t first = key ? *key : turn_++;
  for (std::size_t i = 0; i < all_.size(); ++i)
    if (const std::size_t at = (first + i) % all_.size(); all_[at].most_records > 0) return at;
  return std::nullopt;
}

// Asked of each record: what was found before is looked at first.
std::optional<std::size_t> Takers::index_of(const MemberKey& member) const {
  std::uint32_t& known = found_[(member.connection.value + member.subscription) % found_.size()];
  if (known < all_.size() && all_[known].member == member) return known;
  const auto found = search(member);
  if (found) known = static_cast<std::uint32_t>(*found);
  return found;
}

std::optional<std::size_t> Takers::search(const MemberKey& member) const {
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

bool Takers::anybody_idle() const {
  return std::ranges::any_of(
      all_, [](const Taker& taker) { return taker.idle && taker.most_records > 0; });
}

}  // namespace leat::broker
