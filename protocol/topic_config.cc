#include "protocol/topic_config.h"

#include <string>

namespace leat {
namespace {

tl::unexpected<Error> invalid_config(std::string what) {
  return fail(ErrorCode::kInvalidRequest, std::move(what));
}

template <class Enum>
std::string number(Enum value) {
  return std::to_string(static_cast<unsigned>(value));
}

Result<> check_durability(const TopicConfig& config) {
  switch (config.durability) {
    case Durability::kSync:
    case Durability::kMemory:
      if (config.interval.count() == 0) return {};
      return invalid_config("an interval belongs to durability 'interval' alone");
    case Durability::kInterval:
      if (config.interval.count() >= 1 && config.interval <= kMaxDurabilityInterval) return {};
      return invalid_config("an interval of " + std::to_string(config.interval.count()) +
                            " ms; use 1 ms to an hour");
  }
  return invalid_config("durability " + number(config.durability) +
                        "; use 0 (sync), 1 (interval) or 2 (memory)");
}

Result<> check_limit(const char* name, std::int64_t value) {
  if (value >= -1) return {};
  return invalid_config(std::string(name) + " " + std::to_string(value) +
                        "; use 0 or more, or -1 (no limit)");
}

Result<> check_dedup(const DedupWindow& dedup) {
  if (dedup.time.count() < 0)
    return invalid_config("dedup_window_ms " + std::to_string(dedup.time.count()) +
                          "; use 0 (off) or more");
  if (dedup.ids < 1 || dedup.ids > DedupWindow::kMostIds)
    return invalid_config("dedup_ids " + std::to_string(dedup.ids) + "; use 1 to " +
                          std::to_string(DedupWindow::kMostIds));
  return {};
}

}  // namespace

Result<> check_config(const TopicConfig& config) {
  if (auto ok = check_durability(config); !ok) return ok;
  if (config.cleanup < Cleanup::kDelete || config.cleanup > Cleanup::kCompactDelete)
    return invalid_config("cleanup " + number(config.cleanup) +
                          "; use 1 (delete), 2 (compact) or 3 (compact and delete)");
  if (config.on_full > OnFull::kDropOldest)
    return invalid_config("on_full " + number(config.on_full) +
                          "; use 0 (reject) or 1 (drop the oldest)");
  // What compaction promises to keep is not there to make room.
  if (config.on_full == OnFull::kDropOldest && !deletes(config.cleanup))
    return invalid_config(
        "on_full 1 (drop the oldest) with cleanup 2 (compact), which keeps the newest "
        "record of each key; use cleanup 1 or 3, or on_full 0 (reject)");
  if (auto ok = check_limit("retention_ms", config.retention.time.count()); !ok) return ok;
  if (auto ok = check_limit("retention_bytes", config.retention.bytes); !ok) return ok;
  if (auto ok = check_limit("retention_records", config.retention.records); !ok) return ok;
  if (auto ok = check_limit("ttl_ms", config.ttl.count()); !ok) return ok;
  if (config.timestamps > TimestampType::kAppendTime)
    return invalid_config("timestamps " + number(config.timestamps) +
                          "; use 0 (as the producer says) or 1 (when it is appended)");
  if (config.max_batch_bytes < 0)
    return invalid_config("max_batch_bytes " + std::to_string(config.max_batch_bytes) +
                          "; use 1 or more, or 0 (what the broker takes)");
  return check_dedup(config.dedup);
}

}  // namespace leat
