#include "protocol/base/siphash.h"

#include <bit>

#include "protocol/base/assert.h"

namespace leat {
namespace {

struct SipState {
  std::uint64_t v0, v1, v2, v3;

  SipState(std::uint64_t k0, std::uint64_t k1)
      : v0(k0 ^ 0x736f6d6570736575),         // "somepseudorandomlygeneratedbytes"
        v1(k1 ^ 0x646f72616e646f6d ^ 0xee),  // 0xee: 128 bits are wanted
        v2(k0 ^ 0x6c7967656e657261),
        v3(k1 ^ 0x7465646279746573) {}

  void rounds(int count) {
    for (; count > 0; --count) {
      v0 += v1, v1 = std::rotl(v1, 13) ^ v0, v0 = std::rotl(v0, 32);
      v2 += v3, v3 = std::rotl(v3, 16) ^ v2;
      v0 += v3, v3 = std::rotl(v3, 21) ^ v0;
      v2 += v1, v1 = std::rotl(v1, 17) ^ v2, v2 = std::rotl(v2, 32);
    }
  }
  void take(std::uint64_t word) {
    v3 ^= word;
    rounds(2);
    v0 ^= word;
  }
  std::uint64_t give() {
    rounds(4);
    return v0 ^ v1 ^ v2 ^ v3;
  }
};

}  // namespace

std::array<std::uint64_t, 2> siphash128(Bytes key, Bytes data) {
  LEAT_ASSERT(key.size() == kSiphashKeyBytes);
  SipState state(load_le<std::uint64_t>(key.data()), load_le<std::uint64_t>(key.data() + 8));
  std::uint64_t last = std::uint64_t{data.size()} << 56;  // beside what does not fill a word
  for (; data.size() >= 8; data = data.subspan(8)) state.take(load_le<std::uint64_t>(data.data()));
  for (std::size_t i = 0; i < data.size(); ++i)
    last |= std::to_integer<std::uint64_t>(data[i]) << (8 * i);
  state.take(last);
  state.v2 ^= 0xee;
  const std::uint64_t first = state.give();
  state.v1 ^= 0xdd;
  return {first, state.give()};
}

}  // namespace leat
