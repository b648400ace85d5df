// One batch divided among several readers: each part is a batch of its own with some of the
// records, as they lie in the whole, under the same range of offsets, uncompressed.
#pragma once

#include <vector>

#include "protocol/record_batch.h"

namespace leat {

//   BatchParts parts(batch, readers);
//   for (auto it = records.begin(); it != records.end(); ++it) parts.add(reader_of(*it), it);
//   for (std::size_t i = 0; i < readers; ++i) if (parts.count(i) > 0) send(i, parts.take(i));
class BatchParts {
 public:
  // Borrows the batch.
  BatchParts(const RecordBatchView& batch, std::size_t parts) : batch_(batch), parts_(parts) {}

  // The record is one of the batch's.
  void add(std::size_t part, const Records::Iterator& record);
  std::int32_t count(std::size_t part) const { return parts_[part].count; }
  // The part is empty afterwards; it had a record.
  std::vector<std::byte> take(std::size_t part);

 private:
  struct Part {
    std::vector<std::byte> bytes;  // room for the header, then records
    std::int32_t count = 0;
    std::int64_t max_timestamp_ms = 0;
  };
  const RecordBatchView batch_;
  std::vector<Part> parts_;
};

}  // namespace leat
