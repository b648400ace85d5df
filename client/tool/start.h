// Where to begin reading, as people say it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "client/blocking.h"
#include "client/config.h"
#include "protocol/base/result.h"

namespace leat::tool {

// "earliest" or "start", "latest" or "end", OFFSET, -N (the last N of each partition), or a time as
// in RFC 3339: 2026-01-31, 2026-01-31T12:00:00Z, 2026-01-31T12:00:00.5+01:00. Error: kUsage, naming
// `flag`.
Result<StartFrom> parse_start(std::string_view text, std::string_view flag);
// A time, or a duration before `now`: 90s, 10m, 2h, 7d. Error: kUsage, naming `flag`.
Result<StartFrom> parse_since(std::string_view text, std::string_view flag, Timestamp now);
std::optional<Timestamp> parse_time(std::string_view text);

// The offset of a partition that it comes to. Errors: kUnknownPartition, kOffsetOutOfRange.
Result<Offset> resolve(blocking::Client& client, const TopicDescription& topic,
                       PartitionIndex partition, const StartFrom& to);

// "0-3,7". Error: kUsage.
Result<std::vector<PartitionIndex>> parse_partitions(std::string_view text);

}  // namespace leat::tool
