// Records as they lie in a batch, behind its header: read in place, checked before they are
// trusted.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"

namespace leat {

struct RecordHeader {
  std::string_view key;
  std::optional<Bytes> value;  // absent: null
};

// Headers of a record, read in place. Iterating stops where the bytes lie.
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
  Bytes encoded() const { return encoded_; }
  Iterator begin() const { return Iterator(encoded_, count_); }
  Iterator end() const { return Iterator({}, 0); }
  // The first header named `key`.
  std::optional<RecordHeader> find(std::string_view key) const;

 private:
  Bytes encoded_;
  std::size_t count_ = 0;
};

// What a producer hands in: borrowed for the duration of the call.
struct RecordData {
  std::optional<Bytes> key;    // absent: null, which is not the same as empty
  std::optional<Bytes> value;  // absent: null (a tombstone under compaction)
  std::span<const RecordHeader> headers;
  RecordHeaders first_headers = {};  // in front of those; well-formed, for they are copied
};

// One record, borrowing the batch's bytes.
struct RecordView {
  Offset offset;
  std::int64_t timestamp_ms = 0;
  std::optional<Bytes> key;
  std::optional<Bytes> value;
  RecordHeaders headers;
};

// What a batch's header says about its records.
struct RecordsBase {
  Offset offset;
  std::int64_t timestamp_ms = 0;
  std::optional<std::int64_t> append_time_ms;  // set: every record's, stamped by the broker
};

// The records of a batch, decompressed; borrows their bytes. Iterating what passed
// validate_records() gives them all; it stops early, never runs past the end, where the bytes lie.
class Records {
 public:
  Records() = default;
  Records(Bytes encoded, std::int32_t count, RecordsBase base)
      : encoded_(encoded), count_(count), base_(base) {}

  class Iterator {
   public:
    using value_type = RecordView;
    using difference_type = std::ptrdiff_t;
    const RecordView& operator*() const { return current_; }
    const RecordView* operator->() const { return &current_; }
    Iterator& operator++();
    bool operator==(const Iterator& other) const { return left_ == other.left_; }
    Bytes encoded() const { return encoded_; }  // the record as it lies there
    // As `records` increments, of which only the last reads its record.
    void skip(std::int64_t records);
    bool broken() const { return broken_; }  // ended where the bytes lie

   private:
    friend class Records;
    Iterator() = default;  // the end
    explicit Iterator(const Records& records);
    void read();
    Bytes rest_;
    std::int32_t left_ = 0;
    bool broken_ = false;
    RecordsBase base_;
    RecordView current_;
    Bytes encoded_;
  };
  Iterator begin() const { return Iterator(*this); }
  Iterator end() const { return Iterator(); }

 private:
  Bytes encoded_;
  std::int32_t count_ = 0;
  RecordsBase base_;
};

// Shown the headers of each record that has some, with its offset in the batch, while the batch is
// validated: these are intact, of what follows nothing is known yet.
using HeadersVisitor = std::function<void(std::int32_t offset_delta, const RecordHeaders& headers)>;

// Whether `encoded` is `count` records and nothing else: every record's lengths, its offset delta
// (ascending, up to `last_offset_delta`; compaction leaves gaps), its timestamp (no overflow) and
// its headers. Errors: kInvalidBatch.
Result<> validate_records(Bytes encoded, std::int32_t count, std::int32_t last_offset_delta,
                          std::int64_t base_timestamp_ms, const HeadersVisitor& visit = {});

// What `a + b` is where it overflows: of damaged bytes nothing better can be said.
constexpr std::int64_t wrapping_add(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

}  // namespace leat
