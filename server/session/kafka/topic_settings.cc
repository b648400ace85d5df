#include "server/session/kafka/topic_settings.h"

#include <algorithm>
#include <set>

#include "server/session/kafka/setting_text.h"

namespace leat::session {
namespace {

using std::string_view;
using Text = std::optional<string_view>;

constexpr string_view kUnlimited = "9223372036854775807";
constexpr string_view kIgnored =
    "A tuning of Kafka's own files: taken, and of no effect on this broker.";
constexpr string_view kNoReplicas = "this broker has no replicas";
constexpr string_view kNoTiers = "this broker has no remote storage";
const TopicConfig kDefaults;

// A row of the table. Either `set` and `text` are there, or `holds` says what holds whatever is
// asked for, and `accepts` which texts ask for no more than that.
struct Row {
  string_view name, broker_name;
  SettingType type;
  string_view documentation;
  string_view takes;                                      // what it may be, and why nothing else
  bool (*set)(Text text, TopicConfig& config) = nullptr;  // no text: the default
  std::string (*text)(const TopicConfig& config) = nullptr;
  string_view holds = {};
  bool (*accepts)(string_view text) = nullptr;
};

// ---- what Leat has ----

template <auto kField>
bool set_number(Text text, TopicConfig& config) {
  auto& field = kField(config);
  if (!text) {
    field = kField(kDefaults);
    return true;
  }
  const auto value = parse_whole(*text);
  if (value) field = std::remove_reference_t<decltype(field)>(*value);
  return value.has_value();
}
template <auto kField>
std::string number_text(const TopicConfig& config) {
  const auto& field = kField(config);
  if constexpr (std::is_integral_v<std::remove_cvref_t<decltype(field)>>)
    return std::to_string(field);
  else
    return std::to_string(field.count());
}

constexpr auto kRetentionMs = [](auto& config) -> auto& {
  return config.retention.time;
};
constexpr auto kRetentionBytes = [](auto& config) -> auto& {
  return config.retention.bytes;
};
constexpr auto kRetentionRecords = [](auto& config) -> auto& {
  return config.retention.records;
};
constexpr auto kTtlMs = [](auto& config) -> auto& {
  return config.ttl;
};
constexpr auto kDedupMs = [](auto& config) -> auto& {
  return config.dedup.time;
};
constexpr auto kDedupIds = [](auto& config) -> auto& {
  return config.dedup.ids;
};
constexpr auto kIntervalMs = [](auto& config) -> auto& {
  return config.interval;
};
constexpr auto kBatchBytes = [](auto& config) -> auto& {
  return config.max_batch_bytes;
};

// No limit of its own is no text: with_settings() and shown_settings() know the broker's.
bool set_batch_bytes(Text text, TopicConfig& config) {
  return set_number<kBatchBytes>(text, config) && (!text || config.max_batch_bytes > 0);
}

bool set_cleanup(Text text, TopicConfig& config) {
  if (!text) {
    config.cleanup = kDefaults.cleanup;
    return true;
  }
  std::uint8_t bits = 0;
  for (const std::string& policy : parse_list(*text)) {
    if (policy != "delete" && policy != "compact") return false;
    bits |= static_cast<std::uint8_t>(policy == "delete" ? Cleanup::kDelete : Cleanup::kCompact);
  }
  config.cleanup = static_cast<Cleanup>(bits);
  return bits != 0;
}
std::string cleanup_text(const TopicConfig& config) {
  if (config.cleanup == Cleanup::kCompactDelete) return "compact,delete";
  return compacts(config.cleanup) ? "compact" : "delete";
}

bool set_timestamps(Text text, TopicConfig& config) {
  config.timestamps =
      text == "LogAppendTime" ? TimestampType::kAppendTime : TimestampType::kCreateTime;
  return !text || text == "LogAppendTime" || text == "CreateTime";
}
std::string timestamps_text(const TopicConfig& config) {
  return config.timestamps == TimestampType::kAppendTime ? "LogAppendTime" : "CreateTime";
}

// Its interval is the next row's.
bool set_durability(Text text, TopicConfig& config) {
  config.durability = kDefaults.durability;
  if (text == "interval") config.durability = Durability::kInterval;
  if (text == "memory") config.durability = Durability::kMemory;
  if (config.durability != Durability::kInterval) config.interval = kDefaults.interval;
  return !text || text == "sync" || text == "interval" || text == "memory";
}
std::string durability_text(const TopicConfig& config) {
  if (config.durability == Durability::kSync) return "sync";
  return config.durability == Durability::kInterval ? "interval" : "memory";
}

bool set_on_full(Text text, TopicConfig& config) {
  config.on_full = text == "drop-oldest" ? OnFull::kDropOldest : OnFull::kReject;
  return !text || text == "drop-oldest" || text == "reject";
}
std::string on_full_text(const TopicConfig& config) {
  return config.on_full == OnFull::kDropOldest ? "drop-oldest" : "reject";
}

// ---- what holds here, whatever is asked for ----

bool is_one(string_view text) {
  return parse_whole(text) == 1;
}
bool is_zero(string_view text) {
  return parse_whole(text) == 0;
}
bool is_unlimited(string_view text) {
  return text == kUnlimited;
}
bool is_unset(string_view text) {
  return parse_whole(text) == -2;
}
bool is_false(string_view text) {
  return parse_flag(text) == false;
}
bool is_producer(string_view text) {
  return text == "producer";
}
bool is_empty(string_view text) {
  return text.empty();
}
bool is_a_day_at_most(string_view text) {
  const auto ms = parse_whole(text);
  return ms && *ms >= 0 && *ms <= 86'400'000;
}

// ---- what is taken, and of no effect ----

bool is_int(string_view text) {
  const auto value = parse_whole(text);
  return value && *value >= INT32_MIN && *value <= INT32_MAX;
}
bool is_natural_int(string_view text) {
  return is_int(text) && *parse_whole(text) >= 0;
}
bool is_natural(string_view text) {
  return parse_whole(text).value_or(-1) >= 0;
}
bool is_flag(string_view text) {
  return parse_flag(text).has_value();
}
bool is_share(string_view text) {
  const auto value = parse_fraction(text);
  return value && *value >= 0 && *value <= 1;
}

using enum SettingType;

const Row kRows[] = {
    {"cleanup.policy", "log.cleanup.policy", kList,
     "delete: what is beyond the retention goes. compact: of each key the newest record stays.",
     "delete, compact or compact,delete", set_cleanup, cleanup_text},
    {"retention.ms", "log.retention.ms", kLong, "How long records are kept, by their timestamps.",
     "0 or more, or -1 (no limit)", set_number<kRetentionMs>, number_text<kRetentionMs>},
    {"retention.bytes", "log.retention.bytes", kLong, "How much is kept of each partition.",
     "0 or more, or -1 (no limit)", set_number<kRetentionBytes>, number_text<kRetentionBytes>},
    {"max.message.bytes", "message.max.bytes", kInt, "Larger batches are refused.",
     "1 or more, up to what the broker takes", set_batch_bytes, number_text<kBatchBytes>},
    {"message.timestamp.type", "log.message.timestamp.type", kString,
     "CreateTime: a record's time is its producer's. LogAppendTime: when its batch came.",
     "CreateTime or LogAppendTime", set_timestamps, timestamps_text},
    {"leat.durability", "", kString,
     "sync: on stable storage before the acknowledgement. interval: within "
     "leat.durability.interval.ms. memory: never synced for its own sake.",
     "sync, interval or memory", set_durability, durability_text},
    {"leat.durability.interval.ms", "", kLong,
     "Of leat.durability=interval: what a crash may lose.",
     "1 to 3600000 with leat.durability=interval, else 0", set_number<kIntervalMs>,
     number_text<kIntervalMs>},
    {"leat.on.full", "", kString,
     "When the broker's space is used up: reject new records, or drop-oldest of the topic's.",
     "reject or drop-oldest", set_on_full, on_full_text},
    {"leat.retention.records", "", kLong, "How many records are kept of each partition.",
     "0 or more, or -1 (no limit)", set_number<kRetentionRecords>, number_text<kRetentionRecords>},
    {"leat.ttl.ms", "", kLong, "Older records are not delivered to shared groups.",
     "0 or more, or -1 (no limit)", set_number<kTtlMs>, number_text<kTtlMs>},
    {"leat.dedup.ms", "", kLong, "How long the id of a record (header leat-id) is known.",
     "0 (off) or more", set_number<kDedupMs>, number_text<kDedupMs>},
    {"leat.dedup.ids", "", kLong, "How many ids of each partition are known at most.",
     "1 to 12000000", set_number<kDedupIds>, number_text<kDedupIds>},

    {"compression.type", "compression.type", kString, "Batches are stored as they came.",
     "producer: batches are stored as they came", nullptr, nullptr, "producer", is_producer},
    {"min.insync.replicas", "min.insync.replicas", kInt, "There is one copy of each record.",
     "1: this broker has no replicas; leat.durability says what an acknowledgement promises",
     nullptr, nullptr, "1", is_one},
    {"unclean.leader.election.enable", "unclean.leader.election.enable", kBoolean, kNoReplicas,
     "false: this broker has no replicas, and never elects a leader", nullptr, nullptr, "false",
     is_false},
    {"delete.retention.ms", "log.cleaner.delete.retention.ms", kLong,
     "How long a deletion can be read at least where a topic compacts.",
     "0 to 86400000: deletions can be read for a day", nullptr, nullptr, "86400000",
     is_a_day_at_most},
    {"min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms", kLong,
     "How long a record is safe from compaction.",
     "0: compaction takes older records of a key as soon as it runs", nullptr, nullptr, "0",
     is_zero},
    {"max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms", kLong,
     "How long a record may wait for compaction.",
     "9223372036854775807: compaction runs by how much came in, not by time", nullptr, nullptr,
     kUnlimited, is_unlimited},
    {"message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms", kLong,
     "How old a record may be when it comes.",
     "9223372036854775807: records are taken whatever their time", nullptr, nullptr, kUnlimited,
     is_unlimited},
    {"message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms", kLong,
     "How far ahead of the broker's clock the time of a record may lie.",
     "9223372036854775807: records are taken whatever their time", nullptr, nullptr, kUnlimited,
     is_unlimited},
    {"message.timestamp.difference.max.ms", "log.message.timestamp.difference.max.ms", kLong,
     "How far from the broker's clock the time of a record may lie.",
     "9223372036854775807: records are taken whatever their time", nullptr, nullptr, kUnlimited,
     is_unlimited},
    {"message.downconversion.enable", "log.message.downconversion.enable", kBoolean,
     "Batches are served in record format 2 alone.", "false: there is record format 2 alone",
     nullptr, nullptr, "false", is_false},
    {"leader.replication.throttled.replicas", "", kList, kNoReplicas,
     "empty: this broker has no replicas", nullptr, nullptr, "", is_empty},
    {"follower.replication.throttled.replicas", "", kList, kNoReplicas,
     "empty: this broker has no replicas", nullptr, nullptr, "", is_empty},
    {"remote.storage.enable", "", kBoolean, kNoTiers, "false: this broker has no remote storage",
     nullptr, nullptr, "false", is_false},
    {"remote.log.copy.disable", "", kBoolean, kNoTiers, "false: this broker has no remote storage",
     nullptr, nullptr, "false", is_false},
    {"remote.log.delete.on.disable", "", kBoolean, kNoTiers,
     "false: this broker has no remote storage", nullptr, nullptr, "false", is_false},
    {"local.retention.ms", "", kLong, kNoTiers, "-2: this broker has no remote storage", nullptr,
     nullptr, "-2", is_unset},
    {"local.retention.bytes", "", kLong, kNoTiers, "-2: this broker has no remote storage", nullptr,
     nullptr, "-2", is_unset},

    {"segment.bytes", "log.segment.bytes", kInt, kIgnored, "a number from 0", nullptr, nullptr,
     "1073741824", is_natural_int},
    {"segment.ms", "log.roll.ms", kLong, kIgnored, "a number from 0", nullptr, nullptr, "604800000",
     is_natural},
    {"segment.jitter.ms", "log.roll.jitter.ms", kLong, kIgnored, "a number from 0", nullptr,
     nullptr, "0", is_natural},
    {"segment.index.bytes", "log.index.size.max.bytes", kInt, kIgnored, "a number from 0", nullptr,
     nullptr, "10485760", is_natural_int},
    {"index.interval.bytes", "log.index.interval.bytes", kInt, kIgnored, "a number from 0", nullptr,
     nullptr, "4096", is_natural_int},
    {"file.delete.delay.ms", "log.segment.delete.delay.ms", kLong, kIgnored, "a number from 0",
     nullptr, nullptr, "60000", is_natural},
    {"preallocate", "log.preallocate", kBoolean, kIgnored, "true or false", nullptr, nullptr,
     "false", is_flag},
    {"min.cleanable.dirty.ratio", "log.cleaner.min.cleanable.ratio", kDouble, kIgnored, "0 to 1",
     nullptr, nullptr, "0.5", is_share},
    {"flush.messages", "log.flush.interval.messages", kLong,
     "Taken with leat.durability=sync, which syncs before every acknowledgement.",
     "a number from 0", nullptr, nullptr, kUnlimited, is_natural},
    {"flush.ms", "log.flush.interval.ms", kLong,
     "Taken with leat.durability=sync, which syncs before every acknowledgement.",
     "a number from 0", nullptr, nullptr, kUnlimited, is_natural},
    {"compression.gzip.level", "compression.gzip.level", kInt, kIgnored, "a whole number", nullptr,
     nullptr, "-1", is_int},
    {"compression.lz4.level", "compression.lz4.level", kInt, kIgnored, "a whole number", nullptr,
     nullptr, "9", is_int},
    {"compression.zstd.level", "compression.zstd.level", kInt, kIgnored, "a whole number", nullptr,
     nullptr, "3", is_int},
};

std::string value_of(const Row& row, const TopicConfig& config, std::size_t batch_bytes) {
  if (!row.text) return std::string(row.holds);
  // A topic without a limit of its own has the broker's.
  if (row.set == set_batch_bytes && config.max_batch_bytes == 0) return std::to_string(batch_bytes);
  return row.text(config);
}

Error refused(const Row& row, string_view text) {
  return {ErrorCode::kInvalidConfig,
          std::string(row.name) + " '" + std::string(text) + "'; use " + std::string(row.takes)};
}

// A list with what is to be added or taken out, as text.
Result<std::string> changed_list(const Row& row, const TopicConfig& config,
                                 const GivenSetting& given) {
  if (row.type != SettingType::kList)
    return fail(ErrorCode::kInvalidRequest,
                std::string(row.name) + " is no list: it can be set, not added to or taken from");
  auto list = parse_list(value_of(row, config, 0));
  for (const std::string& item : parse_list(*given.value)) {
    std::erase(list, item);
    if (given.change == SettingChange::kAppend) list.push_back(item);
  }
  return list_text(list);
}

Result<> change(const Row& row, const GivenSetting& given, TopicConfig& config) {
  if (given.change == SettingChange::kDelete) {
    if (row.set) row.set(std::nullopt, config);
    return {};
  }
  if (!given.value)
    return fail(ErrorCode::kInvalidConfig,
                std::string(row.name) + " has no value; use " + std::string(row.takes));
  std::string text(trimmed(*given.value));
  if (given.change != SettingChange::kSet) {
    auto list = changed_list(row, config, given);
    if (!list) return fail(list.error());
    text = std::move(*list);
  }
  const bool taken = row.set ? row.set(text, config) : row.accepts(text);
  return taken ? Result<>() : fail(refused(row, text));
}

Result<> check_given(std::span<const GivenSetting> given) {
  std::set<string_view> names;
  for (const GivenSetting& setting : given) {
    if (!names.insert(setting.name).second)
      return fail(ErrorCode::kInvalidRequest, "'" + std::string(setting.name) + "' is given twice");
    if (setting.change > SettingChange::kSubtract || setting.change < SettingChange::kSet)
      return fail(ErrorCode::kInvalidRequest,
                  "change " + std::to_string(static_cast<int>(setting.change)) + " of '" +
                      std::string(setting.name) +
                      "'; use 0 (set), 1 (delete), 2 (append) or 3 (subtract)");
    const bool known =
        std::ranges::any_of(kRows, [&](const Row& row) { return row.name == setting.name; });
    if (!known)
      return fail(ErrorCode::kInvalidConfig,
                  "unknown topic config name '" + std::string(setting.name) + "'");
  }
  return {};
}

bool asks_to_flush(const GivenSetting& given) {
  return given.name.starts_with("flush.") && given.change == SettingChange::kSet &&
         given.value != kUnlimited;
}

}  // namespace

std::vector<ShownSetting> shown_settings(const TopicConfig& config, std::size_t batch_bytes) {
  std::vector<ShownSetting> shown;
  shown.reserve(std::size(kRows));
  for (const Row& row : kRows) {
    ShownSetting setting{.name = row.name,
                         .value = value_of(row, config, batch_bytes),
                         .default_value = value_of(row, kDefaults, batch_bytes),
                         .read_only = row.set == nullptr,
                         .type = row.type,
                         .broker_name = row.broker_name,
                         .documentation = row.documentation};
    if (setting.value != setting.default_value) setting.source = SettingSource::kTopic;
    shown.push_back(std::move(setting));
  }
  return shown;
}

// In the table's order: some settings stand on others.
Result<TopicConfig> with_settings(TopicConfig config, std::span<const GivenSetting> given,
                                  std::size_t batch_bytes) {
  if (auto ok = check_given(given); !ok) return fail(ok.error());
  const std::int64_t limit_before = config.max_batch_bytes;
  for (const Row& row : kRows)
    for (const GivenSetting& setting : given)
      if (setting.name == row.name)
        if (auto ok = change(row, setting, config); !ok) return fail(ok.error());
  if (auto ok = check_config(config); !ok)
    return fail(ErrorCode::kInvalidConfig, ok.error().detail);
  if (config.max_batch_bytes != limit_before &&
      static_cast<std::uint64_t>(config.max_batch_bytes) > batch_bytes)
    return fail(ErrorCode::kInvalidConfig,
                "max.message.bytes '" + std::to_string(config.max_batch_bytes) +
                    "'; this broker takes at most " + std::to_string(batch_bytes));
  if (config.durability != Durability::kSync && std::ranges::any_of(given, asks_to_flush))
    return fail(ErrorCode::kInvalidConfig,
                "flush.messages and flush.ms promise a sync that leat.durability=" +
                    durability_text(config) + " does not make; use leat.durability=sync");
  return config;
}

}  // namespace leat::session
