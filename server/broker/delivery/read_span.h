// Which offsets the batches of a read cover.
#pragma once

#include <cstdint>

#include "protocol/record_batch.h"
#include "storage/reads.h"

namespace leat::broker {

inline Offset last_offset_of(const storage::ReadResult& read) {
  Offset last{-1};
  if (!read.batches.empty())
    for (Bytes rest = read.batches.back().bytes; !rest.empty();) {
      const auto batch = RecordBatchView::parse(rest);
      if (!batch) break;
      last = batch->last_offset();
      rest = rest.subspan(batch->bytes().size());
    }
  return last;
}

inline Offset first_offset_of(const storage::ReadResult& read) {
  const auto batch = read.batches.empty() ? fail(ErrorCode::kInvalidBatch)
                                          : RecordBatchView::parse(read.batches.front().bytes);
  return batch ? batch->base_offset() : Offset(INT64_MAX);
}

// Batches adjoin.
inline bool covers(const storage::ReadResult& read, Offset offset) {
  return first_offset_of(read) <= offset && offset <= last_offset_of(read);
}

}  // namespace leat::broker
