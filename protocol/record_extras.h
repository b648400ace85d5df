// What the reserved headers of a record say to the broker (rule 9, reserved_headers.h).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

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
// The same into `extras`, which says nothing yet: for who reads very many.
Result<> read_extras(const RecordHeaders& headers, RecordExtras& extras);

// The headers that say what a record has, as they lie in a batch. Id and what belongs to it are
// within their bounds. Allocates nothing.
class ExtraHeaders {
 public:
  explicit ExtraHeaders(const RecordExtras& extras);
  RecordHeaders headers() const { return {Bytes(encoded_.data(), size_), count_}; }

 private:
  static constexpr std::size_t kMaxBytes = 2 * 48 + 2 * 24 + kMaxIdBytes + kMaxRedrivenBytes;
  void add(std::string_view key, Bytes value);
  void add_time(std::string_view key, std::int64_t ms);

  std::array<std::byte, kMaxBytes> encoded_;  // as far as size_
  std::size_t size_ = 0, count_ = 0;
};

}  // namespace leat
