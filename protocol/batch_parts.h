// One batch divided among several readers: each part is a batch of its own with some of the
// records, as they lie in the whole, under the same range of offsets, uncompressed.
#pragma once

#include <algorithm>
#include <vector>

#include "protocol/record_batch.h"

namespace leat {

// One part, while it grows. Copies what it is given.
class BatchPart {
 public:
  // Records of one batch, by rising offsets.
  void add(const RecordBatchView& batch, const Records::Iterator& record) {
    if (count_ == 0) begin(batch);
    bytes_.insert(bytes_.end(), record.encoded().begin(), record.encoded().end());
    max_timestamp_ms_ = std::max(max_timestamp_ms_, record->timestamp_ms);
    newest_ = record->offset;
    ++count_;
  }
  // Memory that it will need.
  void reserve(std::size_t bytes) { bytes_.reserve(bytes); }
  std::int32_t count() const { return count_; }
  std::size_t size() const { return bytes_.size(); }
  // Of the batch, once there is a record.
  Offset base_offset() const;
  Offset last_offset() const;
  Offset newest() const { return newest_; }  // record
  // The part is empty afterwards; it had a record.
  std::vector<std::byte> take();
  // So many of the first records, at least one and not all, as a part of their own; the others stay
  // where they are, and keep what is the newest time of all.
  BatchPart split(std::int32_t records);

 private:
  void begin(const RecordBatchView& batch);
  void write_counts();

  std::vector<std::byte> bytes_;  // room for the header, then records
  std::int32_t count_ = 0;
  std::int64_t max_timestamp_ms_ = 0;
  Offset newest_;
};

//   BatchParts parts(batch, readers);
//   for (auto it = records.begin(); it != records.end(); ++it) parts.add(reader_of(*it), it);
//   for (std::size_t i = 0; i < readers; ++i) if (parts.count(i) > 0) send(i, parts.take(i));
class BatchParts {
 public:
  // Borrows the batch.
  BatchParts(const RecordBatchView& batch, std::size_t parts) : batch_(batch), parts_(parts) {}

  // The record is one of the batch's.
  void add(std::size_t part, const Records::Iterator& record) {
    if (parts_[part].count() == 0) parts_[part].reserve(share());
    parts_[part].add(batch_, record);
  }
  std::int32_t count(std::size_t part) const { return parts_[part].count(); }
  // The part is empty afterwards; it had a record.
  std::vector<std::byte> take(std::size_t part) { return parts_[part].take(); }
  // The bytes of a part where all have about as much, and a quarter more.
  std::size_t share() const {
    const std::size_t even = batch_.bytes().size() / parts_.size();
    return batch_layout::kHeaderBytes + even + even / 4;
  }

 private:
  const RecordBatchView batch_;
  std::vector<BatchPart> parts_;
};

}  // namespace leat
