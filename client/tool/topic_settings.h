// A topic's settings as people write and read them: one table, for the flags of `leat topic create`
// and `edit` and for what `info` shows.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "protocol/base/result.h"
#include "protocol/topic_config.h"

namespace leat::tool {

struct TopicSetting {
  const char* name;   // "retention-bytes"; the flag is --retention-bytes
  const char* takes;  // what it may be, for who wrote something else
  const char* help;
  bool (*set)(std::string_view text, TopicConfig& config);
  std::string (*text)(const TopicConfig& config);  // as `set` takes it
};
std::span<const TopicSetting> topic_settings();

// What was given, by name; a setting that was not stays as it is.
using GivenSettings = std::map<std::string, std::string>;
// Error: kUsage, naming the flag and what it takes.
Result<TopicConfig> with_settings(TopicConfig config, const GivenSettings& given);

// "durability":"sync","cleanup":"delete",…: for scripts; where there is no limit, null.
std::string settings_json(const TopicConfig& config);

}  // namespace leat::tool
