#include "storage/state/id_table.h"

#include <algorithm>

namespace leat::storage {
namespace {

constexpr std::uint64_t kUsedSlots = 14;  // of 15, on average; near to all, ids find no place
constexpr int kMoves = 200;               // of slots that give way to one another

// The high half of an id says where, the low half what.
constexpr std::uint32_t scaled(std::uint64_t bits32, std::size_t buckets) {
  return static_cast<std::uint32_t>(bits32 * buckets >> 32);
}
// Never 0, so that an empty slot is no id's.
std::uint32_t tag_of(const IdHash& id) {
  return std::max(1u, static_cast<std::uint32_t>(id.low >> 43));
}

}  // namespace

// ---- one generation ----

IdTable::Generation::Generation(std::uint64_t number, std::uint64_t capacity)
    : first_block_(number / kBlockIds),
      next_(number),
      left_(capacity),
      buckets_((capacity + kUsedSlots - 1) / kUsedSlots) {}

bool IdTable::Generation::takes(std::uint64_t number) const {
  return left_ > 0 && homeless_.empty() && number / kBlockIds - first_block_ < kMostBlocks;
}

std::uint32_t IdTable::Generation::first_bucket(const IdHash& id) const {
  return scaled(id.high >> 32, buckets_.size());
}

// The two add up to the same for each tag, so either gives the other, whatever their number is.
std::uint32_t IdTable::Generation::other_bucket(std::uint32_t bucket, std::uint32_t tag) const {
  const auto sum = scaled((tag * std::uint64_t{0x9e3779b97f4a7c15}) >> 32, buckets_.size());
  const auto buckets = static_cast<std::uint32_t>(buckets_.size());
  return sum >= bucket ? sum - bucket : sum + buckets - bucket;
}

bool IdTable::Generation::put(std::uint32_t bucket, Slot slot) {
  const auto slots = buckets_[bucket].slots();
  const auto empty = std::ranges::find(slots, Slot{0});
  if (empty == slots.end()) return false;
  *empty = slot;
  return true;
}

void IdTable::Generation::add(const IdHash& id, std::uint64_t number) {
  const auto block = static_cast<std::uint32_t>(number / kBlockIds - first_block_) + 1;
  Slot slot = tag_of(id) << kBlockBits | block;
  next_ = number + 1;
  --left_;
  std::uint32_t bucket = first_bucket(id);
  for (int move = 0; move < kMoves; ++move) {
    if (put(bucket, slot)) return;
    // Its other bucket is looked at before anything gives way.
    if (move > 0) std::swap(slot, buckets_[bucket].slots()[turn_++ % kSlots]);
    const std::uint32_t tag = slot >> kBlockBits;
    buckets_[bucket].left() |= 1u << tag % 32;
    bucket = other_bucket(bucket, tag);
  }
  homeless_.push_back({bucket, slot});
}

void IdTable::Generation::find_in(const Bucket& bucket, std::uint32_t tag,
                                  std::vector<std::uint64_t>& blocks) const {
  // All sixteen words without a branch, so that the compiler compares several at once; hardly ever
  // is there more to do.
  std::uint32_t any = 0;
  for (const std::uint32_t word : bucket.words) any |= word >> kBlockBits == tag ? 1u : 0u;
  if (any == 0) [[likely]]
    return;
  for (std::size_t i = 0; i < kSlots; ++i)
    if (const Slot slot = bucket.words[i]; slot >> kBlockBits == tag)
      blocks.push_back(first_block_ + (slot & kMostBlocks) - 1);
}

void IdTable::Generation::find(const IdHash& id, std::vector<std::uint64_t>& blocks) const {
  const std::uint32_t tag = tag_of(id), first = first_bucket(id), other = other_bucket(first, tag);
  find_in(buckets_[first], tag, blocks);
  if (buckets_[first].has_left(tag)) find_in(buckets_[other], tag, blocks);
  for (const auto& [bucket, slot] : homeless_)
    if (slot >> kBlockBits == tag && (bucket == first || bucket == other))
      blocks.push_back(first_block_ + (slot & kMostBlocks) - 1);
}

// ---- all of them ----

// A generation is a share of what is held: few of them have to be looked at, and what is held of
// the oldest in vain is little.
void IdTable::add(const IdHash& id, std::uint64_t number, std::uint64_t held) {
  if (generations_.empty() || !generations_.back().takes(number)) {
    constexpr std::uint64_t kMost = (kMostBlocks - 1) * kBlockIds;
    generations_.emplace_back(number, std::clamp(held / 2, kLeast, kMost));
  }
  generations_.back().add(id, number);
}

void IdTable::forget_below(std::uint64_t number) {
  while (!generations_.empty() && generations_.front().next() <= number) generations_.pop_front();
}

void IdTable::find(const IdHash& id, const IdHash* soon, std::vector<std::uint64_t>& blocks) const {
  if (soon)
    for (const Generation& generation : generations_) __builtin_prefetch(&generation.first(*soon));
  const auto before = static_cast<std::ptrdiff_t>(blocks.size());
  for (const Generation& generation : generations_) generation.find(id, blocks);
  const auto found = std::ranges::subrange(blocks.begin() + before, blocks.end());
  if (found.size() < 2) return;
  std::ranges::sort(found, std::greater());
  const auto [first, last] = std::ranges::unique(found);
  blocks.erase(first, last);
}

std::size_t IdTable::bytes() const {
  std::size_t bytes = 0;
  for (const Generation& generation : generations_) bytes += generation.bytes();
  return bytes;
}

}  // namespace leat::storage
