// The one batch format, in memory, on the wire and on disk: Kafka's record batch v2
// (https://kafka.apache.org/documentation/#recordbatch). Batches are never re-encoded on the way
// through; the broker writes only base offset and leader epoch, which the checksum leaves out, and
// where a topic asks for it when the batch came.
//
//   RecordBatchBuilder builder;
//   builder.append({.key = as_bytes("42"), .value = as_bytes("hello")}, timestamp_ms);
//   Bytes batch = builder.finish();
//
//   Result<RecordBatchView> view = RecordBatchView::parse(bytes);   // lengths and header
//   if (auto ok = view->validate(); !ok) ...                        // checksum and every record
//   for (const RecordView& record : *view) use(record.offset, record.key, record.value);
//   auto reader = RecordReader::open(*view);                        // the same, of a compressed
//   one
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/compression.h"
#include "protocol/record.h"

namespace leat {

// Header layout: name, offset in the batch (big-endian fields).
namespace batch_layout {
inline constexpr std::size_t kBaseOffset = 0;        // i64
inline constexpr std::size_t kBatchLength = 8;       // i32, bytes behind this field
inline constexpr std::size_t kLeaderEpoch = 12;      // i32
inline constexpr std::size_t kMagic = 16;            // i8, 2
inline constexpr std::size_t kCrc = 17;              // u32, CRC-32C of all from kAttributes on
inline constexpr std::size_t kAttributes = 21;       // i16
inline constexpr std::size_t kLastOffsetDelta = 23;  // i32
inline constexpr std::size_t kBaseTimestamp = 27;    // i64, ms since 1970
inline constexpr std::size_t kMaxTimestamp = 35;     // i64
inline constexpr std::size_t kProducerId = 43;       // i64, -1 for none
inline constexpr std::size_t kProducerEpoch = 51;    // i16
inline constexpr std::size_t kBaseSequence = 53;     // i32
inline constexpr std::size_t kRecordCount = 57;      // i32
inline constexpr std::size_t kHeaderBytes = 61;
inline constexpr std::size_t kLengthPrefixBytes = 12;  // base offset and length
}  // namespace batch_layout

class RecordReader;

// One batch, borrowing its bytes: the holder keeps them alive and unchanged. No allocation.
class RecordBatchView {
 public:
  // Reads the first batch of `bytes`; more batches may follow. Checks that the header is there,
  // magic is 2 and the declared length fits into `bytes`; nothing else.
  // Errors: kInvalidBatch.
  static Result<RecordBatchView> parse(Bytes bytes);

  // Checks the header alone: checksum, no unknown attribute or compression (nor transactional or
  // control, so far), record count >= 0 and at most lastOffsetDelta + 1 (compaction takes records
  // out, and leaves the range), no overflow of offsets.
  // Errors: kCorruptBatch, kInvalidBatch, kUnsupportedCompression.
  Result<> check() const;
  // Checks what a broker must know before it stores the batch: check(), that no record is missing,
  // and then every record, decompressed where needed, in a buffer that is gone afterwards. With
  // `keys`, that each has a key, too: compaction could do nothing with it. `visit` is shown headers
  // on the way.
  // Errors: those of check(), and kBatchTooLarge for more than `max_decompressed_bytes`.
  Result<> validate(std::size_t max_decompressed_bytes = kMaxDecompressedBytes, bool keys = false,
                    const HeadersVisitor& visit = {}) const;

  Bytes bytes() const { return bytes_; }
  Offset base_offset() const;
  Offset last_offset() const;  // wraps where an unvalidated batch makes it overflow
  std::int32_t last_offset_delta() const;
  LeaderEpoch leader_epoch() const;
  std::uint32_t crc() const;
  std::int16_t attributes() const;
  Compression compression() const;
  // Whether the broker stamped the batch: every record then carries max_timestamp_ms().
  bool log_append_time() const;
  std::int64_t base_timestamp_ms() const;
  std::int64_t max_timestamp_ms() const;
  std::int64_t producer_id() const;
  std::int16_t producer_epoch() const;
  std::int32_t base_sequence() const;
  std::int32_t record_count() const;

  // The records of an uncompressed batch that passed validate(), in place; none of a compressed
  // one, for which there is RecordReader.
  Records records() const;
  Records::Iterator begin() const { return records().begin(); }
  Records::Iterator end() const { return Records().end(); }

 private:
  friend class RecordReader;
  RecordsBase records_base() const;
  explicit RecordBatchView(Bytes bytes) : bytes_(bytes) {}
  Bytes bytes_;
};

// The records of any batch, decompressed where needed, and the buffer they lie in: an uncompressed
// batch's own bytes, which the holder keeps alive.
//
//   auto reader = RecordReader::open(batch);
//   if (!reader) return fail(reader.error());
//   for (const RecordView& record : *reader) use(record);
class RecordReader {
 public:
  // Checks the records as validate() does, but that some may be missing; not the checksum. Errors:
  // those of decompress(), and kInvalidBatch.
  static Result<RecordReader> open(const RecordBatchView& batch,
                                   std::size_t max_decompressed_bytes = kMaxDecompressedBytes,
                                   const HeadersVisitor& visit = {});

  Records::Iterator begin() const { return records_.begin(); }
  Records::Iterator end() const { return records_.end(); }
  // What the buffer has beside the batch's own bytes.
  std::size_t decompressed_bytes() const { return decompressed_.bytes().size(); }

 private:
  DecompressedBytes decompressed_;
  Records records_;
};

// Writes base offset and leader epoch into the batch at `batch`, as the broker does on append.
void assign_offset(MutableBytes batch, Offset base, LeaderEpoch epoch);

// Writes when the broker took the batch into its header, as the time of all of its records, and
// its checksum anew. The records stay as they came.
void assign_append_time(MutableBytes batch, std::int64_t append_time_ms);

// Who sent a batch, for the broker to store it once (KIP-98). Sequences count a producer's records
// in a partition from 0 and wrap behind 2^31 - 1.
struct ProducerIdentity {
  std::int64_t id = -1;
  std::int16_t epoch = -1;
  friend bool operator==(ProducerIdentity, ProducerIdentity) = default;
};
constexpr std::int32_t next_sequence(std::int32_t base_sequence, std::int32_t records) {
  return static_cast<std::int32_t>((std::int64_t{base_sequence} + records) & 0x7fffffff);
}
// Writes them into a finished batch, and its checksum anew.
void assign_producer(MutableBytes batch, ProducerIdentity producer, std::int32_t base_sequence);

// The batch without the records that `keep` refuses: the same range of offsets, producer and
// sequences, compressed as before unless that makes it no smaller. `changed` is false, and the
// result empty, when all are kept. Errors: those of RecordReader::open().
struct FilteredBatch {
  bool changed = false;
  std::vector<std::byte> bytes;
};
Result<FilteredBatch> filter_records(
    const RecordBatchView& batch, const std::function<bool(const RecordView&)>& keep,
    std::size_t max_decompressed_bytes = kMaxStoredDecompressedBytes);

// Builds one batch in a buffer that is reused after clear(). One thread.
class RecordBatchBuilder {
 public:
  RecordBatchBuilder() = default;
  // Builds into `buffer`, whose content is of no matter: what an earlier batch leaves.
  explicit RecordBatchBuilder(std::vector<std::byte> buffer) : buffer_(std::move(buffer)) {}

  // Copies the record. Timestamps may go backwards; beyond 2^62 ms either way they are clamped, so
  // that no difference overflows. A batch stays below 2^31 bytes: more is the caller's bug.
  void append(const RecordData& record, std::int64_t timestamp_ms);

  bool empty() const { return count_ == 0; }
  std::int32_t record_count() const { return count_; }
  std::size_t size() const { return size_; }  // bytes so far, header included
  // What append() would add for `record`, at most.
  static std::size_t max_record_size(const RecordData& record);

  // Completes the header (base offset 0) and returns the batch, valid until the next call that is
  // not const. At least one record must have been appended. Compressed, unless that makes it no
  // smaller.
  Bytes finish(Compression compression = Compression::kNone);
  // What the header says of its producer from the next finish() on; nobody, if never called.
  void set_producer(ProducerIdentity producer, std::int32_t base_sequence);
  // finish(), handing the buffer over; the builder is empty afterwards.
  std::vector<std::byte> take(Compression compression = Compression::kNone);
  void clear();

 private:
  std::byte* grow_by(std::size_t bytes);
  Bytes seal(MutableBytes batch, Compression compression) const;
  bool compress_records(Compression compression);

  std::vector<std::byte> buffer_;  // grown ahead of size_, so that appending does not zero it first
  std::size_t size_ = batch_layout::kHeaderBytes;
  std::vector<std::byte> compressed_;  // what finish() returned, where it compressed
  std::int32_t count_ = 0;
  std::int64_t base_timestamp_ms_ = 0;
  std::int64_t max_timestamp_ms_ = 0;
  ProducerIdentity producer_;
  std::int32_t base_sequence_ = -1;
};

}  // namespace leat
