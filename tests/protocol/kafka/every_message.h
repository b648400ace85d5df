// Every message of the table, for tests that hold for all of them: a new row is covered by being
// there.
#pragma once

#include "protocol/kafka/codec.h"
#include "protocol/kafka/messages/bootstrap.h"
#include "protocol/kafka/messages/config_changes.h"
#include "protocol/kafka/messages/config_views.h"
#include "protocol/kafka/messages/coordinators.h"
#include "protocol/kafka/messages/fetch.h"
#include "protocol/kafka/messages/group_admin.h"
#include "protocol/kafka/messages/log_offsets.h"
#include "protocol/kafka/messages/membership.h"
#include "protocol/kafka/messages/metadata.h"
#include "protocol/kafka/messages/offset_commits.h"
#include "protocol/kafka/messages/offset_fetch.h"
#include "protocol/kafka/messages/partition_admin.h"
#include "protocol/kafka/messages/produce.h"
#include "protocol/kafka/messages/topic_admin.h"
#include "protocol/kafka/messages/topic_views.h"

namespace leat::kafka {

// Calls visit.operator()<Message>(name): all requests and responses.
template <class Visit>
void for_each_message(Visit&& visit) {
#define LEAT_KAFKA_VISIT(name, key, lowest, highest, flexible) \
  visit.template operator()<name##Request>(#name "Request");   \
  visit.template operator()<name##Response>(#name "Response");
  LEAT_KAFKA_APIS(LEAT_KAFKA_VISIT)
#undef LEAT_KAFKA_VISIT
}

}  // namespace leat::kafka
