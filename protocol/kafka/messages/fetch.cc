#include "protocol/kafka/messages/fetch.h"

#include "protocol/kafka/message_codec.h"

namespace leat::kafka {

LEAT_KAFKA_CODEC(Fetch);

}  // namespace leat::kafka
