// How the log may lie in RocksDB, without a journal before it: by segments, as Leat has it, beside
// RocksDB's own FIFO and universal compaction, which take partition and offset as they come.
#pragma once

#include <cstdint>
#include <string>

namespace leat::bench {

// Prints a row for each layout, with 1, 16 and 1,000 partitions and batches of 64 and 4 KiB.
// Throws std::runtime_error.
void compare_layouts(const std::string& directory, std::uint64_t bytes);

}  // namespace leat::bench
