// The rows of the ids family. Ids of a partition are numbered as they come; 512 of them are a
// block.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"
#include "storage/ids.h"

namespace leat::storage {

inline constexpr std::uint64_t kBlockIds = 512;

struct KnownId {
  IdHash id;
  Offset offset;
  std::int64_t appended_ms = 0;
  friend bool operator==(const KnownId&, const KnownId&) = default;
};

// The ids with numbers [n * 512, (n + 1) * 512); of the newest block, and of one behind a gap, only
// some.
struct IdBlock {
  std::uint64_t first = 0;  // number of the first of them
  std::vector<KnownId> ids;

  std::uint64_t next() const { return first + ids.size(); }

  // docs/disk_format.md.
  std::string encode() const;
  // Of the row of block `block`. Error: kCorruptStorage.
  static Result<IdBlock> decode(std::uint64_t block, std::string_view value);
};

// Of a partition: numbers below `floor` are forgotten, and rows hold the others up to `next`.
struct IdRange {
  std::uint64_t floor = 0, next = 0;

  std::string encode() const;
  static Result<IdRange> decode(std::string_view value);  // kCorruptStorage
};

}  // namespace leat::storage
