#include "protocol/kafka/messages/membership.h"

#include "protocol/kafka/message_codec.h"

namespace leat::kafka {

LEAT_KAFKA_CODEC(JoinGroup);
LEAT_KAFKA_CODEC(SyncGroup);
LEAT_KAFKA_CODEC(Heartbeat);
LEAT_KAFKA_CODEC(LeaveGroup);

}  // namespace leat::kafka
