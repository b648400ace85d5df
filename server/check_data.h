// leatd --check and --repair: a data directory verified, or mended, while no broker runs in it.
#pragma once

#include <string>

namespace leat {

// Prints a line for each finding, and a summary. The exit status: 0 sound, 1 damaged, 2 it could
// not be looked at.
int check_data(const std::string& data_dir);

// The same, then keeps what is intact and says what was lost. The exit status: 0 mended, or there
// was nothing to mend, 2 not mended: nothing has changed then, but where the disk failed in
// between.
int repair_data(const std::string& data_dir);

}  // namespace leat
