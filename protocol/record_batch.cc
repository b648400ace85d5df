#include "protocol/record_batch.h"

#include <algorithm>
#include <limits>
#include <string>

#include "protocol/base/assert.h"
#include "protocol/base/crc32c.h"
#include "protocol/base/varint.h"

namespace leat {
namespace {

using namespace batch_layout;

constexpr std::int8_t kMagicV2 = 2;
constexpr std::int16_t kCompressionMask = 0x07;
constexpr std::int16_t kLogAppendTimeBit = 0x08;
constexpr std::int16_t kTransactionalBit = 0x10;
constexpr std::int16_t kControlBit = 0x20;
constexpr std::int16_t kKnownAttributes =
    kCompressionMask | kLogAppendTimeBit | kTransactionalBit | kControlBit;
constexpr std::size_t kMinHeaderBytes = 2;    // two lengths
constexpr std::size_t kMaxVarint32Bytes = 5;  // of a value that fits into 32 bits
constexpr std::size_t kMaxBatchBytes = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kMaxTimestampMs = (std::int64_t{1} << 62) - 1;

std::int64_t wrapping_add(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

bool read_varint(Bytes& rest, std::int64_t& value) {
  const std::byte* const end = rest.data() + rest.size();
  const std::byte* const next = get_varint(rest.data(), end, value);
  if (next == nullptr) return false;
  rest = Bytes(next, end);
  return true;
}

// A length and so many bytes; length -1 is null.
bool read_nullable(Bytes& rest, std::optional<Bytes>& out) {
  std::int64_t length;
  if (!read_varint(rest, length)) return false;
  if (length == -1) {
    out.reset();
    return true;
  }
  if (length < 0 || static_cast<std::uint64_t>(length) > rest.size()) return false;
  out = rest.first(static_cast<std::size_t>(length));
  rest = rest.subspan(static_cast<std::size_t>(length));
  return true;
}

bool read_header(Bytes& rest, RecordHeader& header) {
  std::optional<Bytes> key;
  if (!read_nullable(rest, key) || !key || !read_nullable(rest, header.value)) return false;
  header.key = as_text(*key);
  return true;
}

// A record as it lies in the batch: deltas not yet added, headers not yet read.
struct RawRecord {
  std::int64_t timestamp_delta = 0;
  std::int64_t offset_delta = 0;
  std::optional<Bytes> key;
  std::optional<Bytes> value;
  std::size_t header_count = 0;
  Bytes headers;
};

// Takes one record off the front of `rest`; false where the bytes lie.
bool read_record(Bytes& rest, RawRecord& record) {
  std::int64_t length;
  if (!read_varint(rest, length) || length < 1 || static_cast<std::uint64_t>(length) > rest.size())
    return false;
  Bytes body = rest.first(static_cast<std::size_t>(length)).subspan(1);  // behind unused attributes
  rest = rest.subspan(static_cast<std::size_t>(length));
  std::int64_t header_count;
  if (!read_varint(body, record.timestamp_delta) || !read_varint(body, record.offset_delta) ||
      !read_nullable(body, record.key) || !read_nullable(body, record.value) ||
      !read_varint(body, header_count))
    return false;
  if (header_count < 0 || static_cast<std::uint64_t>(header_count) > body.size() / kMinHeaderBytes)
    return false;
  record.header_count = static_cast<std::size_t>(header_count);
  record.headers = body;
  return true;
}

// Whether the record's headers are as many as declared and fill it to its end.
bool headers_fill(const RawRecord& record) {
  Bytes rest = record.headers;
  RecordHeader header;
  for (std::size_t i = 0; i < record.header_count; ++i)
    if (!read_header(rest, header)) return false;
  return rest.empty();
}

tl::unexpected<Error> invalid(std::string what) {
  return fail(ErrorCode::kInvalidBatch, std::move(what));
}

tl::unexpected<Error> invalid_record(std::int32_t index, std::string_view what) {
  return invalid("record " + std::to_string(index) + " " + std::string(what));
}

Result<> check_attributes(const RecordBatchView& batch) {
  const std::int16_t attributes = batch.attributes();
  if ((attributes & ~kKnownAttributes) != 0)
    return invalid("attributes " + std::to_string(attributes) + " have unknown bits");
  if ((attributes & (kTransactionalBit | kControlBit)) != 0)
    return invalid("transactional and control batches are not supported");
  if (batch.compression() != Compression::kNone)
    return fail(
        ErrorCode::kUnsupportedCompression,
        "type " + std::to_string(attributes & kCompressionMask) + "; send the batch uncompressed");
  return {};
}

Result<> check_range(const RecordBatchView& batch) {
  const std::int32_t count = batch.record_count(), delta = batch.last_offset_delta();
  if (count <= 0) return invalid("record count " + std::to_string(count));
  if (delta != count - 1)
    return invalid("last offset delta " + std::to_string(delta) + " with " + std::to_string(count) +
                   " records");
  const std::int64_t base = batch.base_offset().value;
  if (base < 0 || base > std::numeric_limits<std::int64_t>::max() - delta)
    return invalid("base offset " + std::to_string(base));
  return {};
}

Result<> check_records(const RecordBatchView& batch) {
  Bytes rest = batch.bytes().subspan(kHeaderBytes);
  const std::int64_t base_timestamp = batch.base_timestamp_ms();
  const std::int32_t count = batch.record_count();
  RawRecord record;
  for (std::int32_t i = 0; i < count; ++i) {
    if (!read_record(rest, record)) return invalid_record(i, "has lengths that do not fit");
    if (record.offset_delta != i)
      return invalid_record(i, "has offset delta " + std::to_string(record.offset_delta));
    std::int64_t timestamp;
    if (__builtin_add_overflow(base_timestamp, record.timestamp_delta, &timestamp))
      return invalid_record(i, "has a timestamp that overflows");
    if (!headers_fill(record)) return invalid_record(i, "has headers that do not fit");
  }
  if (!rest.empty())
    return invalid(std::to_string(rest.size()) + " bytes behind the last of " +
                   std::to_string(count) + " records");
  return {};
}

std::byte* put_nullable(std::byte* to, const std::optional<Bytes>& bytes) {
  if (!bytes) return put_varint(to, -1);
  to = put_varint(to, static_cast<std::int64_t>(bytes->size()));
  if (!bytes->empty()) std::memcpy(to, bytes->data(), bytes->size());
  return to + bytes->size();
}

std::size_t sized(std::size_t bytes) {
  return varint_size(static_cast<std::int64_t>(bytes)) + bytes;
}

std::size_t nullable_size(const std::optional<Bytes>& bytes) {
  return bytes ? sized(bytes->size()) : 1;
}

// Bytes of a record behind its length.
std::size_t body_size(const RecordData& record, std::int64_t timestamp_delta,
                      std::int32_t offset_delta) {
  std::size_t n = 1 + varint_size(timestamp_delta) + varint_size(offset_delta) +
                  nullable_size(record.key) + nullable_size(record.value) +
                  varint_size(static_cast<std::int64_t>(record.headers.size()));
  for (const RecordHeader& header : record.headers)
    n += sized(header.key.size()) + nullable_size(header.value);
  return n;
}

}  // namespace

// ---- headers of a record ----

RecordHeaders::Iterator::Iterator(Bytes rest, std::size_t left) : rest_(rest), left_(left) {
  if (left_ > 0) read();
}

RecordHeaders::Iterator& RecordHeaders::Iterator::operator++() {
  if (--left_ > 0) read();
  return *this;
}

void RecordHeaders::Iterator::read() {
  if (!read_header(rest_, current_)) left_ = 0;
}

std::optional<RecordHeader> RecordHeaders::find(std::string_view key) const {
  for (const RecordHeader& header : *this)
    if (header.key == key) return header;
  return std::nullopt;
}

// ---- one batch, read in place ----

Result<RecordBatchView> RecordBatchView::parse(Bytes bytes) {
  if (bytes.size() < kHeaderBytes)
    return invalid(std::to_string(bytes.size()) + " bytes are less than a batch header");
  const auto magic = load_be<std::int8_t>(bytes.data() + kMagic);
  if (magic != kMagicV2) return invalid("magic " + std::to_string(magic) + " instead of 2");
  const auto length = load_be<std::int32_t>(bytes.data() + kBatchLength);
  const std::int64_t total = std::int64_t{length} + std::int64_t{kLengthPrefixBytes};
  if (total < std::int64_t{kHeaderBytes} || total > static_cast<std::int64_t>(bytes.size()))
    return invalid("batch length " + std::to_string(length) + " with " +
                   std::to_string(bytes.size() - kLengthPrefixBytes) + " bytes there");
  return RecordBatchView(bytes.first(static_cast<std::size_t>(total)));
}

Result<> RecordBatchView::validate() const {
  const std::uint32_t computed = crc32c(bytes_.subspan(kAttributes));
  if (computed != crc())
    return fail(ErrorCode::kCorruptBatch, "the header says " + std::to_string(crc()) +
                                              ", the bytes give " + std::to_string(computed));
  if (auto ok = check_attributes(*this); !ok) return ok;
  if (auto ok = check_range(*this); !ok) return ok;
  return check_records(*this);
}

Offset RecordBatchView::base_offset() const {
  return Offset(load_be<std::int64_t>(bytes_.data() + kBaseOffset));
}
Offset RecordBatchView::last_offset() const {
  return Offset(wrapping_add(base_offset().value, last_offset_delta()));
}
std::int32_t RecordBatchView::last_offset_delta() const {
  return load_be<std::int32_t>(bytes_.data() + kLastOffsetDelta);
}
LeaderEpoch RecordBatchView::leader_epoch() const {
  return LeaderEpoch(load_be<std::int32_t>(bytes_.data() + kLeaderEpoch));
}
std::uint32_t RecordBatchView::crc() const {
  return load_be<std::uint32_t>(bytes_.data() + kCrc);
}
std::int16_t RecordBatchView::attributes() const {
  return load_be<std::int16_t>(bytes_.data() + kAttributes);
}
Compression RecordBatchView::compression() const {
  return static_cast<Compression>(attributes() & kCompressionMask);
}
bool RecordBatchView::log_append_time() const {
  return (attributes() & kLogAppendTimeBit) != 0;
}
std::int64_t RecordBatchView::base_timestamp_ms() const {
  return load_be<std::int64_t>(bytes_.data() + kBaseTimestamp);
}
std::int64_t RecordBatchView::max_timestamp_ms() const {
  return load_be<std::int64_t>(bytes_.data() + kMaxTimestamp);
}
std::int64_t RecordBatchView::producer_id() const {
  return load_be<std::int64_t>(bytes_.data() + kProducerId);
}
std::int16_t RecordBatchView::producer_epoch() const {
  return load_be<std::int16_t>(bytes_.data() + kProducerEpoch);
}
std::int32_t RecordBatchView::base_sequence() const {
  return load_be<std::int32_t>(bytes_.data() + kBaseSequence);
}
std::int32_t RecordBatchView::record_count() const {
  return load_be<std::int32_t>(bytes_.data() + kRecordCount);
}

RecordBatchView::Iterator::Iterator(const RecordBatchView& batch)
    : rest_(batch.bytes_.subspan(kHeaderBytes)),
      left_(batch.compression() == Compression::kNone ? std::max(batch.record_count(), 0) : 0),
      base_offset_(batch.base_offset()),
      base_timestamp_ms_(batch.base_timestamp_ms()) {
  if (batch.log_append_time()) append_time_ms_ = batch.max_timestamp_ms();
  if (left_ > 0) read();
}

RecordBatchView::Iterator& RecordBatchView::Iterator::operator++() {
  if (--left_ > 0) read();
  return *this;
}

void RecordBatchView::Iterator::read() {
  RawRecord record;
  if (!read_record(rest_, record)) {
    left_ = 0;
    return;
  }
  current_.offset = Offset(wrapping_add(base_offset_.value, record.offset_delta));
  current_.timestamp_ms =
      append_time_ms_.value_or(wrapping_add(base_timestamp_ms_, record.timestamp_delta));
  current_.key = record.key;
  current_.value = record.value;
  current_.headers = RecordHeaders(record.headers, record.header_count);
}

void assign_offset(MutableBytes batch, Offset base, LeaderEpoch epoch) {
  LEAT_ASSERT(batch.size() >= kHeaderBytes);
  store_be(batch.data() + kBaseOffset, base.value);
  store_be(batch.data() + kLeaderEpoch, epoch.value);
}

// ---- building ----

std::byte* RecordBatchBuilder::grow_by(std::size_t bytes) {
  const std::size_t at = size_;
  LEAT_ASSERT(bytes <= kMaxBatchBytes - at);
  size_ += bytes;
  if (size_ > buffer_.size()) buffer_.resize(std::max(size_, 2 * buffer_.size()));
  return buffer_.data() + at;
}

void RecordBatchBuilder::append(const RecordData& record, std::int64_t timestamp_ms) {
  timestamp_ms = std::clamp(timestamp_ms, -kMaxTimestampMs, kMaxTimestampMs);
  if (count_ == 0) base_timestamp_ms_ = max_timestamp_ms_ = timestamp_ms;
  max_timestamp_ms_ = std::max(max_timestamp_ms_, timestamp_ms);
  const std::int64_t timestamp_delta = timestamp_ms - base_timestamp_ms_;
  const std::size_t body = body_size(record, timestamp_delta, count_);

  std::byte* to = grow_by(sized(body));
  to = put_varint(to, static_cast<std::int64_t>(body));
  *to++ = std::byte{0};  // attributes, unused
  to = put_varint(to, timestamp_delta);
  to = put_varint(to, count_);
  to = put_nullable(to, record.key);
  to = put_nullable(to, record.value);
  to = put_varint(to, static_cast<std::int64_t>(record.headers.size()));
  for (const RecordHeader& header : record.headers) {
    to = put_nullable(to, leat::as_bytes(header.key));
    to = put_nullable(to, header.value);
  }
  ++count_;
}

std::size_t RecordBatchBuilder::max_record_size(const RecordData& record) {
  constexpr std::size_t kLengths = 5 * kMaxVarint32Bytes;  // record, offset, key, value, headers
  std::size_t n = kLengths + 1 + kMaxVarintBytes;
  if (record.key) n += record.key->size();
  if (record.value) n += record.value->size();
  for (const RecordHeader& header : record.headers)
    n += 2 * kMaxVarint32Bytes + header.key.size() + (header.value ? header.value->size() : 0);
  return n;
}

Bytes RecordBatchBuilder::finish() {
  LEAT_ASSERT(count_ > 0);
  std::byte* const batch = buffer_.data();
  store_be<std::int64_t>(batch + kBaseOffset, 0);
  store_be(batch + kBatchLength, static_cast<std::int32_t>(size_ - kLengthPrefixBytes));
  store_be<std::int32_t>(batch + kLeaderEpoch, -1);
  store_be(batch + kMagic, kMagicV2);
  store_be<std::int16_t>(batch + kAttributes, 0);
  store_be(batch + kLastOffsetDelta, count_ - 1);
  store_be(batch + kBaseTimestamp, base_timestamp_ms_);
  store_be(batch + kMaxTimestamp, max_timestamp_ms_);
  store_be<std::int64_t>(batch + kProducerId, -1);
  store_be<std::int16_t>(batch + kProducerEpoch, -1);
  store_be<std::int32_t>(batch + kBaseSequence, -1);
  store_be(batch + kRecordCount, count_);
  const Bytes whole(batch, size_);
  store_be(batch + kCrc, crc32c(whole.subspan(kAttributes)));
  return whole;
}

std::vector<std::byte> RecordBatchBuilder::take() {
  finish();
  buffer_.resize(size_);
  std::vector<std::byte> taken = std::move(buffer_);
  buffer_.clear();
  clear();
  return taken;
}

void RecordBatchBuilder::clear() {
  size_ = kHeaderBytes;
  count_ = 0;
}

}  // namespace leat
