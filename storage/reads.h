// What reading from storage gives: now, or later by an event.
#pragma once

#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "protocol/base/bytes.h"

namespace leat::storage {

// One or more whole batches, kept alive by `owner`, immutable.
struct StoredBatches {
  std::shared_ptr<const void> owner;
  Bytes bytes;
};

struct ReadResult {
  std::vector<StoredBatches>
      batches;  // adjoining, ascending; empty: nothing at or above the offset
};

using ReadToken = std::uint64_t;
struct ReadLater {};  // an event follows with the token
using ReadOutcome = std::variant<ReadResult, ReadLater>;

}  // namespace leat::storage
