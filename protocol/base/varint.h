// Variable-length integers as protocol buffers and Kafka's record format encode them: seven bits
// a byte, least significant first; signed values zigzag first.
// https://protobuf.dev/programming-guides/encoding/#varints
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "protocol/base/bytes.h"

namespace leat {

inline constexpr std::size_t kMaxVarintBytes = 10;

constexpr std::uint64_t zigzag(std::int64_t v) {
  return (static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63);
}
constexpr std::int64_t unzigzag(std::uint64_t v) {
  return static_cast<std::int64_t>((v >> 1) ^ (~(v & 1) + 1));
}

constexpr std::size_t varint_size(std::int64_t value) {
  return (static_cast<std::size_t>(std::bit_width(zigzag(value) | 1)) + 6) / 7;
}

// Writes the varint of `value` at `to` (kMaxVarintBytes must fit); returns the byte behind.
inline std::byte* put_uvarint(std::byte* to, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) *to++ = static_cast<std::byte>(value | 0x80);
  *to++ = static_cast<std::byte>(value);
  return to;
}
// The same, zigzag first.
inline std::byte* put_varint(std::byte* to, std::int64_t value) {
  return put_uvarint(to, zigzag(value));
}

// Reads a zigzag varint between `from` and `end` into `value`; returns the byte behind it, or
// nullptr when it is cut off or longer than 64 bits.
inline const std::byte* get_varint(const std::byte* from, const std::byte* end,
                                   std::int64_t& value) {
  // Short ones first: most are.
  if (end - from >= 2) {
    const auto first = static_cast<std::uint64_t>(from[0]),
               second = static_cast<std::uint64_t>(from[1]);
    if (first < 0x80) {
      value = unzigzag(first);
      return from + 1;
    }
    if (second < 0x80) {
      value = unzigzag((first & 0x7f) | second << 7);
      return from + 2;
    }
  }
  std::uint64_t v = 0;
  for (unsigned shift = 0; shift < 64 && from != end; shift += 7) {
    const auto b = static_cast<std::uint64_t>(*from++);
    if (shift == 63 && b > 1) return nullptr;
    v |= (b & 0x7f) << shift;
    if (b < 0x80) {
      value = unzigzag(v);
      return from;
    }
  }
  return nullptr;
}

}  // namespace leat
