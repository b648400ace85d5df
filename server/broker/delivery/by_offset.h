// Things by offset, each at a number that stays while it is there; what adjoins lies together.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "protocol/base/ids.h"
#include "server/broker/delivery/index_table.h"
#include "server/broker/delivery/pool.h"

namespace leat::broker {

template <class T>
class ByOffset {
 public:
  static constexpr std::uint32_t kNone = IndexTable::kNone;

  std::size_t size() const { return size_; }
  T& operator[](std::uint32_t at) { return chunks_[at / kChunk].things[at % kChunk]; }
  const T& operator[](std::uint32_t at) const { return chunks_[at / kChunk].things[at % kChunk]; }
  Offset offset_of(std::uint32_t at) const {
    return Offset(chunks_[at / kChunk].first + at % kChunk);
  }

  // kNone: not there.
  std::uint32_t find(Offset offset) const {
    const std::uint32_t chunk = by_first_.find(key_of(offset));
    if (chunk == kNone || (chunks_[chunk].there & bit_of(offset)) == 0) return kNone;
    return at(chunk, offset);
  }
  void prefetch(std::uint32_t at) const { __builtin_prefetch(&(*this)[at]); }
  // It is not there. References to others end.
  std::uint32_t add(Offset offset, T thing) {
    std::uint32_t chunk = added_to_;  // most come in order
    if (chunk == kNone || key_of(Offset(chunks_[chunk].first)) != key_of(offset))
      chunk = by_first_.find(key_of(offset));
    if (chunk == kNone) {
      chunk = chunks_.add({.first = offset.value & ~std::int64_t{kChunk - 1}});
      by_first_.insert(key_of(offset), chunk);
    }
    added_to_ = chunk;
    ++size_;
    chunks_[chunk].there |= bit_of(offset);
    (*this)[at(chunk, offset)] = thing;
    return at(chunk, offset);
  }
  void remove(std::uint32_t at) {
    Chunk& chunk = chunks_[at / kChunk];
    --size_;
    chunk.there &= ~(1u << at % kChunk);
    if (chunk.there != 0) return;
    if (added_to_ == at / kChunk) added_to_ = kNone;
    by_first_.erase(key_of(Offset(chunk.first)));
    chunks_.remove(at / kChunk);
  }
  // Calls it with every number, in no order; it may not change what is there.
  template <class Use>
  void each(Use use) const {
    for (std::uint32_t chunk = 0; chunk < chunks_.places(); ++chunk)
      for (std::uint32_t left = chunks_[chunk].there; left != 0; left &= left - 1)
        use(chunk * kChunk + static_cast<std::uint32_t>(std::countr_zero(left)));
  }

 private:
  static constexpr std::uint32_t kChunk = 16;  // so few, for one may stay for long
  struct Chunk {
    std::int64_t first = 0;
    std::uint32_t there = 0;  // bits
    std::array<T, kChunk> things{};
  };
  static std::uint64_t key_of(Offset offset) {
    return static_cast<std::uint64_t>(offset.value) / kChunk;
  }
  static std::uint32_t bit_of(Offset offset) {
    return 1u << static_cast<std::uint64_t>(offset.value) % kChunk;
  }
  static std::uint32_t at(std::uint32_t chunk, Offset offset) {
    return chunk * kChunk + static_cast<std::uint32_t>(offset.value % kChunk);
  }

  Pool<Chunk> chunks_;
  IndexTable by_first_;
  std::size_t size_ = 0;
  std::uint32_t added_to_ = kNone;  // the chunk, if it is still there
};

}  // namespace leat::broker
