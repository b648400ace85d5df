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
constexpr std::size_t kMaxVarint32Bytes = 5;  // of a value that fits into 32 bits
constexpr std::size_t kMaxBatchBytes = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kMaxTimestampMs = (std::int64_t{1} << 62) - 1;

tl::unexpected<Error> invalid_batch(std::string what) {
  return fail(ErrorCode::kInvalidBatch, std::move(what));
}

Result<> check_attributes(const RecordBatchView& batch) {
  const std::int16_t attributes = batch.attributes();
  if ((attributes & ~kKnownAttributes) != 0)
    return invalid_batch("attributes " + std::to_string(attributes) + " have unknown bits");
  if ((attributes & (kTransactionalBit | kControlBit)) != 0)
    return invalid_batch("transactional and control batches are not supported");
  if (batch.compression() > Compression::kZstd)
    return fail(ErrorCode::kUnsupportedCompression,
                "type " + std::to_string(attributes & kCompressionMask) +
                    "; use gzip, snappy, lz4, zstd or none");
  return {};
}

Result<> check_range(const RecordBatchView& batch) {
  const std::int32_t count = batch.record_count(), delta = batch.last_offset_delta();
  if (count < 0) return invalid_batch("record count " + std::to_string(count));
  if (delta < 0 || delta < count - 1)
    return invalid_batch("last offset delta " + std::to_string(delta) + " with " +
                         std::to_string(count) + " records");
  const std::int64_t base = batch.base_offset().value;
  if (base < 0 || base > std::numeric_limits<std::int64_t>::max() - delta)
    return invalid_batch("base offset " + std::to_string(base));
  return {};
}

std::byte* put_nullable(std::byte* to, const std::optional<Bytes>& bytes) {
  if (!bytes) return put_varint(to, -1);
  return put_bytes(put_varint(to, static_cast<std::int64_t>(bytes->size())), *bytes);
}

std::size_t sized(std::size_t bytes) {
  return varint_size(static_cast<std::int64_t>(bytes)) + bytes;
}

std::size_t nullable_size(const std::optional<Bytes>& bytes) {
  return bytes ? sized(bytes->size()) : 1;
}

std::size_t header_count(const RecordData& record) {
  return record.first_headers.size() + record.headers.size();
}

// Bytes of a record behind its length.
std::size_t body_size(const RecordData& record, std::int64_t timestamp_delta,
                      std::int32_t offset_delta) {
  std::size_t n = 1 + varint_size(timestamp_delta) + varint_size(offset_delta) +
                  nullable_size(record.key) + nullable_size(record.value) +
                  varint_size(static_cast<std::int64_t>(header_count(record))) +
                  record.first_headers.encoded().size();
  for (const RecordHeader& header : record.headers)
    n += sized(header.key.size()) + nullable_size(header.value);
  return n;
}

}  // namespace

// ---- one batch, read in place ----

Result<RecordBatchView> RecordBatchView::parse(Bytes bytes) {
  if (bytes.size() < kHeaderBytes)
    return invalid_batch(std::to_string(bytes.size()) + " bytes are less than a batch header");
  const auto magic = load_be<std::int8_t>(bytes.data() + kMagic);
  if (magic != kMagicV2) return invalid_batch("magic " + std::to_string(magic) + " instead of 2");
  const auto length = load_be<std::int32_t>(bytes.data() + kBatchLength);
  const std::int64_t total = std::int64_t{length} + std::int64_t{kLengthPrefixBytes};
  if (total < std::int64_t{kHeaderBytes} || total > static_cast<std::int64_t>(bytes.size()))
    return invalid_batch("batch length " + std::to_string(length) + " with " +
                         std::to_string(bytes.size() - kLengthPrefixBytes) + " bytes there");
  return RecordBatchView(bytes.first(static_cast<std::size_t>(total)));
}

Result<> RecordBatchView::check() const {
  const std::uint32_t computed = crc32c(bytes_.subspan(kAttributes));
  if (computed != crc())
    return fail(ErrorCode::kCorruptBatch, "the header says " + std::to_string(crc()) +
                                              ", the bytes give " + std::to_string(computed));
  if (auto ok = check_attributes(*this); !ok) return ok;
  return check_range(*this);
}

Result<> RecordBatchView::validate(std::size_t max_decompressed_bytes, bool keys,
                                   const HeadersVisitor& visit) const {
  if (auto ok = check(); !ok) return ok;
  if (record_count() == 0) return invalid_batch("record count 0");
  if (last_offset_delta() != record_count() - 1)
    return invalid_batch("last offset delta " + std::to_string(last_offset_delta()) + " with " +
                         std::to_string(record_count()) + " records");
  const auto reader = RecordReader::open(*this, max_decompressed_bytes, visit);
  if (!reader) return fail(reader.error());
  if (!keys) return {};
  for (const RecordView& record : *reader)
    if (!record.key)
      return invalid_batch("record " + std::to_string(record.offset - base_offset()) +
                           " has no key; a topic that compacts needs one");
  return {};
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

RecordsBase RecordBatchView::records_base() const {
  RecordsBase base{base_offset(), base_timestamp_ms(), std::nullopt};
  if (log_append_time()) base.append_time_ms = max_timestamp_ms();
  return base;
}

Records RecordBatchView::records() const {
  if (compression() != Compression::kNone) return {};
  return {bytes_.subspan(kHeaderBytes), record_count(), records_base()};
}

Result<RecordReader> RecordReader::open(const RecordBatchView& batch,
                                        std::size_t max_decompressed_bytes,
                                        const HeadersVisitor& visit) {
  RecordReader reader;
  Bytes encoded = batch.bytes().subspan(kHeaderBytes);
  if (batch.compression() != Compression::kNone) {
    auto decompressed = decompress(batch.compression(), encoded, max_decompressed_bytes);
    if (!decompressed) return fail(decompressed.error());
    reader.decompressed_ = std::move(*decompressed);
    encoded = reader.decompressed_.bytes();
  }
  auto ok = validate_records(encoded, batch.record_count(), batch.last_offset_delta(),
                             batch.base_timestamp_ms(), visit);
  if (!ok) return fail(ok.error());
  reader.records_ = Records(encoded, batch.record_count(), batch.records_base());
  return reader;
}

Result<FilteredBatch> filter_records(const RecordBatchView& batch,
                                     const std::function<bool(const RecordView&)>& keep,
                                     std::size_t max_decompressed_bytes) {
  auto reader = RecordReader::open(batch, max_decompressed_bytes);
  if (!reader) return fail(reader.error());
  FilteredBatch filtered;
  std::vector<std::byte> records;
  std::int32_t count = 0;
  std::int64_t max_timestamp_ms = batch.max_timestamp_ms();
  for (auto it = reader->begin(); it != reader->end(); ++it) {
    if (!keep(*it)) continue;
    max_timestamp_ms = count == 0 ? it->timestamp_ms : std::max(max_timestamp_ms, it->timestamp_ms);
    records.insert(records.end(), it.encoded().begin(), it.encoded().end());
    ++count;
  }
  if (count == batch.record_count()) return filtered;
  filtered.changed = true;
  auto& bytes = filtered.bytes;
  bytes.assign(batch.bytes().begin(), batch.bytes().begin() + kHeaderBytes);
  auto attributes = static_cast<std::int16_t>(batch.attributes() & ~kCompressionMask);
  if (batch.compression() != Compression::kNone) compress(batch.compression(), records, bytes);
  if (bytes.size() > kHeaderBytes && bytes.size() < kHeaderBytes + records.size()) {
    attributes = batch.attributes();
  } else {
    bytes.resize(kHeaderBytes);
    bytes.insert(bytes.end(), records.begin(), records.end());
  }
  store_be(bytes.data() + kBatchLength,
           static_cast<std::int32_t>(bytes.size() - kLengthPrefixBytes));
  store_be(bytes.data() + kAttributes, attributes);
  store_be(bytes.data() + kMaxTimestamp, max_timestamp_ms);
  store_be(bytes.data() + kRecordCount, count);
  store_be(bytes.data() + kCrc, crc32c(Bytes(bytes).subspan(kAttributes)));
  return filtered;
}

void assign_offset(MutableBytes batch, Offset base, LeaderEpoch epoch) {
  LEAT_ASSERT(batch.size() >= kHeaderBytes);
  store_be(batch.data() + kBaseOffset, base.value);
  store_be(batch.data() + kLeaderEpoch, epoch.value);
}

void assign_append_time(MutableBytes batch, std::int64_t append_time_ms) {
  LEAT_ASSERT(batch.size() >= kHeaderBytes);
  const auto attributes = load_be<std::int16_t>(batch.data() + kAttributes);
  store_be(batch.data() + kAttributes, static_cast<std::int16_t>(attributes | kLogAppendTimeBit));
  store_be(batch.data() + kMaxTimestamp, append_time_ms);
  store_be(batch.data() + kCrc, crc32c(Bytes(batch).subspan(kAttributes)));
}

void assign_producer(MutableBytes batch, ProducerIdentity producer, std::int32_t base_sequence) {
  LEAT_ASSERT(batch.size() >= kHeaderBytes);
  store_be(batch.data() + kProducerId, producer.id);
  store_be(batch.data() + kProducerEpoch, producer.epoch);
  store_be(batch.data() + kBaseSequence, base_sequence);
  store_be(batch.data() + kCrc, crc32c(Bytes(batch).subspan(kAttributes)));
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
  to = put_varint(to, static_cast<std::int64_t>(header_count(record)));
  to = put_bytes(to, record.first_headers.encoded());
  for (const RecordHeader& header : record.headers)
    to = put_nullable(put_nullable(to, leat::as_bytes(header.key)), header.value);
  ++count_;
}

std::size_t RecordBatchBuilder::max_record_size(const RecordData& record) {
  constexpr std::size_t kLengths = 5 * kMaxVarint32Bytes;  // record, offset, key, value, headers
  std::size_t n = kLengths + 1 + kMaxVarintBytes;
  if (record.key) n += record.key->size();
  if (record.value) n += record.value->size();
  n += record.first_headers.encoded().size();
  for (const RecordHeader& header : record.headers)
    n += 2 * kMaxVarint32Bytes + header.key.size() + (header.value ? header.value->size() : 0);
  return n;
}

// Completes the header of `batch`, whose records are there.
Bytes RecordBatchBuilder::seal(MutableBytes batch, Compression compression) const {
  std::byte* const to = batch.data();
  store_be<std::int64_t>(to + kBaseOffset, 0);
  store_be(to + kBatchLength, static_cast<std::int32_t>(batch.size() - kLengthPrefixBytes));
  store_be<std::int32_t>(to + kLeaderEpoch, -1);
  store_be(to + kMagic, kMagicV2);
  store_be(to + kAttributes, static_cast<std::int16_t>(compression));
  store_be(to + kLastOffsetDelta, count_ - 1);
  store_be(to + kBaseTimestamp, base_timestamp_ms_);
  store_be(to + kMaxTimestamp, max_timestamp_ms_);
  store_be(to + kProducerId, producer_.id);
  store_be(to + kProducerEpoch, producer_.epoch);
  store_be(to + kBaseSequence, base_sequence_);
  store_be(to + kRecordCount, count_);
  store_be(to + kCrc, crc32c(Bytes(batch).subspan(kAttributes)));
  return batch;
}

// Into `compressed_`, behind room for the header; false where that makes nothing smaller.
bool RecordBatchBuilder::compress_records(Compression compression) {
  if (compression == Compression::kNone) return false;
  compressed_.resize(kHeaderBytes);
  compress(compression, Bytes(buffer_.data(), size_).subspan(kHeaderBytes), compressed_);
  return compressed_.size() < size_;
}

void RecordBatchBuilder::set_producer(ProducerIdentity producer, std::int32_t base_sequence) {
  producer_ = producer;
  base_sequence_ = base_sequence;
}

Bytes RecordBatchBuilder::finish(Compression compression) {
  LEAT_ASSERT(count_ > 0);
  if (compress_records(compression)) return seal(compressed_, compression);
  return seal(MutableBytes(buffer_).first(size_), Compression::kNone);
}

std::vector<std::byte> RecordBatchBuilder::take(Compression compression) {
  const bool smaller = finish(compression).data() == compressed_.data();
  if (!smaller) buffer_.resize(size_);
  std::vector<std::byte> taken = std::move(smaller ? compressed_ : buffer_);
  compressed_ = {};
  buffer_ = {};
  clear();
  return taken;
}

void RecordBatchBuilder::clear() {
  size_ = kHeaderBytes;
  count_ = 0;
}

}  // namespace leat
