#include "protocol/kafka/messages/metadata.h"

#include "protocol/kafka/message_codec.h"

namespace leat::kafka {

LEAT_KAFKA_CODEC(Metadata);

}  // namespace leat::kafka
