#include "server/session/kafka/broker_settings.h"

#include <string>

namespace leat::session {
namespace {

template <class Number>
std::string text(Number value) {
  return std::to_string(value);
}
std::string text(bool value) {
  return value ? "true" : "false";
}
std::string text(std::chrono::milliseconds value) {
  return std::to_string(value.count());
}

struct BrokerSetting {
  std::string_view name;
  SettingType type;
  std::string_view documentation;
  std::string (*value)(const broker::BrokerOptions& options);
};

#define LEAT_OPTION(field) [](const broker::BrokerOptions& options) { return text(options.field); }
#define LEAT_HOLDS(value) [](const broker::BrokerOptions&) -> std::string { return value; }

const BrokerSetting kBrokerSettings[] = {
    {"auto.create.topics.enable", SettingType::kBoolean, "auto_create_topics",
     LEAT_OPTION(auto_create_topics)},
    {"num.partitions", SettingType::kInt, "auto_create_partitions",
     LEAT_OPTION(auto_create_partitions)},
    {"message.max.bytes", SettingType::kInt, "limits.batch_bytes", LEAT_OPTION(batch_bytes)},
    {"fetch.max.bytes", SettingType::kInt, "limits.fetch_bytes", LEAT_OPTION(fetch_bytes)},
    {"group.max.size", SettingType::kInt, "limits.members_per_group",
     LEAT_OPTION(members_per_group)},
    {"offset.metadata.max.bytes", SettingType::kInt, "limits.metadata_bytes",
     LEAT_OPTION(metadata_bytes)},
    {"log.retention.check.interval.ms", SettingType::kLong, "retention.interval",
     LEAT_OPTION(retention_interval)},
    {"default.replication.factor", SettingType::kInt, "There are no replicas.", LEAT_HOLDS("1")},
    {"delete.topic.enable", SettingType::kBoolean, "Topics can be deleted.", LEAT_HOLDS("true")},
    {"offsets.retention.minutes", SettingType::kInt,
     "Committed offsets stay until their group or topic is deleted.", LEAT_HOLDS("2147483647")},
};

#undef LEAT_OPTION
#undef LEAT_HOLDS

}  // namespace

std::vector<ShownSetting> broker_settings(const broker::BrokerOptions& options, std::int32_t node) {
  const broker::BrokerOptions defaults;
  std::vector<ShownSetting> shown;
  for (const char* name : {"node.id", "broker.id"})
    shown.push_back({.name = name,
                     .value = std::to_string(node),
                     .default_value = std::to_string(node),
                     .read_only = true,
                     .source = SettingSource::kBroker,
                     .type = SettingType::kInt,
                     .documentation = "There is one broker."});
  for (const BrokerSetting& row : kBrokerSettings) {
    ShownSetting setting{.name = row.name,
                         .value = row.value(options),
                         .default_value = row.value(defaults),
                         .read_only = true,
                         .type = row.type,
                         .documentation = row.documentation};
    if (setting.value != setting.default_value) setting.source = SettingSource::kBroker;
    shown.push_back(std::move(setting));
  }
  // What topics have that say nothing of their own.
  for (ShownSetting& topic : shown_settings({}, options.batch_bytes)) {
    const bool there = topic.broker_name.empty() || topic.broker_name == "message.max.bytes";
    if (there) continue;
    topic.name = topic.broker_name;
    topic.broker_name = {};
    topic.read_only = true;
    shown.push_back(std::move(topic));
  }
  return shown;
}

}  // namespace leat::session
