// Where a record lies in what its producer reads it from: a database's log, a file. A producer that
// names its source and says these positions may send again what it has sent, and each is stored
// once, in the source's order.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace leat {

// Ordered by `high`, then `low`: say, where a transaction committed, and which of its records it
// is. Zero is before all of them.
struct SourcePosition {
  std::uint64_t high = 0, low = 0;
  friend auto operator<=>(const SourcePosition&, const SourcePosition&) = default;
};

// For messages: "23456/7".
inline std::string text_of(const SourcePosition& position) {
  return std::to_string(position.high) + "/" + std::to_string(position.low);
}

// What a batch says of its source: its records are all there is behind `from`, up to `to`.
struct SourceStep {
  std::string_view source;  // its name; borrowed
  SourcePosition from, to;
  friend bool operator==(const SourceStep&, const SourceStep&) = default;
};

}  // namespace leat
