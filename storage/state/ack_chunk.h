// Which of 65,536 adjoining offsets are done: in runs while those are few, else bit by bit, so that
// it takes 8 KiB at most.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "storage/state/entry.h"

namespace leat::storage {

class AckChunk {
 public:
  static constexpr std::uint32_t kOffsets = 65'536;  // counted from 0 in each chunk

  std::uint32_t done() const { return done_; }  // so many are
  bool is_done(std::uint32_t at) const { return next_done(at) == at; }
  // The first at or behind `from`; kOffsets: none.
  std::uint32_t next_open(std::uint32_t from) const;
  std::uint32_t next_done(std::uint32_t from) const;

  // From `first` to `last` they are done. Returns how many were not.
  std::uint32_t mark(std::uint32_t first, std::uint32_t last);

  std::size_t memory_bytes() const;  // besides its own

  // form u8 | 0: count, each: open before it, done less one (varints) | 1: 8,192 bytes of bits
  void encode(EntryWriter& writer) const;
  static AckChunk decode(ByteReader& reader);  // which fails, where it is malformed

 private:
  struct Run {
    std::uint16_t first, last;
  };
  static constexpr std::size_t kMostRuns = 512;  // a quarter of what the bits take
  using Bits = std::array<std::uint64_t, kOffsets / 64>;

  std::uint32_t mark_run(std::uint32_t first, std::uint32_t last);
  std::uint32_t mark_bits(std::uint32_t first, std::uint32_t last);
  void to_bits();

  std::vector<Run> runs_;       // ascending, with open ones in between; empty where there are bits
  std::unique_ptr<Bits> bits_;  // null: there are runs
  std::uint32_t done_ = 0;
};

}  // namespace leat::storage
