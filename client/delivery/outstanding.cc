#include "client/delivery/outstanding.h"

namespace leat {

void Outstanding::add(std::uint64_t delivery, native::PartitionRef partition, Offset first,
                      Offset last, std::uint64_t records) {
  deliveries_[delivery] = {partition, first, last, records};
}

void Outstanding::remove(std::uint64_t delivery, std::uint64_t records) {
  const auto it = deliveries_.find(delivery);
  if (it == deliveries_.end()) return;
  if (it->second.records <= records)
    deliveries_.erase(it);
  else
    it->second.records -= records;
}

void Outstanding::extend(Settlements& settlements) const {
  for (const auto& [number, delivery] : deliveries_)
    settlements.add_range(delivery.partition, number, native::Outcome::kExtend, delivery.first,
                          delivery.last);
}

}  // namespace leat
