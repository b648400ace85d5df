#include "protocol/record.h"

#include <algorithm>
#include <string>

#include "protocol/base/varint.h"

namespace leat {
namespace {

constexpr std::size_t kMinHeaderBytes = 2;  // two lengths
constexpr std::size_t kAhead = 512;         // bytes on their way into the cache

[[gnu::always_inline]] inline bool read_varint(Bytes& rest, std::int64_t& value) {
  const std::byte* const end = rest.data() + rest.size();
  const std::byte* const next = get_varint(rest.data(), end, value);
  if (next == nullptr) return false;
  rest = Bytes(next, end);
  return true;
}

// A length and so many bytes; length -1 is null.
[[gnu::always_inline]] inline bool read_nullable(Bytes& rest, std::optional<Bytes>& out) {
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

[[gnu::always_inline]] inline bool read_header(Bytes& rest, RecordHeader& header) {
  std::optional<Bytes> key;
  if (!read_nullable(rest, key) || !key || !read_nullable(rest, header.value)) return false;
  header.key = as_text(*key);
  return true;
}

// A record's place, as it lies in the batch: to be added to the batch's own.
struct Deltas {
  std::int64_t timestamp, offset;
};

// Takes one record off the front of `rest`, its headers unread; false where the bytes lie. Written
// straight to where it is wanted: clearing and copying a record costs as much as reading it.
[[gnu::always_inline]] inline bool read_record(Bytes& rest, Deltas& deltas,
                                               std::optional<Bytes>& key,
                                               std::optional<Bytes>& value,
                                               RecordHeaders& headers) {
  std::int64_t length;
  if (!read_varint(rest, length) || length < 1 || static_cast<std::uint64_t>(length) > rest.size())
    return false;
  Bytes body = rest.first(static_cast<std::size_t>(length)).subspan(1);  // behind unused attributes
  rest = rest.subspan(static_cast<std::size_t>(length));
  std::int64_t header_count;
  if (!read_varint(body, deltas.timestamp) || !read_varint(body, deltas.offset) ||
      !read_nullable(body, key) || !read_nullable(body, value) || !read_varint(body, header_count))
    return false;
  if (header_count < 0 || static_cast<std::uint64_t>(header_count) > body.size() / kMinHeaderBytes)
    return false;
  headers = RecordHeaders(body, static_cast<std::size_t>(header_count));
  return true;
}

// Whether the headers are as many as declared and fill their record to its end.
bool fill(const RecordHeaders& headers) {
  Bytes rest = headers.encoded();
  RecordHeader header;
  for (std::size_t i = 0; i < headers.size(); ++i)
    if (!read_header(rest, header)) return false;
  return rest.empty();
}

tl::unexpected<Error> invalid_record(std::int32_t index, std::string_view what) {
  return fail(ErrorCode::kInvalidBatch,
              "record " + std::to_string(index) + " " + std::string(what));
}

}  // namespace

Result<> validate_records(Bytes encoded, std::int32_t count, std::int32_t last_offset_delta,
                          std::int64_t base_timestamp_ms, const HeadersVisitor& visit) {
  Bytes rest = encoded;
  Deltas deltas;
  std::optional<Bytes> key, value;
  RecordHeaders headers;
  std::int64_t least = 0;
  for (std::int32_t i = 0; i < count; ++i) {
    if (!read_record(rest, deltas, key, value, headers))
      return invalid_record(i, "has lengths that do not fit");
    if (deltas.offset < least || deltas.offset > last_offset_delta)
      return invalid_record(i, "has offset delta " + std::to_string(deltas.offset));
    least = deltas.offset + 1;
    std::int64_t timestamp;
    if (__builtin_add_overflow(base_timestamp_ms, deltas.timestamp, &timestamp))
      return invalid_record(i, "has a timestamp that overflows");
    if (!fill(headers)) return invalid_record(i, "has headers that do not fit");
    if (!headers.empty() && visit) visit(static_cast<std::int32_t>(deltas.offset), headers);
  }
  if (!rest.empty())
    return fail(ErrorCode::kInvalidBatch, std::to_string(rest.size()) +
                                              " bytes behind the last of " + std::to_string(count) +
                                              " records");
  return {};
}

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

// ---- the records of a batch ----

Records::Iterator::Iterator(const Records& records)
    : rest_(records.encoded_), left_(std::max(records.count_, 0)), base_(records.base_) {
  if (left_ > 0) read();
}

Records::Iterator& Records::Iterator::operator++() {
  if (--left_ > 0) read();
  return *this;
}

void Records::Iterator::skip(std::int64_t records) {
  for (; records > 1 && left_ > 1; --records, --left_) {
    std::int64_t length;
    if (!read_varint(rest_, length) || length < 0 ||
        static_cast<std::uint64_t>(length) > rest_.size()) {
      left_ = 0;
      broken_ = true;
      return;
    }
    rest_ = rest_.subspan(static_cast<std::size_t>(length));
  }
  if (records > 0 && left_ > 0) ++*this;
}

void Records::Iterator::read() {
  Deltas deltas;
  const Bytes from = rest_;
  __builtin_prefetch(from.data() + kAhead);  // mostly another processor wrote them
  if (!read_record(rest_, deltas, current_.key, current_.value, current_.headers)) {
    left_ = 0;
    broken_ = true;
    return;
  }
  encoded_ = from.first(from.size() - rest_.size());
  current_.offset = Offset(wrapping_add(base_.offset.value, deltas.offset));
  current_.timestamp_ms =
      base_.append_time_ms.value_or(wrapping_add(base_.timestamp_ms, deltas.timestamp));
}

}  // namespace leat
