// Goes through every row of the records family and says what is not as it must be (rules 4 and 6):
// batches whole and intact, ranges that adjoin through all segments, footers that agree with them.
// One segment's runs are in memory at a time, and where each partition ends.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "storage/large/large_batches.h"
#include "storage/recovery/damage.h"
#include "storage/rocks/rocks.h"
#include "storage/segment_index.h"

namespace leat::storage {

class RecordsWalk {
 public:
  // `start`: where the log of a partition begins, as far as the catalog's files know.
  using Start = std::function<Offset(PartitionId)>;
  RecordsWalk(Start start, const LargeBatches& large) : start_(std::move(start)), large_(large) {}

  void run(Rocks& rocks);
  // A batch behind the rows, from the journal.
  void add(PartitionId partition, Offset base, Offset next);
  // It is known to have held everything below `end`.
  void promise(PartitionId partition, Offset end);

  // Offsets that no intact batch holds; the log may have moved beyond some, or the partition be
  // gone. At most kMostLost, then `lost_more()` counts.
  const std::vector<Damage>& lost() const { return lost_; }
  std::uint64_t lost_more() const { return lost_more_; }
  // Intact, but not in the footer: of partitions that are gone, or below where a log starts, or not
  // as it must be.
  const std::vector<Damage>& untold() const { return untold_; }
  const std::vector<std::string>& other() const { return other_; }
  JournalPosition position() const { return position_; }  // of the newest footer
  // Where footers say that large batches lie.
  const std::map<std::uint32_t, std::vector<LargeShare>>& large() const { return shares_; }
  Offset next(PartitionId partition) const;  // where it ends
  // Rows of it count for nothing: they are replayed, or were dropped.
  bool is_leftover(std::uint32_t segment) const { return leftovers_.contains(segment); }
  std::uint64_t batches() const { return batches_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t kMostLost = 100'000;
  struct Run {
    Offset first, next;
    std::string before;  // why something may be missing in front of it
  };
  struct Segment {
    std::uint32_t id = 0;
    std::map<PartitionId, std::vector<Run>> runs;
    std::map<PartitionId, std::string> bad;  // what is wrong with the rows behind the last run
    bool damaged = false;
    bool footer = false;
  };

  void row(std::string_view key, std::string_view value);
  void unreadable(const std::string& why);
  void take_footer(std::string_view value);
  void end_segment();
  Offset expected(PartitionId partition) const;
  void take(PartitionId partition, const Run& run);
  void lose(PartitionId partition, Offset first, Offset next, const std::string& why);

  const Start start_;
  LargeReader large_;
  Segment segment_;
  std::string damage_;  // of the newest block that could not be read, in this segment or before it
  std::map<PartitionId, Offset> next_;
  std::vector<Damage> lost_;
  std::uint64_t lost_more_ = 0;
  std::vector<Damage> untold_;
  std::set<std::uint32_t> leftovers_;
  std::vector<std::string> other_;
  std::map<std::uint32_t, std::vector<LargeShare>> shares_;
  JournalPosition position_;
  std::uint64_t batches_ = 0, bytes_ = 0;
};

}  // namespace leat::storage
