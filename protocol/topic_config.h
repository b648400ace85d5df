// What a topic promises about its records (rule 3).
#pragma once

#include <chrono>
#include <cstdint>

namespace leat {

enum class Durability : std::uint8_t {
  kSync = 0,      // on stable storage before the acknowledgement
  kInterval = 1,  // acknowledged at once, on stable storage within the interval
  kMemory = 2,    // acknowledged at once, never synced for its own sake
};

inline constexpr std::chrono::milliseconds kMaxDurabilityInterval = std::chrono::hours(1);

struct TopicConfig {
  Durability durability = Durability::kSync;
  std::chrono::milliseconds interval{0};  // of kInterval: 1 ms to an hour; else 0

  friend bool operator==(const TopicConfig&, const TopicConfig&) = default;
};

}  // namespace leat
