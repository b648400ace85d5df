// What became of records, on its way to the broker: gathered while an earlier request is under way,
// merged into ranges, told to whoever waits once the answer is there. The owner serialises calls.
#pragma once

#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/lease.h"
#include "protocol/base/result.h"

namespace leat {

// A record, and what its neighbour's number is one more than: of a shared group its offset, by key
// its place among all records that came, for there a range may span what is others'.
struct Numbered {
  Offset offset;
  std::uint64_t number = 0;
};

// What goes out with one request. Once taken from Settlements it is its holder's alone, and must be
// finished.
class Parcel {
 public:
  static constexpr std::size_t kMostRanges = 4'000;  // what an envelope has room for

  // Sorted and merged; extensions first, for what was settled cannot be extended.
  std::vector<native::SettledRange> ranges() const;
  std::string_view reason() const { return reason_ ? std::string_view(*reason_) : ""; }
  // Tells everyone who waits: success but for what was refused, or the error of all.
  void finish(const std::vector<native::SettledRange>& refused);
  void finish(const Error& why);

 private:
  friend class Settlements;
  // Some offsets of the runs from `first_run` to `last_run`, which share what else they say.
  struct Waiter {
    std::size_t first_run, last_run;
    Offset first, last;
    Completion<> done;
  };
  struct Run {
    native::SettledRange range;
    std::uint64_t first_number, last_number;
  };
  void append(const Run& run);
  bool refused_of(const Waiter& waiter, const std::vector<native::SettledRange>& refused) const;

  std::vector<Run> runs_;  // in the order they came
  std::vector<Waiter> waiters_;
  std::optional<std::string> reason_;  // once something is rejected
};

class Settlements {
 public:
  // At least one, ascending; at most Parcel::kMostRanges. `done` may be empty.
  void add(native::PartitionRef partition, std::uint64_t delivery, const Settlement& settlement,
           std::span<const Numbered> records, Completion<> done);
  // One outcome for all of a range, with nobody to tell.
  void add_range(native::PartitionRef partition, std::uint64_t delivery, native::Outcome outcome,
                 Offset first, Offset last);
  bool empty() const { return parcels_.empty(); }
  // The oldest; nothing when there is none.
  std::optional<Parcel> take();

 private:
  Parcel& parcel_for(const Settlement& settlement, std::size_t runs);

  std::deque<Parcel> parcels_;
};

}  // namespace leat
