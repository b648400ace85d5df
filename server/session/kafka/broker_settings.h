// What Kafka's admins see of the broker's own settings. All are read-only: leatd's configuration
// file and flags say them, at its start.
#pragma once

#include <vector>

#include "server/broker/broker_options.h"
#include "server/session/kafka/topic_settings.h"

namespace leat::session {

// Those that have a name in Kafka. `node`: the broker's id.
std::vector<ShownSetting> broker_settings(const broker::BrokerOptions& options, std::int32_t node);

}  // namespace leat::session
