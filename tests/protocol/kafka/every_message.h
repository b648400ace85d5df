// Every message of the table, for tests that hold for all of them: a new row is covered by being
// there.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

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

// The same with every version: visit.operator()<Message>(version), failures saying which.
template <class Visit>
void for_each_version(Visit&& visit) {
  for_each_message([&]<class Message>(const char* name) {
    const ApiInfo& api = api_info(Message::kApi);
    for (std::int16_t version = api.lowest; version <= api.highest; ++version) {
      SCOPED_TRACE(std::string(name) + " " + std::to_string(version));
      visit.template operator()<Message>(version);
    }
  });
}

// What encoding must give.
template <class Message>
std::vector<std::byte> encoded(const Message& message, std::int16_t version) {
  std::vector<std::byte> bytes;
  const auto ok = encode(message, version, bytes);
  EXPECT_TRUE(ok) << ok.error().message();
  return bytes;
}

// Room for whatever the tests decode.
inline constexpr std::size_t kPlenty = 16 << 20;

}  // namespace leat::kafka
