// The one batch format, in memory, on the wire and on disk: Kafka's record batch v2
// (https://kafka.apache.org/documentation/#recordbatch). Batches are never re-encoded on the way
// through; the broker writes only base offset and leader epoch, which the checksum leaves out.
//
//   RecordBatchBuilder builder;
//   builder.append({.key = as_bytes("42"), .value = as_bytes("hello")}, timestamp_ms);
//   Bytes batch = builder.finish();
//
//   Result<RecordBatchView> view = RecordBatchView::parse(bytes);   // lengths and header
//   if (auto ok = view->validate(); !ok) ...                        // checksum and every record
//   for (const RecordView& record : *view) use(record.offset, record.key, record.value);
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"

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

enum class Compression : std::uint8_t { kNone = 0, kGzip = 1, kSnappy = 2, kLz4 = 3, kZstd = 4 };

struct RecordHeader {
  std::string_view key;
  std::optional<Bytes> value;  // absent: null
};

// What a producer hands in: borrowed for the duration of the call.
struct RecordData {
  std::optional<Bytes> key;    // absent: null, which is not the same as empty
  std::optional<Bytes> value;  // absent: null (a tombstone under compaction)
  std::span<const RecordHeader> headers;
};

// Headers of a record, read in place.
class RecordHeaders {
 public:
  class Iterator {
   public:
    using value_type = RecordHeader;
    using difference_type = std::ptrdiff_t;
    const RecordHeader& operator*() const { return current_; }
    const RecordHeader* operator->() const { return &current_; }
    Iterator& operator++();
    bool operator==(const Iterator& other) const { return left_ == other.left_; }

   private:
    friend class RecordHeaders;
    Iterator(Bytes rest, std::size_t left);
    void read();
    Bytes rest_;
    std::size_t left_;
    RecordHeader current_;
  };

  RecordHeaders() = default;
  RecordHeaders(Bytes encoded, std::size_t count) : encoded_(encoded), count_(count) {}
  std::size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  Iterator begin() const { return Iterator(encoded_, count_); }
  Iterator end() const { return Iterator({}, 0); }
  // The first header named `key`.
  std::optional<RecordHeader> find(std::string_view key) const;

 private:
  Bytes encoded_;
  std::size_t count_ = 0;
};

// One record, borrowing the batch's bytes.
struct RecordView {
  Offset offset;
  std::int64_t timestamp_ms = 0;
  std::optional<Bytes> key;
  std::optional<Bytes> value;
  RecordHeaders headers;
};

// One batch, borrowing its bytes: the holder keeps them alive and unchanged. No allocation.
class RecordBatchView {
 public:
  // Reads the first batch of `bytes`; more batches may follow. Checks that the header is there,
  // magic is 2 and the declared length fits into `bytes`; nothing else.
  // Errors: kInvalidBatch.
  static Result<RecordBatchView> parse(Bytes bytes);

  // Checks what a broker must know before it stores the batch: checksum, no unknown attribute (nor
  // transactional or control, so far), record count > 0, lastOffsetDelta = count - 1, no overflow
  // of offsets and timestamps, and every record's lengths, its offset delta, its headers and that
  // nothing is left over.
  // Errors: kCorruptBatch, kInvalidBatch, kUnsupportedCompression (any compression, so far).
  Result<> validate() const;

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

  // Iterates the records of an uncompressed batch that passed validate(); stops early, never runs
  // past the end, where the bytes lie.
  class Iterator {
   public:
    using value_type = RecordView;
    using difference_type = std::ptrdiff_t;
    const RecordView& operator*() const { return current_; }
    const RecordView* operator->() const { return &current_; }
    Iterator& operator++();
    bool operator==(const Iterator& other) const { return left_ == other.left_; }

   private:
    friend class RecordBatchView;
    Iterator() = default;  // the end
    explicit Iterator(const RecordBatchView& batch);
    void read();
    Bytes rest_;
    std::int32_t left_ = 0;
    Offset base_offset_;
    std::int64_t base_timestamp_ms_ = 0;
    std::optional<std::int64_t> append_time_ms_;
    RecordView current_;
  };
  Iterator begin() const { return Iterator(*this); }
  Iterator end() const { return Iterator(); }

 private:
  explicit RecordBatchView(Bytes bytes) : bytes_(bytes) {}
  Bytes bytes_;
};

// Writes base offset and leader epoch into the batch at `batch`, as the broker does on append.
void assign_offset(MutableBytes batch, Offset base, LeaderEpoch epoch);

// Builds one uncompressed batch in a buffer that is reused after clear(). One thread.
class RecordBatchBuilder {
 public:
  // Copies the record. Timestamps may go backwards; beyond 2^62 ms either way they are clamped, so
  // that no difference overflows. A batch stays below 2^31 bytes: more is the caller's bug.
  void append(const RecordData& record, std::int64_t timestamp_ms);

  bool empty() const { return count_ == 0; }
  std::int32_t record_count() const { return count_; }
  std::size_t size() const { return size_; }  // bytes so far, header included
  // What append() would add for `record`, at most.
  static std::size_t max_record_size(const RecordData& record);

  // Completes the header (base offset 0) and returns the batch, valid until the next call that is
  // not const. At least one record must have been appended.
  Bytes finish();
  // finish(), handing the buffer over; the builder is empty afterwards.
  std::vector<std::byte> take();
  void clear();

 private:
  std::byte* grow_by(std::size_t bytes);

  std::vector<std::byte> buffer_;  // grown ahead of size_, so that appending does not zero it first
  std::size_t size_ = batch_layout::kHeaderBytes;
  std::int32_t count_ = 0;
  std::int64_t base_timestamp_ms_ = 0;
  std::int64_t max_timestamp_ms_ = 0;
};

}  // namespace leat
