// Processes of their own for what must not share one: a life that ends by SIGKILL, and one whose
// peak of memory counts.
#pragma once

#include <string>
#include <vector>

namespace leat::bench {

// Runs this program again with `arguments`. What it printed on one line; of one that died by a
// signal what it had printed so far. Throws std::runtime_error when it exits with an error.
std::string run_self(const std::vector<std::string>& arguments);

// The child's side.
// Opens `directory`, keeps RocksDB's flushes back, appends batches of so many bytes until there is
// no room for more, and kills itself.
int die_at_the_bound(const std::string& directory, std::size_t batch_bytes);
// Appends so many bytes under the edge profile, then reads them all. Prints MB/s written, and its
// peak of memory in MB before and after reading.
int live_on_the_edge(const std::string& directory, std::uint64_t bytes);

}  // namespace leat::bench
