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
#include "storage/rocks/rocks.h"

namespace leat::storage {

// What is in synced SSTs: how far the journal is, and the newest segment with its footer, which
// says so and must stay.
struct Persisted {
  JournalPosition position;
  std::uint32_t segment = 0;
};

class RollTracker {
 public:
  // A roll of `what`, whose rows get RocksDB sequence numbers above `sequence`.
  void rolled(Persisted what, std::uint64_t sequence) { rolls_.push_back({what, sequence, {}}); }

  // `family` has everything up to sequence number `up_to` in synced SSTs. What became
  // persisted by it.
  std::optional<Persisted> flushed(Family family, std::uint64_t up_to) {
    for (Roll& roll : rolls_)
      if (up_to > roll.sequence) roll.flushed[static_cast<std::size_t>(family)] = true;
    std::optional<Persisted> persisted;
    while (!rolls_.empty() && std::ranges::all_of(rolls_.front().flushed, std::identity())) {
      persisted = rolls_.front().what;
      rolls_.pop_front();
    }
    return persisted;
  }

  bool pending() const { return !rolls_.empty(); }

 private:
  struct Roll {
    Persisted what;
    std::uint64_t sequence;
    std::array<bool, kFamilies> flushed;
  };
  std::deque<Roll> rolls_;  // oldest first
};

}  // namespace leat::storage
