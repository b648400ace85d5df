// Writes described messages (description.h). Two passes follow the same description: one counts
// and finds what cannot be written, the other writes exactly so many bytes. For message_codec.h.
#pragma once

#include <bit>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "protocol/base/varint.h"
#include "protocol/kafka/codec.h"
#include "protocol/kafka/description.h"

namespace leat::kafka {

// What an encoder writes to. `block` takes what may be sent from where it lies.
class ByteCounter {
 public:
  explicit ByteCounter(bool without_blocks = false) : without_blocks_(without_blocks) {}

  void put(const void*, std::size_t n) { bytes_ += n; }
  void block(Bytes block) { bytes_ += without_blocks_ ? 0 : block.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  const bool without_blocks_;
  std::size_t bytes_ = 0;
};

// Writes at the end of `to`, which gets `bytes` longer; with `borrowed`, blocks are noted there
// instead.
class ByteWriter {
 public:
  ByteWriter(std::vector<std::byte>& to, std::size_t bytes, std::vector<Borrowed>* borrowed)
      : start_(make_room(to, bytes)), at_(start_ + to.size() - bytes), borrowed_(borrowed) {}

  void put(const void* from, std::size_t n) {
    if (n > 0) std::memcpy(at_, from, n);
    at_ += n;
  }
  void block(Bytes block) {
    if (borrowed_ == nullptr)
      put(block.data(), block.size());
    else if (!block.empty())
      borrowed_->push_back({.at = static_cast<std::size_t>(at_ - start_), .bytes = block});
  }
  const std::byte* end() const { return at_; }

 private:
  static std::byte* make_room(std::vector<std::byte>& to, std::size_t bytes) {
    to.resize(to.size() + bytes);
    return to.data();
  }

  std::byte* const start_;
  std::byte* at_;
  std::vector<Borrowed>* const borrowed_;
};

template <class Sink>
class Encoder {
 public:
  Encoder(Sink& to, std::int16_t version, bool flexible)
      : to_(to), version_(version), flexible_(flexible) {}

  // Why the message cannot be written in this version; nullptr when it can.
  const char* problem() const { return problem_; }

  // A field, as descriptions name it.
  template <class T>
  void operator()(const T& field, Versions in = {}) {
    if (in.cover(version_)) write(field, version_ >= in.null_since);
  }

  template <Structure T>
  void structure(const T& m) {
    T::fields(*this, m);
    if (flexible_) tags(m);
  }

 private:
  template <class T>
  requires std::is_integral_v<T>
  void write(T value, bool) {
    using Number = std::conditional_t<std::is_same_v<T, bool>, std::uint8_t, T>;
    std::byte bytes[sizeof(T)];
    store_be(bytes, static_cast<Number>(value));
    to_.put(bytes, sizeof bytes);
  }
  template <class T>
  requires std::is_enum_v<T>
  void write(T value, bool) { fixed(static_cast<std::underlying_type_t<T>>(value)); }
  void write(double value, bool) { fixed(std::bit_cast<std::uint64_t>(value)); }
  void write(const Uuid& id, bool) { to_.put(id.data(), id.size()); }
  void write(const TopicId& id, bool) { to_.put(id.bytes.data(), id.bytes.size()); }
  void write(std::string_view text, bool) {
    text_length(text.size());
    to_.put(text.data(), text.size());
  }
  void write(Bytes bytes, bool) {
    length(bytes.size());
    to_.block(bytes);
  }
  void write(const Pieces& pieces, bool) {
    length(pieces.size());
    for (const Bytes piece : pieces.all) to_.block(piece);
  }
  template <class T>
  void write(const std::vector<T>& all, bool) {
    length(all.size());
    for (const T& each : all) write(each, false);
  }
  template <Structure T>
  void write(const T& m, bool) {
    structure(m);
  }
  template <class T>
  void write(const std::optional<T>& field, bool may_be_null) {
    if (!field && !may_be_null)
      problem_ = "a field is null that this version of the message must have";
    if constexpr (Structure<T>) fixed<std::int8_t>(field ? 1 : -1);
    if (field)
      write(*field, false);
    else if constexpr (!Structure<T>)
      null_length(sizeof(
          std::conditional_t<std::is_same_v<T, std::string_view>, std::int16_t, std::int32_t>));
  }

  // The fields that differ from their default, each with its number and size.
  template <class M>
  void tags(const M& m) {
    if constexpr (HasTags<M>) {
      static const M fresh{};
      const auto is_written = [&]<class T>(T M::*field, Versions in) {
        return in.cover(version_) && differs(m.*field, fresh.*field);
      };
      std::uint32_t count = 0;
      auto count_one = [&]<class T>(std::uint32_t, T M::*field, Versions in = {}) {
        count += is_written(field, in);
      };
      M::tags(count_one);
      uvarint(count);
      auto write_one = [&]<class T>(std::uint32_t number, T M::*field, Versions in = {}) {
        if (is_written(field, in)) tag(number, m.*field);
      };
      M::tags(write_one);
    } else {
      uvarint(0);
    }
  }
  template <class T>
  static bool differs(const T& value, const T& fresh) {
    return value != fresh;
  }
  template <class T>
  static bool differs(const std::vector<T>& all, const std::vector<T>&) {
    return !all.empty();
  }
  template <class T>
  void tag(std::uint32_t number, const T& value) {
    ByteCounter counter;
    Encoder<ByteCounter>(counter, version_, flexible_)(value);
    uvarint(number);
    uvarint(counter.bytes());
    write(value, true);
  }

  void text_length(std::size_t n) {
    if (!flexible_ && n > std::numeric_limits<std::int16_t>::max())
      problem_ = "a string is longer than the 32,767 bytes this version of the message can say";
    flexible_ ? uvarint(n + 1) : fixed(static_cast<std::int16_t>(n));
  }
  void length(std::size_t n) {
    if (n >= std::numeric_limits<std::int32_t>::max())
      problem_ = "a field is longer than the 2 GiB Kafka's protocol can say";
    flexible_ ? uvarint(n + 1) : fixed(static_cast<std::int32_t>(n));
  }
  void null_length(std::size_t fixed_bytes) {
    if (flexible_) return uvarint(0);
    fixed_bytes == 2 ? fixed<std::int16_t>(-1) : fixed<std::int32_t>(-1);
  }
  template <class T>
  void fixed(T value) {
    write(value, false);
  }
  void uvarint(std::uint64_t value) {
    std::byte bytes[kMaxVarintBytes];
    to_.put(bytes, static_cast<std::size_t>(put_uvarint(bytes, value) - bytes));
  }

  Sink& to_;
  const std::int16_t version_;
  const bool flexible_;
  const char* problem_ = nullptr;
};

// The fewest bytes that a T can take; a default one is the shortest: empty, or null.
template <class T>
std::size_t smallest_encoded_bytes(std::int16_t version, bool flexible) {
  static const T fresh{};
  ByteCounter counter;
  Encoder<ByteCounter> encoder(counter, version, flexible);
  encoder(fresh);
  return counter.bytes();
}

}  // namespace leat::kafka
