// What topics, groups and snapshots may be called.
#pragma once

#include <string>
#include <string_view>

#include "protocol/base/result.h"

namespace leat {

inline constexpr std::size_t kMaxTopicNameBytes = 249;
inline constexpr std::size_t kMaxGroupNameBytes = 255;
inline constexpr std::size_t kMaxSnapshotNameBytes = 100;
inline constexpr std::size_t kMaxSourceNameBytes = 255;

// [A-Za-z0-9._-]{1,249}, neither "." nor "..": Kafka's rule. Error: kInvalidTopicName.
Result<> validate_topic_name(std::string_view name);

// 1 to 255 bytes of valid UTF-8 (rule 8). Error: kInvalidGroupName.
Result<> validate_group_name(std::string_view name);

// 1 to 255 bytes of valid UTF-8, as a producer calls its source. Error: kInvalidRequest.
Result<> validate_source_name(std::string_view name);

// [A-Za-z0-9._-]{1,100}, without a dot in front. Error: kInvalidSnapshotName.
Result<> validate_snapshot_name(std::string_view name);

// Whether `text` is valid UTF-8 (RFC 3629).
bool is_utf8(std::string_view text);

// `text` for logs and messages: control characters (line separators and marks of text direction
// among them), quotes, backslashes and invalid UTF-8 as \xNN; what would exceed `max_bytes` once
// escaped is cut, with "..." behind.
std::string escaped(std::string_view text, std::size_t max_bytes = 120);

}  // namespace leat
