#include "protocol/batch_parts.h"

#include <limits>
#include <utility>

#include "protocol/base/crc32c.h"

namespace leat {
namespace {
using namespace batch_layout;
constexpr std::int16_t kCompressionMask = 7;
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

std::vector<std::byte> BatchPart::take() {
  std::byte* const to = bytes_.data();
  const auto attributes = load_be<std::int16_t>(to + kAttributes);
  store_be(to + kBatchLength, static_cast<std::int32_t>(bytes_.size() - kLengthPrefixBytes));
  store_be(to + kAttributes, static_cast<std::int16_t>(attributes & ~kCompressionMask));
  store_be(to + kMaxTimestamp, max_timestamp_ms_);
  store_be(to + kRecordCount, count_);
  store_be(to + kCrc, crc32c(Bytes(bytes_).subspan(kAttributes)));
  count_ = 0;
  return std::exchange(bytes_, {});
}

}  // namespace leat
