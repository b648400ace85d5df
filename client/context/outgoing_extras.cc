#include "client/context/outgoing_extras.h"

namespace leat {
namespace {

// A time that is given as such or from now on; `names` are what the two are called.
Result<> read_time(const std::optional<Timestamp>& at,
                   const std::optional<std::chrono::milliseconds>& after, const Clock& clock,
                   const char* names, std::optional<std::int64_t>& time_ms) {
  if (!at && !after) return {};
  if (at && after)
    return fail(ErrorCode::kInvalidRequest, std::string("give one of ") + names + ", not both");
  const std::int64_t given = at ? at->time_since_epoch().count() : after->count();
  const std::int64_t from = at ? 0 : clock.wall_now().time_since_epoch().count();
  if (given < 0 || given > kMaxHeaderTimeMs - from)
    return fail(ErrorCode::kInvalidRequest, std::to_string(given) + " ms for one of " + names +
                                                "; use 0 or more, up to the year 6000");
  time_ms.emplace(from + given);
  return {};
}

}  // namespace

Result<> read_extras(const OutgoingRecord& record, const Clock& clock, RecordExtras& extras) {
  if (record.id && (record.id->empty() || record.id->size() > kMaxIdBytes))
    return fail(ErrorCode::kInvalidRequest, "an id of " + std::to_string(record.id->size()) +
                                                " bytes; use 1 to " + std::to_string(kMaxIdBytes));
  extras.id = record.id;
  if (auto ok = read_time(record.deliver_at, record.delay, clock, "deliver_at and delay",
                          extras.deliver_at_ms);
      !ok)
    return ok;
  return read_time(record.expires_at, record.ttl, clock, "expires_at and ttl",
                   extras.expires_at_ms);
}

}  // namespace leat
