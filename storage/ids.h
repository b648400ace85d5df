// Message ids of records, by which a record that comes again is known: how they are named, how long
// they are known, and what a look-up gives.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/siphash.h"
#include "storage/reads.h"

namespace leat::storage {

// 128 bits of a message id: two ids that share one do not occur, nor can anybody who does not know
// the topic's UUID make them.
struct IdHash {
  std::uint64_t high = 0, low = 0;
  friend auto operator<=>(const IdHash&, const IdHash&) = default;
};

inline IdHash hash_of(const TopicId& topic, Bytes id) {
  const auto [low, high] = siphash128(std::as_bytes(std::span(topic.bytes)), id);
  return {high, low};
}

// A record of a batch that has an id.
struct RecordId {
  std::int32_t delta;  // of its offset, in the batch
  IdHash id;
};

// How long an id is known: as long as both hold. Without time or ids nothing is.
struct IdWindow {
  std::chrono::milliseconds time{0};
  std::uint64_t ids = 0;  // the newest so many of a partition
  bool off() const { return time.count() <= 0 || ids == 0; }
  friend bool operator==(const IdWindow&, const IdWindow&) = default;
};
inline constexpr std::uint64_t kMostIds = 12'000'000;  // of a window

// What an append says of ids.
struct NewIds {
  // Of the batch's records, by rising delta, none of them known: they are from now on. Borrowed.
  std::span<const RecordId> ids;
  WallTime now{};
  // What falls out of it is forgotten: everything, when it is off; nothing is said: nothing.
  std::optional<IdWindow> window;
};

// Of each id that was asked for: the offset of the record that has it; nullopt when it is new.
using KnownIds = std::vector<std::optional<Offset>>;
using KnownIdsOutcome = std::variant<KnownIds, ReadLater>;

}  // namespace leat::storage

template <>
struct std::hash<leat::storage::IdHash> {
  std::size_t operator()(const leat::storage::IdHash& id) const { return id.low; }
};
