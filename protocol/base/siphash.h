// SipHash-2-4 with a result of 128 bits (Aumasson and Bernstein, 2012, and the authors' note on
// SipHash-128): a keyed hash for short inputs. Whoever does not know the key cannot make two that
// collide.
#pragma once

#include <array>
#include <cstdint>

#include "protocol/base/bytes.h"

namespace leat {

inline constexpr std::size_t kSiphashKeyBytes = 16;

// The result's bytes 0 to 7 and 8 to 15, each as a little-endian number. `key` has
// kSiphashKeyBytes.
std::array<std::uint64_t, 2> siphash128(Bytes key, Bytes data);

}  // namespace leat
