#include "storage/state/ack_chunk.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace leat::storage {
namespace {

constexpr std::uint32_t kWordBits = 64;
constexpr std::uint8_t kRuns = 0, kBits = 1;  // forms

// The first bit at or behind `from` that is set in the words `word(i)`.
template <class Word>
std::uint32_t first_set(std::uint32_t from, Word word) {
  std::uint64_t mask = ~std::uint64_t{0} << (from % kWordBits);
  for (std::uint32_t i = from / kWordBits; i < AckChunk::kOffsets / kWordBits; ++i) {
    if (const std::uint64_t found = word(i) & mask)
      return i * kWordBits + static_cast<std::uint32_t>(std::countr_zero(found));
    mask = ~std::uint64_t{0};
  }
  return AckChunk::kOffsets;
}

}  // namespace

std::uint32_t AckChunk::next_open(std::uint32_t from) const {
  if (bits_) return first_set(from, [this](std::uint32_t i) { return ~(*bits_)[i]; });
  const auto run = std::ranges::lower_bound(runs_, from, {}, &Run::last);
  return run == runs_.end() || run->first > from ? from : run->last + 1u;
}

std::uint32_t AckChunk::next_done(std::uint32_t from) const {
  if (bits_) return first_set(from, [this](std::uint32_t i) { return (*bits_)[i]; });
  const auto run = std::ranges::lower_bound(runs_, from, {}, &Run::last);
  return run == runs_.end() ? kOffsets : std::max<std::uint32_t>(from, run->first);
}

std::uint32_t AckChunk::mark(std::uint32_t first, std::uint32_t last) {
  LEAT_ASSERT(first <= last && last < kOffsets);
  const std::uint32_t added = bits_ ? mark_bits(first, last) : mark_run(first, last);
  done_ += added;
  if (bits_ && done_ == kOffsets) {
    bits_.reset();
    runs_ = {{0, kOffsets - 1}};
  }
  if (runs_.size() > kMostRuns) to_bits();
  return added;
}

// Runs that it overlaps or touches become one with it.
std::uint32_t AckChunk::mark_run(std::uint32_t first, std::uint32_t last) {
  const auto begin =
      std::ranges::lower_bound(runs_, first, {}, [](const Run& run) { return run.last + 1u; });
  std::uint32_t known = 0;
  auto end = begin;
  for (; end != runs_.end() && end->first <= last + 1; ++end) {
    known += end->last - end->first + 1u;
    first = std::min<std::uint32_t>(first, end->first);
    last = std::max<std::uint32_t>(last, end->last);
  }
  const auto at = runs_.erase(begin, end);
  runs_.insert(at, {static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(last)});
  return last - first + 1 - known;
}

std::uint32_t AckChunk::mark_bits(std::uint32_t first, std::uint32_t last) {
  std::uint32_t added = 0;
  for (std::uint32_t i = first / kWordBits; i <= last / kWordBits; ++i) {
    std::uint64_t mask = ~std::uint64_t{0};
    if (i == first / kWordBits) mask &= ~std::uint64_t{0} << (first % kWordBits);
    if (i == last / kWordBits) mask &= ~std::uint64_t{0} >> (kWordBits - 1 - last % kWordBits);
    std::uint64_t& word = (*bits_)[i];
    added += static_cast<std::uint32_t>(std::popcount(mask & ~word));
    word |= mask;
  }
  return added;
}

void AckChunk::to_bits() {
  bits_ = std::make_unique<Bits>();
  for (const Run& run : std::exchange(runs_, {})) mark_bits(run.first, run.last);
}

std::size_t AckChunk::memory_bytes() const {
  return runs_.capacity() * sizeof(Run) + (bits_ ? sizeof(Bits) : 0);
}

void AckChunk::encode(EntryWriter& writer) const {
  if (bits_) {
    writer.le(kBits);
    for (const std::uint64_t word : *bits_) writer.le(word);
    return;
  }
  writer.le(kRuns).varint(static_cast<std::int64_t>(runs_.size()));
  std::uint32_t next = 0;
  for (const Run& run : runs_) {
    writer.varint(run.first - next).varint(run.last - run.first);
    next = run.last + 1u;
  }
}

AckChunk AckChunk::decode(ByteReader& reader) {
  AckChunk chunk;
  const auto form = reader.le<std::uint8_t>();
  if (form > kBits) reader.fail();
  if (form == kBits) {
    chunk.bits_ = std::make_unique<Bits>();
    for (std::uint64_t& word : *chunk.bits_) {
      word = reader.le<std::uint64_t>();
      chunk.done_ += static_cast<std::uint32_t>(std::popcount(word));
    }
    return chunk;
  }
  const std::int64_t count = read_varint(reader);
  std::int64_t next = 0;
  for (std::int64_t i = 0; i < count && !reader.failed(); ++i) {
    const std::int64_t open = read_varint(reader), more = read_varint(reader);
    if (open < 0 || open >= kOffsets || more < 0 || more >= kOffsets ||
        next + open + more >= kOffsets)
      reader.fail();
    if (reader.failed()) break;
    chunk.mark(static_cast<std::uint32_t>(next + open),
               static_cast<std::uint32_t>(next + open + more));
    next += open + more + 1;
  }
  return chunk;
}

}  // namespace leat::storage
