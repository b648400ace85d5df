// CRC-32C (Castagnoli), as Kafka's record batches and our journal use it. RFC 3720, B.4.
#pragma once

#include <cstddef>
#include <cstdint>

#include "protocol/base/bytes.h"

namespace leat {

// The checksum of `bytes`, or of what gave `previous` followed by `bytes`. Uses the processor's
// CRC instructions where it has them. Any thread.
std::uint32_t crc32c(Bytes bytes, std::uint32_t previous = 0);

// The checksum of some bytes followed by `bytes` others, by those of both: nothing is read again.
std::uint32_t crc32c_joined(std::uint32_t first, std::uint32_t second, std::size_t bytes);

// The portable table version, for processors without the instruction and for tests.
std::uint32_t crc32c_table(Bytes bytes, std::uint32_t previous = 0);

}  // namespace leat
