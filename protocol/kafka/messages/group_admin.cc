#include "protocol/kafka/messages/group_admin.h"

#include "protocol/kafka/message_codec.h"

namespace leat::kafka {

LEAT_KAFKA_CODEC(DescribeGroups);
LEAT_KAFKA_CODEC(ListGroups);
LEAT_KAFKA_CODEC(DeleteGroups);

}  // namespace leat::kafka
