#include "protocol/kafka/messages/log_offsets.h"

#include "protocol/kafka/message_codec.h"

namespace leat::kafka {

LEAT_KAFKA_CODEC(ListOffsets);
LEAT_KAFKA_CODEC(OffsetForLeaderEpoch);

}  // namespace leat::kafka
