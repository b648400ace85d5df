// leatd --check: a data directory verified while no broker runs in it.
#pragma once

#include <string>

namespace leat {

// Prints a line for each finding, and a summary. The exit status: 0 sound, 1 damaged, 2 it could
// not be looked at.
int check_data(const std::string& data_dir);

}  // namespace leat
