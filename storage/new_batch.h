// A batch that storage is to append.
#pragma once

#include <concepts>
#include <memory>
#include <utility>

#include "protocol/base/bytes.h"

namespace leat::storage {

class NewBatch {
 public:
  // Storage copies it. Not explicit: whoever has bytes has this.
  template <std::convertible_to<Bytes> Batch>
  NewBatch(const Batch& bytes) : bytes_(bytes) {}
  // Storage may keep it where it is, and then assigns base offset and leader epoch there. Nobody
  // else writes to that memory any more, and what else `owner` keeps counts for little.
  NewBatch(MutableBytes place, std::shared_ptr<const void> owner)
      : bytes_(place), place_(place), owner_(std::move(owner)) {}

  Bytes bytes() const { return bytes_; }
  bool may_stay() const { return owner_ != nullptr; }
  // Of one that may.
  MutableBytes place() const { return place_; }
  const std::shared_ptr<const void>& owner() const { return owner_; }

 private:
  Bytes bytes_;
  MutableBytes place_;
  std::shared_ptr<const void> owner_;
};

}  // namespace leat::storage
