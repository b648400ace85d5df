// Strong ids: an offset cannot be mistaken for a partition.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace leat {

template <class Tag, class Rep>
struct StrongId {
  using rep = Rep;
  Rep value{};

  constexpr StrongId() = default;
  constexpr explicit StrongId(Rep v) : value(v) {}
  friend constexpr auto operator<=>(StrongId, StrongId) = default;
  friend constexpr StrongId operator+(StrongId id, Rep n) {
    return StrongId(static_cast<Rep>(id.value + n));
  }
  friend constexpr Rep operator-(StrongId a, StrongId b) {
    return static_cast<Rep>(a.value - b.value);
  }
};

// Position of a record in its partition: 0, 1, 2 …
using Offset = StrongId<struct OffsetTag, std::int64_t>;
// Number of a partition within its topic: 0 … partitions - 1.
using PartitionIndex = StrongId<struct PartitionIndexTag, std::int32_t>;
// Storage's own number of a partition: issued once per topic id and index, never reused (rule 7).
using PartitionId = StrongId<struct PartitionIdTag, std::uint32_t>;
// Raised after an unclean start (rule 3); stored in each batch.
using LeaderEpoch = StrongId<struct LeaderEpochTag, std::int32_t>;
// Ordinal of a journal entry, from 1; 0 is "before the first".
using JournalPosition = StrongId<struct JournalPositionTag, std::uint64_t>;
// One accepted connection; never reused within a process.
using ConnectionId = StrongId<struct ConnectionIdTag, std::uint64_t>;
// Chosen by a client to match a response to its request.
using CorrelationId = StrongId<struct CorrelationIdTag, std::uint64_t>;

// A topic's identity from creation to deletion (rule 7): a random (version 4) UUID, RFC 9562.
struct TopicId {
  std::array<std::uint8_t, 16> bytes{};

  friend auto operator<=>(const TopicId&, const TopicId&) = default;
  std::string to_string() const;  // 8-4-4-4-12 lower-case hexadecimal
  static std::optional<TopicId> parse(std::string_view text);
};

}  // namespace leat

template <class Tag, class Rep>
struct std::hash<leat::StrongId<Tag, Rep>> {
  std::size_t operator()(leat::StrongId<Tag, Rep> id) const { return std::hash<Rep>{}(id.value); }
};

template <>
struct std::hash<leat::TopicId> {
  std::size_t operator()(const leat::TopicId& id) const {
    std::size_t h;  // the id is random already: any eight bytes will do
    std::memcpy(&h, id.bytes.data(), sizeof h);
    return h;
  }
};
