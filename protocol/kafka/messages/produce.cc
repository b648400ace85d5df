#include "protocol/kafka/messages/produce.h"

#include "protocol/kafka/message_codec.h"

namespace leat::kafka {

LEAT_KAFKA_CODEC(Produce);
LEAT_KAFKA_CODEC(InitProducerId);

}  // namespace leat::kafka
