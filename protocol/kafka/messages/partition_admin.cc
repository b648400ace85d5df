#include "protocol/kafka/messages/partition_admin.h"

#include "protocol/kafka/message_codec.h"

namespace leat::kafka {

LEAT_KAFKA_CODEC(CreatePartitions);
LEAT_KAFKA_CODEC(DeleteRecords);

}  // namespace leat::kafka
