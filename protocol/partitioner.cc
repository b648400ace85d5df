#include "protocol/partitioner.h"

namespace leat {

std::uint32_t murmur2(Bytes key) {
  constexpr std::uint32_t kSeed = 0x9747b28c, kMultiplier = 0x5bd1e995;
  constexpr unsigned kShift = 24;
  const std::byte* p = key.data();
  std::size_t left = key.size();
  std::uint32_t hash = kSeed ^ static_cast<std::uint32_t>(left);
  for (; left >= 4; p += 4, left -= 4) {
    std::uint32_t k = load_le<std::uint32_t>(p) * kMultiplier;
    k = (k ^ (k >> kShift)) * kMultiplier;
    hash = (hash * kMultiplier) ^ k;
  }
  if (left > 0) {
    for (std::size_t i = 0; i < left; ++i) hash ^= static_cast<std::uint32_t>(p[i]) << (8 * i);
    hash *= kMultiplier;
  }
  hash = (hash ^ (hash >> 13)) * kMultiplier;
  return hash ^ (hash >> 15);
}

}  // namespace leat
