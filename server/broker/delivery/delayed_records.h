// The records of a partition that one group is not to be given yet (header leat-deliver-at), by
// when they are due. Those due first are known one by one, up to a bound; of the others only the
// ranges of offsets in which they lie, and when the first of them is due: before that, or when
// few are known, the ranges are read again. So the log is their index, and memory stays bounded
// however many there are. One thread; times are wall clock, in milliseconds since 1970.
#pragma once

#include <algorithm>
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

  struct Delayed {
    Offset offset;
    std::uint32_t position = 0;  // in its batch, in bytes; 0: not known
  };
  // In 16 bytes: 44 bits of milliseconds, which reach to the year 2527, 52 of the offset, 32 of the
  // position; in this order, so that entries compare by time, then by offset.
  class Entry {
   public:
    Entry(std::int64_t due_ms, const Delayed& record)
        : high_(bits(std::clamp<std::int64_t>(due_ms, 0, kLatestMs)) << 20 |
                bits(record.offset.value) >> 32),
          low_(bits(record.offset.value) << 32 | record.position) {}
    // Before all that are due then or later.
    static Entry at(std::int64_t due_ms) { return {due_ms, {Offset(0)}}; }
    std::int64_t due_ms() const { return static_cast<std::int64_t>(high_ >> 20); }
    Offset offset() const {
      return Offset(static_cast<std::int64_t>((high_ & 0xfffff) << 32 | low_ >> 32));
    }
    std::uint32_t position() const { return static_cast<std::uint32_t>(low_); }
    friend auto operator<=>(const Entry&, const Entry&) = default;

   private:
    static constexpr std::int64_t kLatestMs = (std::int64_t{1} << 44) - 1;
    static std::uint64_t bits(std::int64_t value) { return static_cast<std::uint64_t>(value); }
    std::uint64_t high_, low_;
  };

  // Each record once, at rising offsets.
  void add(const Delayed& record, std::int64_t due_ms) { put(Entry(due_ms, record)); }
  // When, after now, take_due() or to_scan() has something next if nothing else happens.
  std::optional<std::int64_t> next_look_ms(std::int64_t now_ms) const;
  std::optional<std::int64_t> first_due_ms() const;  // of those known
  // Those known from `from` until `until`, in no order; where they are more than `most`, the first:
  // of those before the `until` that it returns there are no others. Linear in those before it.
  struct Near {
    std::vector<Entry> records;
    Entry until;
  };
  Near near(Entry from, Entry until, std::size_t most) const;
  // Takes out the first, if it is due.
  std::optional<Delayed> take_due(std::int64_t now_ms);
  // Records below are gone.
  void trim(Offset log_start);

  // Which range to read again, by and by from its beginning; nullopt: none now.
  std::optional<storage::OffsetRange> to_scan(std::int64_t now_ms);
  // A delayed record in that range, at rising offsets; then that everything below `next` was read.
  void found(const Delayed& record, std::int64_t due_ms);
  void scanned(Offset next);

 private:
  struct Far {
    Offset last;
    std::uint64_t count;
  };
  using Ranges = std::map<Offset, Far>;  // by first offset
  static constexpr std::int64_t kLeastGap = 4'096;
  // Behind all others.
  static Entry never() { return {std::numeric_limits<std::int64_t>::max(), {Offset(-1), ~0u}}; }

  void put(Entry entry);
  void forget_half();
  void put_far(Offset offset);
  void thin_out();
  static std::uint64_t trim(Ranges& ranges, Offset log_start);

  const std::size_t most_known_;
  std::vector<Entry> known_;  // a heap, the first due on top; all below horizon_
  Entry horizon_ = never();   // the first of those in far_
  Ranges far_;
  std::uint64_t far_count_ = 0;
  std::int64_t gap_ = kLeastGap;  // offsets between ranges that are one
  // What is being read again: of its ranges, what lies at or behind scan_from_ in time.
  Ranges scan_;
  std::uint64_t scan_count_ = 0;
  Entry scan_from_ = never();
};

}  // namespace leat::broker
