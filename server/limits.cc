#include "server/limits.h"

#include <string>

namespace leat {
namespace {

tl::unexpected<Error> too_small(std::string_view what, std::uint64_t has, std::string_view than,
                                std::uint64_t needs) {
  return fail(ErrorCode::kUsage, std::string(what) + " (" + std::to_string(has) +
                                     ") is less than " + std::string(than) + " (" +
                                     std::to_string(needs) + "); raise it, or lower the other");
}

}  // namespace

Result<> check_limits(const ServerLimits& limits) {
  const auto& broker = limits.broker;
  const auto& frames = limits.session.limits;
  if (frames.payload_bytes < broker.batch_bytes)
    return too_small("limits.frame_bytes", frames.payload_bytes, "limits.batch_bytes",
                     broker.batch_bytes);
  if (broker.decompressed_bytes < broker.batch_bytes)
    return too_small("limits.decompressed_bytes", broker.decompressed_bytes, "limits.batch_bytes",
                     broker.batch_bytes);
  if (broker.partitions_per_topic < broker.auto_create_partitions)
    return too_small(
        "limits.partitions_per_topic", static_cast<std::uint64_t>(broker.partitions_per_topic),
        "auto_create_partitions", static_cast<std::uint64_t>(broker.auto_create_partitions));
  if (broker.group_max_session_timeout < broker.group_min_session_timeout)
    return fail(ErrorCode::kUsage,
                "groups.max_session_timeout is less than groups.min_session_timeout; raise it");
  if (limits.replay.unpersisted_bytes / 2 < limits.replay.journal_segment_bytes)
    return fail(ErrorCode::kUsage,
                "limits.unpersisted_bytes (" + std::to_string(limits.replay.unpersisted_bytes) +
                    ") is less than two of limits.journal_segment_bytes (" +
                    std::to_string(limits.replay.journal_segment_bytes) + "); raise it");
  return {};
}

}  // namespace leat
