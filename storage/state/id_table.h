// Where ids of a partition may be: four bytes an id, and a probability of some 1e-4 that it says so
// of an id that is nowhere. One thread.
//
// Ids get numbers as they come, and a block is so many of them. The table is a row of generations,
// each a cuckoo hash table of the ids that came while it was the newest: it is filled once, never
// grows, and goes as a whole when the window has left it, so that nothing is swept, no number is
// ambiguous, and no step takes long. A bucket is a cache line. Every id has two buckets, the other
// one computable from a bucket and what a slot says; most are in their first, and that one knows
// which may not be, so that a look-up touches little more than a line of each generation.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "storage/state/id_block.h"

namespace leat::storage {

class IdTable {
 public:
  // Number `number` is `id`: numbers rise. `held` is how many are of use, for the size of the next
  // generation.
  void add(const IdHash& id, std::uint64_t number, std::uint64_t held);
  // What is below is of no use any more.
  void forget_below(std::uint64_t number);

  // Appends the blocks that may hold the id, each once, newest first. Brings near what the look-up
  // of `soon` will touch; null: nothing.
  void find(const IdHash& id, const IdHash* soon, std::vector<std::uint64_t>& blocks) const;

  std::size_t bytes() const;
  std::size_t generations() const { return generations_.size(); }

 private:
  // A slot: 21 bits of the id, then the block, counted from the generation's first, plus one.
  using Slot = std::uint32_t;
  static constexpr std::uint32_t kBlockBits = 11, kSlots = 15;
  static constexpr std::uint64_t kMostBlocks = (1 << kBlockBits) - 1;
  static constexpr std::uint64_t kLeast = 960;  // ids of the smallest generation
  struct alignas(64) Bucket {
    // The last word: a bit for each tag, modulo 32, that has left for its other bucket.
    std::array<std::uint32_t, kSlots + 1> words{};

    std::span<Slot> slots() { return std::span(words).first<kSlots>(); }
    std::uint32_t& left() { return words.back(); }
    bool has_left(std::uint32_t tag) const { return (words.back() >> tag % 32 & 1) != 0; }
  };

  class Generation {
   public:
    Generation(std::uint64_t number, std::uint64_t capacity);
    bool takes(std::uint64_t number) const;
    void add(const IdHash& id, std::uint64_t number);
    void find(const IdHash& id, std::vector<std::uint64_t>& blocks) const;
    const Bucket& first(const IdHash& id) const { return buckets_[first_bucket(id)]; }
    std::uint64_t next() const { return next_; }
    std::size_t bytes() const { return buckets_.size() * sizeof(Bucket); }

   private:
    struct Homeless {
      std::uint32_t bucket;
      Slot slot;
    };
    std::uint32_t first_bucket(const IdHash& id) const;
    std::uint32_t other_bucket(std::uint32_t bucket, std::uint32_t tag) const;
    bool put(std::uint32_t bucket, Slot slot);
    void find_in(const Bucket& bucket, std::uint32_t tag, std::vector<std::uint64_t>& blocks) const;

    std::uint64_t first_block_, next_, left_;
    std::uint32_t turn_ = 0;          // which slot gives way
    std::vector<Homeless> homeless_;  // hardly ever one: then the generation is full
    std::vector<Bucket> buckets_;
  };

  std::deque<Generation> generations_;  // oldest first
};

}  // namespace leat::storage
