#include "protocol/kafka/messages/coordinators.h"

#include "protocol/kafka/message_codec.h"

namespace leat::kafka {

LEAT_KAFKA_CODEC(FindCoordinator);

}  // namespace leat::kafka
