#include "server/reactor/output_queue.h"

#include <algorithm>

namespace leat::reactor {

void OutputQueue::push(Slice slice) {
  bytes_ += slice.bytes.size();
  slices_.push_back(std::move(slice));
}

std::size_t OutputQueue::gather(std::span<iovec> pieces) const {
  const std::size_t count = std::min(pieces.size(), slices_.size());
  for (std::size_t i = 0; i < count; ++i) {
    const Bytes bytes = slices_[i].bytes.subspan(i == 0 ? first_sent_ : 0);
    pieces[i] = {const_cast<std::byte*>(bytes.data()), bytes.size()};
  }
  return count;
}

void OutputQueue::sent(std::size_t bytes) {
  bytes_ -= bytes;
  first_sent_ += bytes;
  while (!slices_.empty() && first_sent_ >= slices_.front().bytes.size()) {
    first_sent_ -= slices_.front().bytes.size();
    slices_.pop_front();
  }
}

}  // namespace leat::reactor
