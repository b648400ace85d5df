// Which rolls are persisted (rule 5): a roll is when every family has flushed beyond its row, and
// rolls count in order, so that nothing before a persisted position is missing. Pure; one lock's
// worth of state, guarded by its owner.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>

#include "protocol/base/ids.h"
#include "storage/rocks.h"

namespace leat::storage {

class RollTracker {
 public:
  // A roll whose rows get RocksDB sequence numbers above `sequence`.
  void rolled(JournalPosition position, std::uint64_t sequence) {
    rolls_.push_back({position, sequence, {}});
  }

  // `family` has everything up to sequence number `up_to` in synced SSTs. The newest position that
  // became persisted by it.
  std::optional<JournalPosition> flushed(Family family, std::uint64_t up_to) {
    for (Roll& roll : rolls_)
      if (up_to > roll.sequence) roll.flushed[static_cast<std::size_t>(family)] = true;
    std::optional<JournalPosition> persisted;
    while (!rolls_.empty() && std::ranges::all_of(rolls_.front().flushed, std::identity())) {
      persisted = rolls_.front().position;
      rolls_.pop_front();
    }
    return persisted;
  }

  bool pending() const { return !rolls_.empty(); }

 private:
  struct Roll {
    JournalPosition position;
    std::uint64_t sequence;
    std::array<bool, kFamilies> flushed;
  };
  std::deque<Roll> rolls_;  // oldest first
};

}  // namespace leat::storage
