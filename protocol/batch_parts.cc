#include "protocol/batch_parts.h"

#include <algorithm>
#include <utility>

#include "protocol/base/crc32c.h"

namespace leat {
namespace {
using namespace batch_layout;
constexpr std::int16_t kCompressionMask = 7;
}  // namespace

void BatchParts::add(std::size_t index, const Records::Iterator& record) {
  Part& part = parts_[index];
  if (part.bytes.empty())
    part.bytes.assign(batch_.bytes().begin(), batch_.bytes().begin() + kHeaderBytes);
  part.bytes.insert(part.bytes.end(), record.encoded().begin(), record.encoded().end());
  const std::int64_t timestamp_ms = record->timestamp_ms;
  part.max_timestamp_ms =
      part.count == 0 ? timestamp_ms : std::max(part.max_timestamp_ms, timestamp_ms);
  ++part.count;
}

std::vector<std::byte> BatchParts::take(std::size_t index) {
  Part part = std::exchange(parts_[index], {});
  std::byte* const to = part.bytes.data();
  store_be(to + kBatchLength, static_cast<std::int32_t>(part.bytes.size() - kLengthPrefixBytes));
  store_be(to + kAttributes, static_cast<std::int16_t>(batch_.attributes() & ~kCompressionMask));
  store_be(to + kMaxTimestamp, part.max_timestamp_ms);
  store_be(to + kRecordCount, part.count);
  store_be(to + kCrc, crc32c(Bytes(part.bytes).subspan(kAttributes)));
  return std::move(part.bytes);
}

}  // namespace leat
