#include "protocol/kafka/messages/topic_admin.h"

#include "protocol/kafka/message_codec.h"

namespace leat::kafka {

LEAT_KAFKA_CODEC(CreateTopics);
LEAT_KAFKA_CODEC(DeleteTopics);

}  // namespace leat::kafka
