// What the members of a consumer group say they read: the one part of what members tell each other
// that a broker of Kafka looks into.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "server/broker/classic/classic_group.h"

namespace leat::session {

using SubscribedTopics = std::set<std::string, std::less<>>;

// Of all members; nullopt: the group has some that are no consumers, or whose words make no sense.
std::optional<SubscribedTopics> subscribed_topics(const broker::ClassicGroup& group);

}  // namespace leat::session
