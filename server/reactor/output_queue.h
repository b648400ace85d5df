// What waits to leave one connection, for every reactor: slices, oldest first, gathered into one
// call to the kernel.
#pragma once

#include <deque>
#include <span>

#include <sys/uio.h>

#include "server/reactor/reactor.h"

namespace leat::reactor {

inline constexpr std::size_t kMostPieces = 64;  // gathered into one call

class OutputQueue {
 public:
  void push(Slice slice);
  bool empty() const { return bytes_ == 0; }
  std::size_t bytes() const { return bytes_; }
  // Points `pieces` at what is to leave next; returns how many it used. Valid until sent().
  std::size_t gather(std::span<iovec> pieces) const;
  // The first `bytes` are gone: lets go of the slices they filled.
  void sent(std::size_t bytes);

 private:
  std::deque<Slice> slices_;
  std::size_t first_sent_ = 0;  // bytes of slices_.front() that are gone
  std::size_t bytes_ = 0;
};

}  // namespace leat::reactor
