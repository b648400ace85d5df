#include "client/tool/topic_settings.h"

#include <charconv>

#include "client/tool/tool.h"

namespace leat::tool {
namespace {

using std::string_view;
using std::chrono::milliseconds;

constexpr std::int64_t kNoLimit = -1;

// ---- from text ----

bool set_durability(string_view text, TopicConfig& config) {
  constexpr string_view kPrefix = "interval=";
  TopicConfig asked;
  if (text == "memory") asked.durability = Durability::kMemory;
  if (text.starts_with(kPrefix)) {
    const auto ms = parse_duration_ms(text.substr(kPrefix.size()));
    if (!ms) return false;
    asked.durability = Durability::kInterval;
    asked.interval = milliseconds(*ms);
  } else if (text != "sync" && text != "memory") {
    return false;
  }
  if (!check_config(asked)) return false;
  config.durability = asked.durability;
  config.interval = asked.interval;
  return true;
}

bool set_cleanup(string_view text, TopicConfig& config) {
  if (text == "delete")
    config.cleanup = Cleanup::kDelete;
  else if (text == "compact")
    config.cleanup = Cleanup::kCompact;
  else if (text == "compact,delete" || text == "delete,compact")
    config.cleanup = Cleanup::kCompactDelete;
  else
    return false;
  return true;
}

bool set_on_full(string_view text, TopicConfig& config) {
  if (text != "reject" && text != "drop-oldest") return false;
  config.on_full = text == "reject" ? OnFull::kReject : OnFull::kDropOldest;
  return true;
}

bool set_limit(std::optional<std::int64_t> value, std::int64_t& limit) {
  if (value) limit = *value;
  return value.has_value();
}

bool set_retention(string_view text, TopicConfig& config) {
  std::int64_t ms = kNoLimit;
  if (text != "forever" && !set_limit(parse_duration_ms(text), ms)) return false;
  config.retention.time = milliseconds(ms);
  return true;
}

bool set_retention_bytes(string_view text, TopicConfig& config) {
  return set_limit(text == "unlimited" ? kNoLimit : parse_size(text), config.retention.bytes);
}

std::optional<std::int64_t> whole_number(string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

bool set_retention_records(string_view text, TopicConfig& config) {
  return set_limit(text == "unlimited" ? kNoLimit : whole_number(text), config.retention.records);
}

bool set_ttl(string_view text, TopicConfig& config) {
  std::int64_t ms = kNoLimit;
  if (text != "forever" && !set_limit(parse_duration_ms(text), ms)) return false;
  config.ttl = milliseconds(ms);
  return true;
}

bool set_dedup_window(string_view text, TopicConfig& config) {
  std::int64_t ms = 0;
  if (text != "off" && !set_limit(parse_duration_ms(text), ms)) return false;
  config.dedup.time = milliseconds(ms);
  return true;
}

bool set_dedup_ids(string_view text, TopicConfig& config) {
  const auto ids = whole_number(text);
  if (!ids || *ids < 1 || *ids > DedupWindow::kMostIds) return false;
  config.dedup.ids = *ids;
  return true;
}

bool set_timestamps(string_view text, TopicConfig& config) {
  if (text != "create" && text != "append") return false;
  config.timestamps = text == "create" ? TimestampType::kCreateTime : TimestampType::kAppendTime;
  return true;
}

bool set_max_batch_bytes(string_view text, TopicConfig& config) {
  if (text == "broker") {
    config.max_batch_bytes = 0;
    return true;
  }
  return set_limit(parse_size(text), config.max_batch_bytes) && config.max_batch_bytes > 0;
}

// ---- to text; what a newer broker may have is unknown ----

std::string durability_text(const TopicConfig& config) {
  switch (config.durability) {
    case Durability::kSync:
      return "sync";
    case Durability::kInterval:
      return "interval=" + std::to_string(config.interval.count()) + "ms";
    case Durability::kMemory:
      return "memory";
  }
  return "unknown";
}

std::string cleanup_text(const TopicConfig& config) {
  switch (config.cleanup) {
    case Cleanup::kDelete:
      return "delete";
    case Cleanup::kCompact:
      return "compact";
    case Cleanup::kCompactDelete:
      return "compact,delete";
  }
  return "unknown";
}

std::string on_full_text(const TopicConfig& config) {
  switch (config.on_full) {
    case OnFull::kReject:
      return "reject";
    case OnFull::kDropOldest:
      return "drop-oldest";
  }
  return "unknown";
}

std::string retention_text(const TopicConfig& config) {
  const auto ms = config.retention.time.count();
  return ms < 0 ? "forever" : duration_text(ms);
}
std::string retention_bytes_text(const TopicConfig& config) {
  return config.retention.bytes < 0 ? "unlimited" : size_text(config.retention.bytes);
}
std::string retention_records_text(const TopicConfig& config) {
  return config.retention.records < 0 ? "unlimited" : std::to_string(config.retention.records);
}

std::string ttl_text(const TopicConfig& config) {
  const auto ms = config.ttl.count();
  return ms < 0 ? "forever" : duration_text(ms);
}
std::string dedup_window_text(const TopicConfig& config) {
  const auto ms = config.dedup.time.count();
  return ms == 0 ? "off" : duration_text(ms);
}
std::string dedup_ids_text(const TopicConfig& config) {
  return std::to_string(config.dedup.ids);
}

std::string timestamps_text(const TopicConfig& config) {
  switch (config.timestamps) {
    case TimestampType::kCreateTime:
      return "create";
    case TimestampType::kAppendTime:
      return "append";
  }
  return "unknown";
}
std::string max_batch_bytes_text(const TopicConfig& config) {
  return config.max_batch_bytes == 0 ? "broker" : size_text(config.max_batch_bytes);
}

std::string or_null(std::int64_t limit) {
  return limit < 0 ? "null" : std::to_string(limit);
}

constexpr TopicSetting kSettings[] = {
    {"durability", "sync, memory or a bounded loss of 1ms to 1h such as interval=100ms",
     "sync (default): on disk before the ack; interval=100ms: within that; memory: may die with "
     "the broker",
     set_durability, durability_text},
    {"retention", "a duration such as 500ms, 12h or 7d, or forever",
     "how long records are kept, by their timestamps: 12h, 7d; forever (default)", set_retention,
     retention_text},
    {"retention-bytes", "a size such as 64MiB or 1GiB, or unlimited",
     "how much is kept of each partition: 64MiB, 1GiB; unlimited (default)", set_retention_bytes,
     retention_bytes_text},
    {"retention-records", "a number of records, or unlimited",
     "how many are kept of each partition; unlimited (default)", set_retention_records,
     retention_records_text},
    {"cleanup", "delete, compact or compact,delete",
     "delete (default): what is beyond the retention; compact: all but the newest of each key; "
     "compact,delete: both",
     set_cleanup, cleanup_text},
    {"on-full", "reject or drop-oldest",
     "when the broker's space is used up: reject (default) new records; drop-oldest of the topic's",
     set_on_full, on_full_text},
    {"ttl", "a duration such as 500ms, 12h or 7d, or forever",
     "older records, by their timestamps, are not delivered to shared groups; forever (default)",
     set_ttl, ttl_text},
    {"dedup-window", "a duration such as 30s, 10m or 7d, or off",
     "how long a record's id (header leat-id) is known, so that it is not stored twice: 30s, 7d; "
     "10m (default); off",
     set_dedup_window, dedup_window_text},
    {"dedup-ids", "a number from 1 to 12000000",
     "how many ids of each partition are known at most; 1000000 (default)", set_dedup_ids,
     dedup_ids_text},
    {"timestamps", "create or append",
     "create (default): a record's time is what its producer says; append: when its batch came",
     set_timestamps, timestamps_text},
    {"max-batch-bytes", "a size such as 64KiB or 1MiB, or broker",
     "larger batches are refused: 64KiB, 1MiB; broker (default): what the broker takes",
     set_max_batch_bytes, max_batch_bytes_text}};

}  // namespace

std::span<const TopicSetting> topic_settings() {
  return kSettings;
}

Result<TopicConfig> with_settings(TopicConfig config, const GivenSettings& given) {
  for (const TopicSetting& setting : kSettings) {
    const auto it = given.find(setting.name);
    if (it == given.end() || setting.set(it->second, config)) continue;
    return fail(ErrorCode::kUsage, "--" + std::string(setting.name) + " takes " + setting.takes +
                                       "; not '" + it->second + "'");
  }
  return config;
}

std::string settings_json(const TopicConfig& config) {
  const Retention& retention = config.retention;
  return "\"durability\":\"" + durability_text(config) + "\",\"cleanup\":\"" +
         cleanup_text(config) + "\",\"retention_ms\":" + or_null(retention.time.count()) +
         ",\"retention_bytes\":" + or_null(retention.bytes) +
         ",\"retention_records\":" + or_null(retention.records) + ",\"on_full\":\"" +
         on_full_text(config) + "\",\"ttl_ms\":" + or_null(config.ttl.count()) +
         ",\"dedup_window_ms\":" + std::to_string(config.dedup.time.count()) +
         ",\"dedup_ids\":" + std::to_string(config.dedup.ids) + ",\"timestamps\":\"" +
         timestamps_text(config) + "\",\"max_batch_bytes\":" +
         (config.max_batch_bytes == 0 ? "null" : std::to_string(config.max_batch_bytes));
}

}  // namespace leat::tool
