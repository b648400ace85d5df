// Reads described messages (description.h), from anybody: nothing is believed before it is held
// against what is there. For message_codec.h.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/kafka/description.h"
#include "protocol/kafka/encoder.h"

namespace leat::kafka {

// The first thing that is wrong ends the reading: what follows reads as zeros, and is to be thrown
// away.
class Decoder {
 public:
  Decoder(Bytes body, std::int16_t version, bool flexible, std::size_t memory_bytes)
      : in_(body), version_(version), flexible_(flexible), memory_left_(memory_bytes) {}

  // A field, as descriptions name it.
  template <class T>
  void operator()(T& field, Versions in = {}) {
    if (in.cover(version_)) read(field, version_ >= in.null_since);
  }

  template <Structure T>
  void structure(T& m) {
    T::fields(*this, m);
    if (flexible_) tags(m);
  }

  // Skips a section of tagged fields, knowing none of them.
  void skip_tags();

  bool failed() const { return in_.failed(); }
  std::size_t remaining() const { return in_.remaining(); }
  // What was wrong; not bytes that are left over.
  Result<> finish() const;

 private:
  template <class T>
  requires std::is_integral_v<T>
  void read(T& value, bool) {
    if constexpr (std::is_same_v<T, bool>)
      value = fixed<std::uint8_t>() != 0;
    else
      value = fixed<T>();
  }
  template <class T>
  requires std::is_enum_v<T>
  void read(T& value, bool) { value = static_cast<T>(fixed<std::underlying_type_t<T>>()); }
  void read(double& value, bool) { value = std::bit_cast<double>(fixed<std::uint64_t>()); }
  void read(Uuid& id, bool);
  void read(TopicId& id, bool) { read(id.bytes, false); }
  void read(std::string_view& text, bool) { text = as_text(block(sizeof(std::int16_t))); }
  void read(Bytes& bytes, bool) { bytes = block(sizeof(std::int32_t)); }
  template <class T>
  void read(std::vector<T>& all, bool) {
    elements(all, length(sizeof(std::int32_t), false));
  }
  template <Structure T>
  void read(T& m, bool) {
    structure(m);
  }

  void read(std::optional<std::string_view>& text, bool may_be_null) {
    const auto n = length(sizeof(std::int16_t), may_be_null);
    text = n < 0 ? std::optional<std::string_view>() : as_text(take(n));
  }
  void read(std::optional<Bytes>& bytes, bool may_be_null) {
    const auto n = length(sizeof(std::int32_t), may_be_null);
    bytes = n < 0 ? std::optional<Bytes>() : take(n);
  }
  void read(std::optional<Pieces>& pieces, bool may_be_null) {
    std::optional<Bytes> bytes;
    read(bytes, may_be_null);
    pieces = bytes ? std::optional<Pieces>(*bytes) : std::nullopt;
  }
  template <class T>
  void read(std::optional<std::vector<T>>& all, bool may_be_null) {
    const auto n = length(sizeof(std::int32_t), may_be_null);
    if (n < 0) return all.reset();
    std::vector<T> present;
    elements(present, n);
    all = std::move(present);
  }
  template <Structure T>
  void read(std::optional<T>& m, bool may_be_null) {
    const bool is_null = fixed<std::int8_t>() < 0;
    m.reset();
    if (!is_null) return structure(m.emplace());
    if (!may_be_null) fail(kNullField);
  }

  template <class T>
  void elements(std::vector<T>& all, std::int64_t count) {
    all.clear();
    if (count == 0) return;
    if (!charge(count, smallest_encoded_bytes<T>(version_, flexible_), sizeof(T))) return;
    all.reserve(static_cast<std::size_t>(count));
    for (; count > 0 && !in_.failed(); --count) read(all.emplace_back(), false);
  }

  template <class M>
  void tags(M& m) {
    if constexpr (HasTags<M>) {
      for (std::uint32_t count = uvarint(); count > 0 && !in_.failed(); --count) {
        const std::uint32_t number = uvarint();
        const ByteReader behind = enter_tag();
        bool known = false;
        auto read_one = [&]<class T>(std::uint32_t its_number, T M::*field, Versions in = {}) {
          if (number != its_number || !in.cover(version_)) return;
          known = true;
          read(m.*field, true);
        };
        M::tags(read_one);
        leave_tag(behind, known);
      }
    } else {
      skip_tags();
    }
  }

  template <class T>
  T fixed() {
    if (in_.remaining() < sizeof(T)) fail(kCutOff);
    return in_.be<T>();
  }
  std::uint32_t uvarint();
  // A length or count as it goes before a field; -1 is null. Not more than what remains.
  std::int64_t length(std::size_t fixed_bytes, bool may_be_null);
  Bytes take(std::int64_t n) { return in_.bytes(static_cast<std::size_t>(n)); }
  Bytes block(std::size_t length_bytes) { return take(length(length_bytes, false)); }
  // Whether so many elements can be there, and may become structs of so many bytes.
  bool charge(std::int64_t count, std::size_t smallest_bytes, std::size_t memory_bytes);
  // Confines the reading to one tagged field; gives what lies behind it.
  ByteReader enter_tag();
  void leave_tag(const ByteReader& behind, bool known);
  void fail(const char* why, ErrorCode code = ErrorCode::kMalformedFrame);

  static constexpr const char* kCutOff = "it ends in the middle of a field";
  static constexpr const char* kNullField =
      "a field is null that this version of the message must have";

  ByteReader in_;
  const std::int16_t version_;
  const bool flexible_;
  std::size_t memory_left_;
  ErrorCode code_ = ErrorCode::kOk;
  const char* why_ = nullptr;
};

}  // namespace leat::kafka
