#include "protocol/base/crc32c.h"

#include <array>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace leat {
namespace {

constexpr std::uint32_t kPolynomial = 0x82f63b78;  // reflected

// kTables[k][b]: the effect of byte b followed by k zero bytes ("slicing by 8").
constexpr auto make_tables() {
  std::array<std::array<std::uint32_t, 256>, 8> tables{};
  for (std::uint32_t b = 0; b < 256; ++b) {
    std::uint32_t crc = b;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? kPolynomial : 0);
    tables[0][b] = crc;
  }
  for (std::size_t k = 1; k < 8; ++k)
    for (std::uint32_t b = 0; b < 256; ++b)
      tables[k][b] = (tables[k - 1][b] >> 8) ^ tables[0][tables[k - 1][b] & 0xff];
  return tables;
}
constexpr auto kTables = make_tables();

// Checksums are polynomials over GF(2) modulo kPolynomial; reflected, so the highest bit is 1 and
// the next one x. Behind n more bytes a checksum counts x^8n times.
constexpr std::uint32_t kOne = std::uint32_t{1} << 31;

constexpr std::uint32_t product(std::uint32_t a, std::uint32_t b) {
  std::uint32_t sum = 0;
  for (std::uint32_t power = kOne; power != 0; power >>= 1) {
    if ((a & power) != 0) sum ^= b;
    b = (b >> 1) ^ ((b & 1) != 0 ? kPolynomial : 0);
  }
  return sum;
}

// kZeroBytes[k]: x^8 to the power of 2^k, what 2^k bytes make of a checksum before them.
constexpr auto make_zero_bytes() {
  std::array<std::uint32_t, 64> powers{};
  powers[0] = kOne >> 8;
  for (std::size_t k = 1; k < powers.size(); ++k) powers[k] = product(powers[k - 1], powers[k - 1]);
  return powers;
}
constexpr auto kZeroBytes = make_zero_bytes();

#if defined(__x86_64__)
// Applying `kShift` zero bytes to a checksum is linear, so four table look-ups do it. That lets
// three independent streams hide the instruction's latency of three cycles.
constexpr std::size_t kStream = 1024;

constexpr std::uint32_t shift_zeros(std::uint32_t crc, std::size_t zeros) {
  for (std::size_t i = 0; i < zeros; ++i) crc = (crc >> 8) ^ kTables[0][crc & 0xff];
  return crc;
}

constexpr auto make_shift(std::size_t zeros) {
  std::array<std::uint32_t, 32> basis{};
  for (std::size_t bit = 0; bit < 32; ++bit)
    basis[bit] = shift_zeros(std::uint32_t{1} << bit, zeros);
  std::array<std::array<std::uint32_t, 256>, 4> shift{};
  for (std::size_t byte = 0; byte < 4; ++byte)
    for (std::uint32_t v = 0; v < 256; ++v)
      for (std::size_t bit = 0; bit < 8; ++bit)
        if (v >> bit & 1) shift[byte][v] ^= basis[byte * 8 + bit];
  return shift;
}
constexpr auto kShift = make_shift(kStream);

std::uint32_t shifted(std::uint64_t crc) {
  return kShift[0][crc & 0xff] ^ kShift[1][crc >> 8 & 0xff] ^ kShift[2][crc >> 16 & 0xff] ^
         kShift[3][crc >> 24 & 0xff];
}

__attribute__((target("sse4.2"))) std::uint32_t crc32c_hardware(Bytes bytes,
                                                                std::uint32_t previous) {
  std::uint64_t crc = ~previous;
  const std::byte* p = bytes.data();
  std::size_t n = bytes.size();
  while (n >= 3 * kStream) {
    std::uint64_t second = 0, third = 0;
    for (std::size_t i = 0; i < kStream; i += 8) {
      crc = _mm_crc32_u64(crc, load_le<std::uint64_t>(p + i));
      second = _mm_crc32_u64(second, load_le<std::uint64_t>(p + kStream + i));
      third = _mm_crc32_u64(third, load_le<std::uint64_t>(p + 2 * kStream + i));
    }
    crc = shifted(shifted(crc) ^ second) ^ third;
    p += 3 * kStream;
    n -= 3 * kStream;
  }
  for (; n >= 8; p += 8, n -= 8) crc = _mm_crc32_u64(crc, load_le<std::uint64_t>(p));
  auto narrow = static_cast<std::uint32_t>(crc);
  for (; n > 0; ++p, --n) narrow = _mm_crc32_u8(narrow, static_cast<std::uint8_t>(*p));
  return ~narrow;
}
#endif

}  // namespace

std::uint32_t crc32c_table(Bytes bytes, std::uint32_t previous) {
  std::uint32_t crc = ~previous;
  const std::byte* p = bytes.data();
  std::size_t n = bytes.size();
  for (; n >= 8; p += 8, n -= 8) {
    const std::uint64_t v = load_le<std::uint64_t>(p) ^ crc;
    crc = 0;
    for (std::size_t k = 0; k < 8; ++k) crc ^= kTables[7 - k][v >> (8 * k) & 0xff];
  }
  for (; n > 0; ++p, --n)
    crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<std::uint32_t>(*p)) & 0xff];
  return ~crc;
}

std::uint32_t crc32c(Bytes bytes, std::uint32_t previous) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2");
  if (has_instruction) return crc32c_hardware(bytes, previous);
#endif
  return crc32c_table(bytes, previous);
}

std::uint32_t crc32c_joined(std::uint32_t first, std::uint32_t second, std::size_t bytes) {
  for (std::size_t k = 0; bytes != 0; ++k, bytes >>= 1)
    if ((bytes & 1) != 0) first = product(first, kZeroBytes[k]);
  return first ^ second;
}

}  // namespace leat
