// Fan-out over TCP without any reactor: what the kernel takes for it by itself.
#pragma once

#include <cstddef>

#include "server/reactor/open_reactor.h"

namespace leat::bench {

// 128 bytes to each of 256 loopback connections, again and again: by send(), or through a ring, one
// call for all.
class BareSends {
 public:
  // Nanoseconds of this thread's processor time a send.
  double run(reactor::ReactorKind kind);
};

}  // namespace leat::bench
