// Topics as the configuration file and the command line declare them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <toml++/toml.h>

#include "protocol/base/result.h"
#include "server/broker/declared_topics.h"

namespace leat {

// "orders" or "orders:3". Error: kUsage.
Result<broker::TopicDeclaration> parse_topic(std::string_view text);

// What stands under `topics` in the file that messages call `name`. Errors: kUsage, with line and
// column.
Result<std::vector<broker::TopicDeclaration>> topics_of(const toml::node& node,
                                                        const std::string& name);

// The same as a file has it, each behind [[topics]].
std::string topics_toml(std::span<const broker::TopicDeclaration> topics);

}  // namespace leat
