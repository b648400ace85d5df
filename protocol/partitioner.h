// Which partition a key belongs to: murmur2 (Austin Appleby) of the key bytes with Kafka's seed,
// sign bit cleared, modulo partitions: what Kafka's Java client does, so the same key lands on the
// same partition whichever client produced it.
#pragma once

#include <cstdint>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"

namespace leat {

std::uint32_t murmur2(Bytes key);

// `partitions` > 0. An empty key is a key.
inline PartitionIndex partition_for_key(Bytes key, std::int32_t partitions) {
  return PartitionIndex(static_cast<std::int32_t>((murmur2(key) & 0x7fffffffu) %
                                                  static_cast<std::uint32_t>(partitions)));
}

}  // namespace leat
