#include "protocol/kafka/messages/offset_commits.h"

#include "protocol/kafka/message_codec.h"

namespace leat::kafka {

LEAT_KAFKA_CODEC(OffsetCommit);
LEAT_KAFKA_CODEC(OffsetDelete);

}  // namespace leat::kafka
