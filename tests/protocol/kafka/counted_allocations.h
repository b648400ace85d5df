// How much memory was asked for so far, in a program that counted_allocations.cc is linked into.
#pragma once

#include <cstddef>

namespace leat {

// Bytes, by all threads; what is given back is not taken off.
std::size_t allocated_bytes();

}  // namespace leat
