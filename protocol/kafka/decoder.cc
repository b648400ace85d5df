#include "protocol/kafka/decoder.h"

namespace leat::kafka {

Result<> Decoder::finish() const {
  if (code_ != ErrorCode::kOk) return leat::fail(code_, why_);
  if (in_.failed()) return leat::fail(ErrorCode::kMalformedFrame, kCutOff);
  return {};
}

void Decoder::fail(const char* why, ErrorCode code) {
  if (code_ == ErrorCode::kOk) {
    code_ = code;
    why_ = why;
  }
  in_.fail();
}

std::uint32_t Decoder::uvarint() {
  constexpr unsigned kBits = 32;
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < kBits; shift += 7) {
    const std::uint64_t byte = fixed<std::uint8_t>();
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80 && value >> kBits == 0) return static_cast<std::uint32_t>(value);
    if (byte < 0x80) break;
  }
  fail("a variable-length number has more than 32 bits");
  return 0;
}

std::int64_t Decoder::length(std::size_t fixed_bytes, bool may_be_null) {
  const std::int64_t n = flexible_          ? std::int64_t{uvarint()} - 1
                         : fixed_bytes == 2 ? fixed<std::int16_t>()
                                            : fixed<std::int32_t>();
  if (in_.failed()) return 0;
  if (n == -1 && may_be_null) return n;
  if (n < 0)
    fail(n == -1 ? kNullField : "a length is negative");
  else if (static_cast<std::size_t>(n) > in_.remaining())
    fail("a length is beyond the end");
  return in_.failed() ? 0 : n;
}

bool Decoder::charge(std::int64_t count, std::size_t smallest_bytes, std::size_t memory_bytes) {
  // No product can overflow: the count is not above what remains of a buffer in memory.
  const auto n = static_cast<std::size_t>(count);
  if (n > in_.remaining() / std::max<std::size_t>(smallest_bytes, 1)) {
    fail("a count is beyond what can be there");
  } else if (n > memory_left_ / memory_bytes) {
    fail("its arrays come to more memory than the limit", ErrorCode::kFrameTooLarge);
  } else {
    memory_left_ -= n * memory_bytes;
  }
  return !in_.failed();
}

void Decoder::read(Uuid& id, bool) {
  if (in_.remaining() < id.size()) return fail(kCutOff);
  const Bytes bytes = take(static_cast<std::int64_t>(id.size()));
  std::memcpy(id.data(), bytes.data(), id.size());
}

void Decoder::skip_tags() {
  for (std::uint32_t count = uvarint(); count > 0 && !in_.failed(); --count) {
    uvarint();
    const std::uint32_t n = uvarint();
    if (n > in_.remaining()) return fail("a tagged field is beyond the end");
    in_.bytes(n);
  }
}

ByteReader Decoder::enter_tag() {
  const std::uint32_t n = uvarint();
  if (n > in_.remaining()) fail("a tagged field is beyond the end");
  const Bytes content = in_.bytes(n);
  ByteReader behind = in_;
  if (!in_.failed()) in_ = ByteReader(content);
  return behind;
}

void Decoder::leave_tag(const ByteReader& behind, bool known) {
  if (known && !in_.finished()) return fail("a tagged field is of another size than it says");
  if (!in_.failed()) in_ = behind;
}

}  // namespace leat::kafka
