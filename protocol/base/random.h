// Randomness comes from outside (rule 11), so that a seed replays a run.
#pragma once

#include <cstdint>

#include "protocol/base/ids.h"

namespace leat {

// SplitMix64 (Steele, Lea, Flood 2014): small, fast, seedable; not for secrets. One thread.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  static Random from_system();  // seeded by the kernel

  std::uint64_t next();
  // Uniform enough in [0, bound); bound > 0.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  TopicId topic_id();  // a version 4 UUID

 private:
  std::uint64_t state_;
};

}  // namespace leat
