// Which broker looks after a group.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "protocol/kafka/api_table.h"
#include "protocol/kafka/description.h"
#include "protocol/kafka/error_code.h"

namespace leat::kafka {

struct FindCoordinatorRequest {
  static constexpr ApiKey kApi = ApiKey::kFindCoordinator;

  std::string_view key;
  std::int8_t key_type = 0;  // 0: a group, 1: a transaction
  std::vector<std::string_view> coordinator_keys;

  static void fields(auto& v, auto& m) {
    v(m.key, {.until = 3});
    v(m.key_type, {.since = 1});
    v(m.coordinator_keys, {.since = 4});
  }
};

struct FindCoordinatorResponse {
  static constexpr ApiKey kApi = ApiKey::kFindCoordinator;

  struct Coordinator {
    std::string_view key;
    std::int32_t node_id = 0;
    std::string_view host;
    std::int32_t port = 0;
    KafkaError error_code = KafkaError::kNone;
    std::optional<std::string_view> error_message;

    static void fields(auto& v, auto& m) {
      v(m.key);
      v(m.node_id);
      v(m.host);
      v(m.port);
      v(m.error_code);
      v(m.error_message);
    }
  };

  std::int32_t throttle_time_ms = 0;
  KafkaError error_code = KafkaError::kNone;
  std::optional<std::string_view> error_message;
  std::int32_t node_id = 0;
  std::string_view host;
  std::int32_t port = 0;
  std::vector<Coordinator> coordinators;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms, {.since = 1});
    v(m.error_code, {.until = 3});
    v(m.error_message, {.since = 1, .until = 3});
    v(m.node_id, {.until = 3});
    v(m.host, {.until = 3});
    v(m.port, {.until = 3});
    v(m.coordinators, {.since = 4});
  }
};

}  // namespace leat::kafka
