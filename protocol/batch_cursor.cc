#include "protocol/batch_cursor.h"

#include <limits>

namespace leat {

BatchCursor::BatchCursor(const RecordBatchView& batch, RecordReader reader, Records::Iterator at)
    : batch_(batch),
      reader_(std::move(reader)),
      at_(at),
      dense_(batch.record_count() == batch.last_offset_delta() + 1) {}

Result<BatchCursor> BatchCursor::open(const RecordBatchView& batch) {
  if (batch.compression() == Compression::kNone)
    return BatchCursor(batch, RecordReader(), batch.begin());
  auto reader = RecordReader::open(batch, kMaxStoredDecompressedBytes);
  if (!reader) return fail(reader.error());
  const Records::Iterator begin = reader->begin();
  return BatchCursor(batch, std::move(*reader), begin);
}

std::uint32_t BatchCursor::position() const {
  if (batch_.compression() != Compression::kNone || !dense_) return 0;
  const auto position = at_.encoded().data() - batch_.bytes().data();
  return position > std::numeric_limits<std::uint32_t>::max()
             ? 0
             : static_cast<std::uint32_t>(position);
}

void BatchCursor::seek(Offset offset, std::uint32_t position) {
  if (at_ == Records().end() || at_->offset >= offset) return;
  const bool known = position > 0 && dense_ && batch_.compression() == Compression::kNone &&
                     position < batch_.bytes().size() && offset <= batch_.last_offset();
  if (known) {
    RecordsBase base{batch_.base_offset(), batch_.base_timestamp_ms(), std::nullopt};
    if (batch_.log_append_time()) base.append_time_ms = batch_.max_timestamp_ms();
    const auto left = static_cast<std::int32_t>(batch_.last_offset() - offset + 1);
    const auto there = Records(batch_.bytes().subspan(position), left, base).begin();
    if (there != Records().end() && there->offset == offset) {
      at_ = there;
      return;
    }
  }
  if (dense_) at_.skip(offset - at_->offset);
  while (at_ != Records().end() && at_->offset < offset) ++at_;
}

}  // namespace leat
