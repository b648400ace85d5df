#include "protocol/kafka/messages/config_views.h"

#include "protocol/kafka/message_codec.h"

namespace leat::kafka {

LEAT_KAFKA_CODEC(DescribeConfigs);

}  // namespace leat::kafka
