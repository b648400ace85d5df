#include "protocol/kafka/messages/topic_views.h"

#include "protocol/kafka/message_codec.h"

namespace leat::kafka {

LEAT_KAFKA_CODEC(DescribeTopicPartitions);
LEAT_KAFKA_CODEC(DescribeLogDirs);

}  // namespace leat::kafka
