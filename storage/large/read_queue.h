// Reads of several places at once (rule 14): by io_uring, so that the disk has them together; where
// that is forbidden, one after the other.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "storage/file_io.h"

namespace leat::storage {

// One thread at a time.
class ReadQueue {
 public:
  struct Read {
    File* file = nullptr;
    std::uint64_t at = 0;
    MutableBytes into{};
    Result<std::size_t> result = 0;  // as of File::read
  };

  virtual ~ReadQueue() = default;
  // Makes them all, and waits for them.
  virtual void read(std::span<Read> reads) = 0;
};

// Any file's.
class ReadsInTurn final : public ReadQueue {
 public:
  void read(std::span<Read> reads) override {
    for (Read& one : reads) one.result = one.file->read(one.at, one.into);
  }
};

// Of files that have a descriptor; null where io_uring cannot be had.
std::unique_ptr<ReadQueue> open_uring_reads(unsigned depth);

}  // namespace leat::storage
