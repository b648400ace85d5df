// The records of a partition that one group is not to be given yet (header leat-deliver-at), by
// when they are due. Those due first are known one by one, up to a bound; of the others only the
// ranges of offsets in which they lie, and when the first of them is due: before that, or when
// few are known, the ranges are read again. So the log is their index, and memory stays bounded
// however many there are. One thread; times are wall clock, in milliseconds since 1970.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <vector>

#include "protocol/base/ids.h"
#include "storage/acks.h"

namespace leat::broker {

class DelayedRecords {
 public:
  explicit DelayedRecords(std::size_t most_known) : most_known_(most_known) {}

  // About as many, where the log start moved over some.
  std::uint64_t size() const { return known_.size() + far_count_ + scan_count_; }
  std::size_t known() const { return known_.size(); }
  std::size_t ranges() const { return far_.size() + scan_.size(); }

  // Each record once, at rising offsets.
  void add(Offset offset, std::int64_t due_ms) { put({due_ms, offset}); }
  // When, after now, take_due() or to_scan() has something next if nothing else happens.
  std::optional<std::int64_t> next_look_ms(std::int64_t now_ms) const;
  // Takes out the first, if it is due.
  std::optional<Offset> take_due(std::int64_t now_ms);
  // Records below are gone.
  void trim(Offset log_start);

  // Which range to read again, by and by from its beginning; nullopt: none now.
  std::optional<storage::OffsetRange> to_scan(std::int64_t now_ms);
  // A delayed record in that range, at rising offsets; then that everything below `next` was read.
  void found(Offset offset, std::int64_t due_ms);
  void scanned(Offset next);

 private:
  struct Entry {
    std::int64_t due_ms;
    Offset offset;
    friend auto operator<=>(const Entry&, const Entry&) = default;
  };
  struct Far {
    Offset last;
    std::uint64_t count;
  };
  using Ranges = std::map<Offset, Far>;  // by first offset
  static constexpr std::int64_t kLeastGap = 4'096;
  static constexpr Entry kNever{std::numeric_limits<std::int64_t>::max(),
                                Offset(std::numeric_limits<std::int64_t>::max())};

  void put(Entry entry);
  void forget_half();
  void put_far(Offset offset);
  void thin_out();
  static std::uint64_t trim(Ranges& ranges, Offset log_start);

  const std::size_t most_known_;
  std::vector<Entry> known_;  // a heap, the first due on top; all below horizon_
  Entry horizon_ = kNever;    // the first of those in far_
  Ranges far_;
  std::uint64_t far_count_ = 0;
  std::int64_t gap_ = kLeastGap;  // offsets between ranges that are one
  // What is being read again: of its ranges, what lies at or behind scan_from_ in time.
  Ranges scan_;
  std::uint64_t scan_count_ = 0;
  Entry scan_from_ = kNever;
};

}  // namespace leat::broker
