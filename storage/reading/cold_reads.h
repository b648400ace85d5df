// Reads that memory does not answer. Who goes through a partition, each read beginning where one
// ended, finds the next one made already, or under way: it is read ahead while the last one is on
// its way to the reader. Decides, and reads nothing itself. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "storage/reads.h"

namespace leat::storage {

struct ColdRead {
  std::uint64_t id;
  PartitionId partition;
  Offset from;
  std::size_t max_bytes;
  bool ahead;  // nobody waits for it
};

// What has become of one. The batches have one owner, and end before `next`.
struct EndedRead {
  std::uint64_t id;
  PartitionId partition;
  Result<ReadResult> result;
  Offset next;
};

class ColdReads {
 public:
  // Offsets [first, end) are to be had from the disk alone. What lies below is gone, what lies
  // behind is in memory or not visible.
  struct Range {
    Offset first, end;
  };
  static constexpr auto kMostOffset = std::numeric_limits<std::int64_t>::max();
  static constexpr Range kGone{Offset(kMostOffset), Offset(0)};
  struct Seam {
    std::function<void(const ColdRead&)> begin;  // ended() follows
    std::function<void(std::uint64_t)> hurry;    // somebody waits for it now
    std::function<Range(PartitionId)> range;     // kGone: so is the partition
  };
  using Tell = std::function<void(ReadToken, Result<ReadResult>)>;

  // So many bytes are kept at the most that nobody has asked for, those included that are being
  // read.
  ColdReads(std::size_t budget_bytes, Seam seam)
      : budget_bytes_(budget_bytes), seam_(std::move(seam)) {}

  // As Storage::read().
  ReadOutcome read(PartitionId partition, Offset from, std::size_t max_bytes, ReadToken token);
  // Tells whoever waits for it. They may read on at once.
  void ended(EndedRead ended, const Tell& tell);

  // What is kept of the partition and ends at or below the offset is not wanted any more.
  void forget(PartitionId partition, Offset below = Offset(kMostOffset));
  // Memory is wanted for something else.
  void drop_kept();

  std::size_t bytes() const { return bytes_; }  // kept, or set aside for what is being read ahead
  std::uint64_t hits() const { return hits_; }  // reads that found theirs made or under way
  bool under_way() const { return !under_way_.empty(); }
  std::uint64_t ended() const { return ended_; }  // reads, so far

 private:
  using Place = std::pair<PartitionId, Offset>;
  struct Waiter {
    ReadToken token;
    std::size_t max_bytes;
  };
  struct UnderWay {
    ColdRead read;
    bool in_sequence;
    std::vector<Waiter> waiting;
  };
  struct Kept {
    StoredBatches batches;
    Offset next;
    std::size_t max_bytes;  // as it was asked for
    std::size_t charged;
    std::uint64_t refused;  // bytes, when it came
    bool followed;          // what comes behind was asked for
  };
  using KeptAt = std::map<Place, Kept>::iterator;

  std::optional<ReadResult> take(PartitionId partition, Offset from, std::size_t max_bytes);
  KeptAt find_kept(PartitionId partition, Offset from);
  static bool takes_less(const Waiter& waiter, const ColdRead& read) {
    return waiter.max_bytes < read.max_bytes;
  }
  void go_on(const UnderWay& read, const EndedRead& ended);
  void keep(const UnderWay& read, const EndedRead& ended, bool followed);
  StoredBatches take_part(KeptAt found, Offset from, std::size_t max_bytes);
  void drop(KeptAt kept);
  void begin(ColdRead read, bool in_sequence, std::vector<Waiter> waiting);
  void read_ahead(PartitionId partition, Offset from, std::size_t max_bytes);
  bool make_room(std::size_t bytes);
  void expect(const Place& place);

  const std::size_t budget_bytes_;
  Seam seam_;
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, UnderWay> under_way_;
  std::map<Place, std::uint64_t> places_;  // of those
  std::map<Place, Kept> kept_;  // without overlaps that matter: the last before an offset
  std::size_t bytes_ = 0;
  std::uint64_t refused_ = 0;  // bytes that were not read ahead for want of room
  std::uint64_t hits_ = 0, ended_ = 0;
  // Where reads ended: one that begins there goes on from it. The oldest are forgotten.
  std::set<Place> expected_;
  std::deque<Place> expected_in_order_;
};

}  // namespace leat::storage
