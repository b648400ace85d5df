// What it costs storage to know message ids: memory, disk, time.
#pragma once

#include <cstdint>
#include <string>

namespace leat::bench {

// Appends so many records with an id each to one partition of `directory`, every id looked up
// before, as a broker does; or the same records without. Prints MB of resident memory afterwards,
// ns an id of looking up and of appending, and how many look-ups of a batch had to ask a row.
int live_with_ids(const std::string& directory, std::uint64_t ids);
int live_without_ids(const std::string& directory, std::uint64_t ids);

// Runs both in processes of their own, opens what is left, and tells.
void measure_ids(const std::string& directory, std::uint64_t ids);

}  // namespace leat::bench
