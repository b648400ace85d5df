// What one shared group has done of one partition, and where it tried in vain: a floor, chunks of
// bits above it, and runs of retries. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "storage/acks.h"
#include "storage/state/ack_chunk.h"
#include "storage/state/family.h"

namespace leat::storage {

class PartitionAcks {
 public:
  // Open offsets that were tried equally often, and are due at the same time.
  struct Run {
    Offset last;
    Retry retry;
  };

  explicit PartitionAcks(Offset floor) : floor_(floor) {}

  // Everything below is done, it is not.
  Offset floor() const { return floor_; }
  bool is_done(Offset offset) const;
  // The first at or behind `from` that is not done.
  Offset next_open(Offset from) const;
  // The first at or behind `from`, above the floor, that is.
  std::optional<Offset> next_done(Offset from) const;
  std::uint64_t done_above_floor() const { return done_above_floor_; }
  // nullopt: done, or never tried in vain.
  std::optional<Retry> retry(Offset offset) const;
  // By their first offsets; two that adjoin differ.
  const std::map<Offset, Run>& retries() const { return retries_; }
  std::size_t memory_bytes() const;

  // ---- for AckStore ----
  // What is done, then what was tried in vain, and the floor rises as far as it can.
  void apply(const AcksChange& change);

  // Rows of the offsets family: docs/disk_format.md. `key` is the one of the floor's.
  static std::optional<PartitionAcks> load(std::string_view floor_row);
  Result<> load_chunk(std::int64_t index, std::string_view row);
  // What has changed since the last call.
  void persist_changes(const std::string& key, FamilyWriter& rows);
  std::vector<std::string> row_keys(const std::string& key) const;

 private:
  struct Chunk {
    AckChunk done;  // in the floor's chunk also what lies below it
    bool changed = false;
  };
  using Chunks = std::map<std::int64_t, Chunk>;

  Chunk& changed_chunk(std::int64_t index);
  void mark(OffsetRange range);
  void raise_floor();
  void tried(OffsetRange range, const Retry& retry);
  void put_retry(OffsetRange range, Retry retry);
  void erase_retries(OffsetRange range);
  std::string encode(std::int64_t index, const Chunk& chunk) const;

  Offset floor_;
  std::uint64_t done_above_floor_ = 0;
  Chunks chunks_;  // where something is done above the floor, or was tried in vain
  std::map<Offset, Run> retries_;
  bool changed_ = false;
  bool has_row_ = false;
  std::set<std::int64_t> rows_;  // chunks that have one
};

}  // namespace leat::storage
