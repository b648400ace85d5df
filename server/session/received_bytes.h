// What arrived and is not handled yet, in memory that others may write the rest of a frame into.
// One thread.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>

#include "protocol/base/bytes.h"
#include "storage/new_batch.h"

namespace leat::session {

class ReceivedBytes {
 public:
  Bytes all() const { return {memory_.get(), size_}; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // What is free() stays where it is until more is appended or dropped.
  MutableBytes free() const { return {memory_.get() + size_, capacity_ - size_}; }
  const std::shared_ptr<std::byte[]>& owner() const { return memory_; }
  // So much of what is free was written to.
  void grow(std::size_t bytes) { size_ += bytes; }

  // A batch in what arrived. It may stay in this memory, of which handled bytes are not written to
  // again, where that holds little else; or is elsewhere, and is copied.
  storage::NewBatch batch(Bytes bytes) const {
    const std::byte* begin = memory_.get();
    const std::less<> before;
    if (!begin || before(bytes.data(), begin) || !before(bytes.data(), begin + size_) ||
        bytes.size() < capacity_ - capacity_ / kMostOfMemory)
      return bytes;
    return {MutableBytes(memory_.get() + (bytes.data() - begin), bytes.size()), memory_};
  }

  void reserve(std::size_t capacity) {
    if (capacity > capacity_) move_to(capacity, all());
  }
  void append(Bytes bytes) {
    if (bytes.empty()) return;
    if (bytes.size() > capacity_ - size_) reserve(std::max(size_ + bytes.size(), 2 * capacity_));
    std::memcpy(memory_.get() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  }
  // Gives back the memory that is not needed for the others.
  void drop_front(std::size_t bytes) {
    if (bytes == 0) return;
    const Bytes rest = all().subspan(bytes);
    if (rest.empty()) return clear();
    move_to(rest.size(), rest);
  }
  void clear() { *this = {}; }

 private:
  static constexpr std::size_t kMostOfMemory = 8;  // an eighth may be something else

  void move_to(std::size_t capacity, Bytes bytes) {
    auto memory = std::make_shared_for_overwrite<std::byte[]>(capacity);
    std::copy(bytes.begin(), bytes.end(), memory.get());
    memory_ = std::move(memory);
    size_ = bytes.size();
    capacity_ = capacity;
  }

  std::shared_ptr<std::byte[]> memory_;
  std::size_t size_ = 0, capacity_ = 0;
};

}  // namespace leat::session
