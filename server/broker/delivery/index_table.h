// Numbers by 64-bit keys, in one array: open addressing with linear probing, no allocation per
// entry. For places in a Pool.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "protocol/base/assert.h"

namespace leat::broker {

class IndexTable {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;  // no number

  std::size_t size() const { return size_; }

  std::uint32_t find(std::uint64_t key) const {
    if (size_ == 0) return kNone;
    for (std::size_t at = home(key);; at = next(at))
      if (slots_[at].number == kNone || slots_[at].key == key) return slots_[at].number;
  }

  // The key is not there.
  void insert(std::uint64_t key, std::uint32_t number) {
    LEAT_ASSERT(number != kNone);
    if (slots_.size() < 2 * (size_ + 1)) rebuild(std::max(kLeastSlots, 2 * slots_.size()));
    put(key, number);
    ++size_;
  }

  // The key is there. What was moved past it moves back, so that no search stops too early.
  void erase(std::uint64_t key) {
    std::size_t hole = home(key);
    while (slots_[hole].number == kNone || slots_[hole].key != key) hole = next(hole);
    for (std::size_t at = next(hole); slots_[at].number != kNone; at = next(at)) {
      const std::size_t moved = distance(home(slots_[at].key), at);
      if (moved < distance(hole, at)) continue;
      slots_[hole] = slots_[at];
      hole = at;
    }
    slots_[hole].number = kNone;
    --size_;
    if (slots_.size() > kLeastSlots && size_ < slots_.size() / 16) rebuild(slots_.size() / 4);
  }

 private:
  static constexpr std::size_t kLeastSlots = 64;
  struct Slot {
    std::uint64_t key = 0;
    std::uint32_t number = kNone;
  };

  // By the golden ratio: offsets that adjoin, and hashes that are bad, lie apart.
  std::size_t home(std::uint64_t key) const { return (key * 0x9e3779b97f4a7c15) >> shift_; }
  std::size_t next(std::size_t at) const { return (at + 1) & (slots_.size() - 1); }
  std::size_t distance(std::size_t from, std::size_t to) const {
    return (to - from) & (slots_.size() - 1);
  }
  void put(std::uint64_t key, std::uint32_t number) {
    std::size_t at = home(key);
    while (slots_[at].number != kNone) at = next(at);
    slots_[at] = {key, number};
  }
  void rebuild(std::size_t slots) {
    const auto before = std::exchange(slots_, std::vector<Slot>(std::max(slots, kLeastSlots)));
    shift_ = 64 - std::countr_zero(slots_.size());
    for (const Slot& slot : before)
      if (slot.number != kNone) put(slot.key, slot.number);
  }

  std::vector<Slot> slots_;  // a power of two, at most half of them taken
  int shift_ = 64;
  std::size_t size_ = 0;
};

}  // namespace leat::broker
