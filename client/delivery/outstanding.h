// Deliveries of which something is neither settled nor dropped, so that their leases can be
// extended: also those of records that wait to be handed out. The owner serialises calls.
#pragma once

#include <cstdint>
#include <map>

#include "client/delivery/settlements.h"

namespace leat {

class Outstanding {
 public:
  // At least one record, from `first` to `last`; between them may be what is others'.
  void add(std::uint64_t delivery, native::PartitionRef partition, Offset first, Offset last,
           std::uint64_t records);
  // So many records less; more than there are: all.
  void remove(std::uint64_t delivery, std::uint64_t records);
  void clear() { deliveries_.clear(); }
  bool empty() const { return deliveries_.empty(); }
  // One extension for each delivery.
  void extend(Settlements& settlements) const;

 private:
  struct Delivery {
    native::PartitionRef partition;
    Offset first, last;
    std::uint64_t records = 0;
  };
  std::map<std::uint64_t, Delivery> deliveries_;  // by the broker's number
};

}  // namespace leat
