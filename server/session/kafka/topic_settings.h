// What Kafka calls the settings of a topic, and what they are here: one table, pure functions. What
// each of them means, and which are refused, docs/kafka_settings.md says.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/topic_config.h"

namespace leat::session {

// Kafka's numbers.
enum class SettingType : std::int8_t {
  kBoolean = 1,
  kString = 2,
  kInt = 3,
  kLong = 5,
  kDouble = 6,
  kList = 7,
};
enum class SettingSource : std::int8_t { kTopic = 1, kBroker = 4, kDefault = 5 };
enum class SettingChange : std::int8_t { kSet = 0, kDelete = 1, kAppend = 2, kSubtract = 3 };

// A setting as DescribeConfigs shows it. The views are of texts that live for ever.
struct ShownSetting {
  std::string_view name;
  std::string value;
  std::string default_value;
  bool read_only = false;  // nothing else holds here, whatever is asked for
  SettingSource source = SettingSource::kDefault;
  SettingType type = SettingType::kString;
  std::string_view broker_name = {};  // what the broker's default is called; empty: there is none
  std::string_view documentation = {};
};

// All that a topic has. `batch_bytes`: what the broker takes of any topic.
std::vector<ShownSetting> shown_settings(const TopicConfig& config, std::size_t batch_bytes);

struct GivenSetting {
  std::string_view name;
  std::optional<std::string_view> value = {};  // kDelete has none
  SettingChange change = SettingChange::kSet;
};

// `before` with what is given, in any order; what is not given stays as it is. What is only a
// tuning of Kafka's own files is taken and has no effect; what promises something that does not
// hold here is refused. Errors: kInvalidConfig, naming the setting, what it may be, and why;
// kInvalidRequest for a name given twice, and for a change that means nothing for the setting.
Result<TopicConfig> with_settings(TopicConfig before, std::span<const GivenSetting> given,
                                  std::size_t batch_bytes);

}  // namespace leat::session
