#include "protocol/kafka/messages/config_changes.h"

#include "protocol/kafka/message_codec.h"

namespace leat::kafka {

LEAT_KAFKA_CODEC(AlterConfigs);
LEAT_KAFKA_CODEC(IncrementalAlterConfigs);

}  // namespace leat::kafka
