// The kinds of consumer group (rule 8): a group with members has exactly one.
#pragma once

#include <cstdint>
#include <string_view>

namespace leat {

enum class GroupKind : std::uint8_t {
  kNone = 0,         // no member so far: offsets alone
  kPartitioned = 1,  // native: each partition is with one member
  kClassic = 2,      // Kafka's classic protocol
  kShared = 3,
  kKeyShared = 4,
};

constexpr std::string_view name_of(GroupKind kind) {
  switch (kind) {
    case GroupKind::kNone:
      return "none";
    case GroupKind::kPartitioned:
      return "partitioned";
    case GroupKind::kClassic:
      return "classic";
    case GroupKind::kShared:
      return "shared";
    case GroupKind::kKeyShared:
      return "key_shared";
  }
  return "unknown";
}

}  // namespace leat
