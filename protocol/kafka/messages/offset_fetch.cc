#include "protocol/kafka/messages/offset_fetch.h"

#include "protocol/kafka/message_codec.h"

namespace leat::kafka {

LEAT_KAFKA_CODEC(OffsetFetch);

}  // namespace leat::kafka
