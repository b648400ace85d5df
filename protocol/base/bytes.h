// Borrowed bytes, fixed-width integers in either byte order, and a reader that cannot run past
// the end.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace leat {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Copies all of `from` to `to`, where room is; returns the byte behind.
inline std::byte* put_bytes(std::byte* to, Bytes from) {
  if (!from.empty()) std::memcpy(to, from.data(), from.size());
  return to + from.size();
}

template <std::integral T>
constexpr T byte_swap(T value) {
  if constexpr (sizeof(T) == 1)
    return value;
  else if constexpr (sizeof(T) == 2)
    return static_cast<T>(__builtin_bswap16(static_cast<std::uint16_t>(value)));
  else if constexpr (sizeof(T) == 4)
    return static_cast<T>(__builtin_bswap32(static_cast<std::uint32_t>(value)));
  else
    return static_cast<T>(__builtin_bswap64(static_cast<std::uint64_t>(value)));
}

static_assert(std::endian::native == std::endian::little, "Leat runs on little-endian machines");

// Unaligned loads and stores; the caller guarantees that sizeof(T) bytes are there.
template <std::integral T>
T load_be(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return byte_swap(value);
}
template <std::integral T>
T load_le(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <std::integral T>
void store_be(std::byte* to, T value) {
  value = byte_swap(value);
  std::memcpy(to, &value, sizeof value);
}
template <std::integral T>
void store_le(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

constexpr std::size_t round_up(std::size_t n, std::size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// Reads a buffer front to back. A read past the end sets failed() and yields zeros or empty
// spans from then on: check once, at the end.
class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) : rest_(bytes) {}

  template <std::integral T>
  T be() {
    const std::byte* at = take(sizeof(T));
    return at ? load_be<T>(at) : T{};
  }
  template <std::integral T>
  T le() {
    const std::byte* at = take(sizeof(T));
    return at ? load_le<T>(at) : T{};
  }
  Bytes bytes(std::size_t n) {
    const std::byte* at = take(n);
    return at ? Bytes(at, n) : Bytes();
  }
  std::string_view text(std::size_t n) { return as_text(bytes(n)); }

  // What was read makes no sense.
  void fail() {
    failed_ = true;
    rest_ = {};
  }
  bool failed() const { return failed_; }
  std::size_t remaining() const { return rest_.size(); }
  // Whole and nothing left over.
  bool finished() const { return !failed_ && rest_.empty(); }

 private:
  const std::byte* take(std::size_t n) {
    if (failed_ || n > rest_.size()) {
      fail();
      return nullptr;
    }
    const std::byte* at = rest_.data();
    rest_ = rest_.subspan(n);
    return at;
  }

  Bytes rest_;
  bool failed_ = false;
};

}  // namespace leat
