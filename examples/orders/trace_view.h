// One order, followed from end to end through the spans that all processes have written.
#pragma once

#include <string>

namespace leat::orders {

// Prints the fullest trace that hangs together, of those in `directory`/traces.*. False: there is
// none.
bool print_a_trace(const std::string& directory);

}  // namespace leat::orders
