// How one memory budget is shared out, in sixteenths; with what the option table gives to batches
// being checked and to receive buffers (one each) they come to the whole. docs/configuration.md
// tells users.
#pragma once

#include <algorithm>
#include <cstddef>

namespace leat::storage {

struct MemoryShares {
  std::size_t newest_records;  // the tail cache, un-applied entries and `read_ahead` included
  std::size_t read_ahead;      // of a reader that goes through what memory does not hold
  std::size_t memtable;        // of records: one is filled while the other goes to disk
  std::size_t other_memtable;  // of each other family
  std::size_t block_cache;
  std::size_t key_map;      // of key compaction
  std::size_t journal;      // groups on their way to the disk
  std::size_t connections;  // frames begun, requests held back, output that waits
};

constexpr MemoryShares shares_of(std::size_t budget) {
  constexpr std::size_t kMiB = 1 << 20;
  const std::size_t sixteenth = budget / 16;
  return {.newest_records = 3 * sixteenth,
          .read_ahead = sixteenth / 2,
          .memtable = std::clamp(2 * sixteenth, kMiB, 150 * kMiB),
          .other_memtable = std::clamp(sixteenth / 4, kMiB / 8, 4 * kMiB),
          .block_cache = std::min(sixteenth / 2, 32 * kMiB),
          .key_map = sixteenth / 2,
          .journal = sixteenth,
          .connections = 4 * sixteenth};
}

}  // namespace leat::storage
