// What the reserved headers of a record say to the broker (rule 9, reserved_headers.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "protocol/record.h"

namespace leat {

inline constexpr std::size_t kMaxIdBytes = 255;
inline constexpr std::int64_t kMaxHeaderTimeMs = std::int64_t{1} << 47;  // beyond the year 6000

struct RecordExtras {
  std::optional<Bytes> id;                                   // borrows the record's bytes
  std::optional<Bytes> redriven;                             // belongs to the id
  std::optional<std::int64_t> deliver_at_ms, expires_at_ms;  // since 1970

  bool timed() const { return deliver_at_ms || expires_at_ms; }
};

// Where a name stands twice the first counts. A dead letter keeps its record's headers, but is
// neither delayed nor does it expire. Errors: kInvalidBatch, naming the header, what it has and
// what it may be.
Result<RecordExtras> read_extras(const RecordHeaders& headers);

// How a time is written into a header.
std::string header_time(std::int64_t ms);

}  // namespace leat
