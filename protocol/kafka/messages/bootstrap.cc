#include "protocol/kafka/messages/bootstrap.h"

#include "protocol/kafka/message_codec.h"

namespace leat::kafka {

LEAT_KAFKA_CODEC(ApiVersions);
LEAT_KAFKA_CODEC(DescribeCluster);

}  // namespace leat::kafka
