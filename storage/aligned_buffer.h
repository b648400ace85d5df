// Memory that O_DIRECT takes: aligned to a block.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "protocol/base/bytes.h"
#include "storage/file_io.h"

namespace leat::storage {

class AlignedBuffer {
 public:
  // The content is undefined afterwards.
  void resize(std::size_t bytes) {
    if (bytes > capacity_ || capacity_ > kKeepBytes) {
      capacity_ = round_up(bytes, kBlockBytes);
      memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kBlockBytes, capacity_)));
      if (!memory_) throw std::bad_alloc();
    }
    size_ = bytes;
  }
  MutableBytes bytes() { return {memory_.get(), size_}; }

 private:
  static constexpr std::size_t kKeepBytes = 4 << 20;  // one large entry is not kept for ever
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::unique_ptr<std::byte[], Free> memory_;
  std::size_t size_ = 0, capacity_ = 0;
};

}  // namespace leat::storage
