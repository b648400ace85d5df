// A batch whose records are looked at by and by: not decoded again where that goes on.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "protocol/record_batch.h"

namespace leat::broker {

struct BegunBatch {
  std::shared_ptr<const void> owner;
  const std::byte* batch;
  std::optional<RecordReader> decompressed;
  Records::Iterator at, end;
  Offset expected;           // next
  std::int32_t records = 0;  // so far
};

}  // namespace leat::broker
