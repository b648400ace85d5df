// How often a record was tried in vain, when it may be tried again, and why it is not.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "protocol/base/clock.h"
#include "storage/state/partition_acks.h"

namespace leat::broker {

// As many attempts as nobody makes: the record was rejected.
inline constexpr std::uint32_t kDeadAttempts = 0xffffffff;

// How often the record at `at` has failed, and how far, up to `last`, that holds.
std::pair<Offset, std::uint32_t> attempts_at(Offset at, Offset last,
                                             const storage::PartitionAcks* acks);

// When, by this clock, it may be tried again; min(): now.
MonotonicTime due_of(const storage::Retry& retry, Now now);

inline constexpr const char* kExpired = "expired";
// Why records die, for people; shared by all that die together.
using Reason = std::shared_ptr<const std::string>;

}  // namespace leat::broker
