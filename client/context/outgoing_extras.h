// What of a record to be sent becomes reserved headers for the broker (rule 9).
#pragma once

#include "client/records.h"
#include "protocol/base/clock.h"
#include "protocol/record_extras.h"

namespace leat {

inline bool has_extras(const OutgoingRecord& record) {
  return record.id || record.deliver_at || record.expires_at || record.delay || record.ttl;
}
// Durations count from now. Error: kInvalidRequest, saying what it may be.
Result<> read_extras(const OutgoingRecord& record, const Clock& clock, RecordExtras& extras);

}  // namespace leat
