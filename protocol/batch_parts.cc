#include "protocol/batch_parts.h"

#include <limits>
#include <utility>

#include "protocol/base/assert.h"
#include "protocol/base/crc32c.h"

namespace leat {
namespace {
using namespace batch_layout;
constexpr std::int16_t kCodecBits = 7;
}  // namespace

void BatchPart::begin(const RecordBatchView& batch) {
  bytes_.assign(batch.bytes().begin(), batch.bytes().begin() + kHeaderBytes);
  max_timestamp_ms_ = std::numeric_limits<std::int64_t>::min();
}

Offset BatchPart::base_offset() const {
  return Offset(load_be<std::int64_t>(bytes_.data() + kBaseOffset));
}
Offset BatchPart::last_offset() const {
  return base_offset() + load_be<std::int32_t>(bytes_.data() + kLastOffsetDelta);
}

// Into the header, so that the records can be read.
void BatchPart::write_counts() {
  std::byte* const to = bytes_.data();
  const auto attributes = load_be<std::int16_t>(to + kAttributes);
  store_be(to + kBatchLength, static_cast<std::int32_t>(bytes_.size() - kLengthPrefixBytes));
  store_be(to + kAttributes, static_cast<std::int16_t>(attributes & ~kCodecBits));
  store_be(to + kRecordCount, count_);
}

BatchPart BatchPart::split(std::int32_t records) {
  LEAT_ASSERT(0 < records && records < count_);
  write_counts();
  const auto all = RecordBatchView::parse(bytes_);
  LEAT_ASSERT(all.has_value());
  BatchPart first;
  first.max_timestamp_ms_ = std::numeric_limits<std::int64_t>::min();
  auto record = all->begin();
  for (; first.count_ < records; ++record, ++first.count_) {
    first.max_timestamp_ms_ = std::max(first.max_timestamp_ms_, record->timestamp_ms);
    first.newest_ = record->offset;
  }
  const auto begin = bytes_.begin();
  const auto end = begin + (record.encoded().data() - bytes_.data());
  first.bytes_.assign(begin, end);
  bytes_.erase(begin + kHeaderBytes, end);
  count_ -= records;
  return first;
}

std::vector<std::byte> BatchPart::take() {
  write_counts();
  std::byte* const to = bytes_.data();
  store_be(to + kMaxTimestamp, max_timestamp_ms_);
  store_be(to + kCrc, crc32c(Bytes(bytes_).subspan(kAttributes)));
  count_ = 0;
  return std::exchange(bytes_, {});
}

}  // namespace leat
