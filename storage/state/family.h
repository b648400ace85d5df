// How a state machine keeps its part of RocksDB, without knowing RocksDB: entries become puts and
// removals in the machine's column family; at start it is loaded row by row.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "protocol/base/result.h"

namespace leat::storage {

enum class Family : std::uint8_t {
  kRecords = 0,
  kCatalog = 1,
  kOffsets = 2,
  kProducers = 3,
  kIds = 4
};
inline constexpr std::size_t kFamilies = 5;
// Those that say themselves how far they are persisted; the records' footers say it for theirs.
inline constexpr Family kStateFamilies[] = {Family::kCatalog, Family::kOffsets, Family::kProducers,
                                            Family::kIds};

class FamilyWriter {
 public:
  virtual ~FamilyWriter() = default;
  virtual void put(std::string_view key, std::string_view value) = 0;
  virtual void remove(std::string_view key) = 0;
};

class FamilyReader {
 public:
  virtual ~FamilyReader() = default;
  // Every row whose key begins with `prefix`, in key order, until `row` fails.
  virtual Result<> each(
      std::string_view prefix,
      const std::function<Result<>(std::string_view key, std::string_view value)>& row) const = 0;
  // The value at `key`; empty when there is none.
  virtual Result<std::string> get(std::string_view key) const = 0;
};

}  // namespace leat::storage
