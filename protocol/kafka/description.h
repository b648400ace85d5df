// How a message of Kafka's protocol is described: once, next to its members; decoder, encoder and
// tests follow the description.
//
//   struct Partition {
//     std::int32_t partition = 0;
//     std::int32_t leader_epoch = -1;                   // what a version without it means
//     std::optional<std::string_view> metadata;         // optional: may be null
//     std::int64_t high_watermark = -1;
//     static void fields(auto& v, auto& m) {            // in the order of the wire
//       v(m.partition);
//       v(m.leader_epoch, {.since = 9});
//       v(m.metadata, {.null_since = 2});
//     }
//     static void tags(auto& v) {                       // only where there are tagged fields
//       v(0, &Partition::high_watermark, {.since = 18});
//     }
//   };
//
// Members: bool, integers and enumerations of any width, double, std::string_view, Bytes, Pieces,
// TopicId, Uuid, structures, std::vector of these; std::optional around a string, bytes, a vector
// or a structure (one that is not nested: clang cannot make an optional of it before its message is
// complete). Whether lengths are compact follows from the message's first flexible version. A
// message also says `static constexpr ApiKey kApi`. Tagged fields are written when they differ from
// what their structure has by default; arrays when they are not empty.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"

namespace leat::kafka {

using Uuid = std::array<std::uint8_t, 16>;

// Bytes that lie in several pieces, as records do that leave from where they are; those that were
// read lie in one.
struct Pieces {
  std::vector<Bytes> all;

  Pieces() = default;
  Pieces(Bytes one) { all.push_back(one); }  // NOLINT: bytes are one piece
  std::size_t size() const {
    std::size_t bytes = 0;
    for (const Bytes piece : all) bytes += piece.size();
    return bytes;
  }
};

// The versions of a message that have a field, and of these the first in which it may be null (an
// optional member only: others never may).
struct Versions {
  std::int16_t since = 0;
  std::int16_t until = std::numeric_limits<std::int16_t>::max();
  std::int16_t null_since = 0;

  constexpr bool cover(std::int16_t version) const { return version >= since && version <= until; }
};

struct AnyVisitor {
  template <class T>
  void operator()(T&, Versions = {}) {}
  template <class M, class T>
  void operator()(std::uint32_t, T M::*, Versions = {}) {}
};

template <class T>
concept Structure = std::is_class_v<T> && requires(AnyVisitor& v, T& m) {
  T::fields(v, m);
};
template <class T>
concept HasTags = Structure<T> && requires(AnyVisitor& v) {
  T::tags(v);
};

}  // namespace leat::kafka
