// What the reserved headers of a record say to the broker (rule 9, reserved_headers.h).
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>

#include "protocol/record.h"

namespace leat {

inline constexpr std::size_t kMaxIdBytes = 255;
inline constexpr std::size_t kMaxRedrivenBytes = 300;   // the longest topic, partition and offset
inline constexpr std::size_t kMaxIdsInBatch = 1 << 16;  // records of a batch that have one
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

// The headers that say what a record has; they borrow its id, and the rest from here. Allocates
// nothing.
class ExtraHeaders {
 public:
  explicit ExtraHeaders(const RecordExtras& extras);
  ExtraHeaders(const ExtraHeaders&) = delete;
  ExtraHeaders& operator=(const ExtraHeaders&) = delete;
  std::span<const RecordHeader> headers() const { return {headers_.data(), count_}; }

 private:
  void add(std::string_view key, const std::optional<Bytes>& value);
  using Digits = std::array<char, std::numeric_limits<std::int64_t>::digits10 + 2>;
  static std::optional<Bytes> keep(const std::optional<std::int64_t>& ms, Digits& digits);

  std::array<RecordHeader, 4> headers_;
  std::size_t count_ = 0;
  Digits deliver_at_, expires_at_;
};

}  // namespace leat
