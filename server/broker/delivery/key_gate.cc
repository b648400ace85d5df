#include "server/broker/delivery/key_gate.h"

#include <functional>

namespace leat::broker {
namespace {
// Let go at a time: who is held back again costs, and the others wait for these anyway.
constexpr std::size_t kLetGo = 4;
}  // namespace

KeyHash hash_of(const std::optional<Bytes>& key) {
  if (!key) return std::nullopt;
  return std::hash<std::string_view>{}(as_text(*key));
}

KeyGate::Turn KeyGate::turn(KeyHash key, Offset offset) const {
  if (!key) return {};
  const auto it = keys_.find(*key);
  if (it == keys_.end()) return {};
  const State& state = it->second;
  const auto before = [&](const std::set<Offset>& others) {
    return !others.empty() && *others.begin() < offset;
  };
  if (before(state.failed) || before(state.held)) return {.blocked = true};
  return {.holder = state.leased.empty() ? nullptr : &state.member};
}

void KeyGate::lease(KeyHash key, Offset offset, const MemberKey& member) {
  if (!key) return;
  State& state = keys_[*key];
  state.member = member;
  state.failed.erase(offset);
  held_ -= state.held.erase(offset);
  state.leased.insert(offset);
}

void KeyGate::fail(KeyHash key, Offset offset) {
  if (!key) return;
  State& state = keys_[*key];
  state.leased.erase(offset);
  held_ -= state.held.erase(offset);
  state.failed.insert(offset);
}

void KeyGate::hold(KeyHash key, Offset offset) {
  if (!key) return;
  State& state = keys_[*key];
  state.failed.erase(offset);
  held_ += state.held.insert(offset).second;
}

std::vector<Offset> KeyGate::end(KeyHash key, Offset offset) {
  if (!key) return {};
  const auto it = keys_.find(*key);
  if (it == keys_.end()) return {};
  State& state = it->second;
  state.leased.erase(offset);
  state.failed.erase(offset);
  held_ -= state.held.erase(offset);
  return next_of(*key, state);
}

// Nothing while others are out, and nothing behind a failed one, which comes by itself.
std::vector<Offset> KeyGate::next_of(std::uint64_t key, State& state) {
  std::vector<Offset> next;
  while (state.leased.empty() && !state.held.empty() && next.size() < kLetGo) {
    const auto first = state.held.begin();
    if (!state.failed.empty() && *state.failed.begin() < *first) break;
    next.push_back(*first);
    state.held.erase(first);
    --held_;
  }
  if (state.empty()) keys_.erase(key);
  return next;
}

std::vector<Offset> KeyGate::revoke_behind(KeyHash key, Offset offset) {
  if (!key) return {};
  const auto it = keys_.find(*key);
  if (it == keys_.end()) return {};
  State& state = it->second;
  std::vector<Offset> behind(state.leased.upper_bound(offset), state.leased.end());
  for (const Offset later : behind) {
    state.leased.erase(later);
    held_ += state.held.insert(later).second;
  }
  return behind;
}

}  // namespace leat::broker
