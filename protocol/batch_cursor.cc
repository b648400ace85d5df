#include "protocol/batch_cursor.h"

namespace leat {

Result<BatchCursor> BatchCursor::open(const RecordBatchView& batch) {
  const bool dense = batch.record_count() == batch.last_offset_delta() + 1;
  if (batch.compression() == Compression::kNone)
    return BatchCursor(RecordReader(), batch.begin(), dense);
  auto reader = RecordReader::open(batch);
  if (!reader) return fail(reader.error());
  const Records::Iterator begin = reader->begin();
  return BatchCursor(std::move(*reader), begin, dense);
}

void BatchCursor::seek(Offset offset) {
  if (at_ == Records().end()) return;
  if (dense_ && offset > at_->offset) at_.skip(offset - at_->offset);
  while (at_ != Records().end() && at_->offset < offset) ++at_;
}

}  // namespace leat
