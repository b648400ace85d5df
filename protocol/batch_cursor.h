// Goes through some of a batch's records, forward, and decodes no others.
//
//   auto cursor = BatchCursor::open(batch);
//   for (cursor->seek(first); cursor->at_most(last); cursor->next()) use(*cursor->record());
//   if (cursor->broken()) return fail(...);
#pragma once

#include "protocol/record_batch.h"

namespace leat {

class BatchCursor {
 public:
  // Borrows an uncompressed batch's bytes, which were checked when it was produced; decompresses
  // and checks others. At the first record. Errors: those of RecordReader::open().
  static Result<BatchCursor> open(const RecordBatchView& batch);

  // To the first record at or behind `offset`; not back. `position`: what position() was there; 0:
  // not known.
  void seek(Offset offset, std::uint32_t position = 0);
  void next() { ++at_; }
  // There is a record, and it is not behind `last`.
  bool at_most(Offset last) const { return at_ != Records().end() && at_->offset <= last; }
  const Records::Iterator& record() const { return at_; }
  // Where the record lies in the batch, in bytes, to come back to it sooner; 0 where nothing is
  // won.
  std::uint32_t position() const;
  // The end was reached where the bytes lie.
  bool broken() const { return at_.broken(); }

 private:
  BatchCursor(const RecordBatchView& batch, RecordReader reader, Records::Iterator at);

  RecordBatchView batch_;
  RecordReader reader_;  // of a compressed batch
  Records::Iterator at_;
  bool dense_;  // every offset has a record: it lies there as it was stored
};

}  // namespace leat
