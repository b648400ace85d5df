// What a shared group has done of one partition (rule 6): everything below its floor, which is the
// offset it has committed, and some of what lies above. Of the rest some has failed before.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/ids.h"
#include "storage/group.h"

namespace leat::storage {

struct OffsetRange {
  Offset first, last;  // inclusive
  friend auto operator<=>(const OffsetRange&, const OffsetRange&) = default;
};

// Records that are not done, and were delivered in vain.
struct Retry {
  std::uint32_t attempts = 0;
  std::int64_t due_ms = 0;  // not again before, in ms since 1970
  friend bool operator==(const Retry&, const Retry&) = default;
};

// One step, carried out whole (rule 1).
struct AcksChange {
  std::string_view group;
  TopicPartition partition;
  std::vector<OffsetRange> done;
  std::vector<std::pair<OffsetRange, Retry>> retries;  // where the range is done: nothing
};

}  // namespace leat::storage
