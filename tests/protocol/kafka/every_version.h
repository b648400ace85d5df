// What tests of all messages share.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/protocol/kafka/every_message.h"

namespace leat::kafka {

// Every message in every version: visit.operator()<Message>(version), failures saying which.
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
