// Settings of topics and brokers are changed, all of a resource's or some.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "protocol/kafka/api_table.h"
#include "protocol/kafka/description.h"
#include "protocol/kafka/error_code.h"

namespace leat::kafka {

struct AlterConfigsRequest {
  static constexpr ApiKey kApi = ApiKey::kAlterConfigs;

  struct Resource {
    struct Config {
      std::string_view name;
      std::optional<std::string_view> value;

      static void fields(auto& v, auto& m) {
        v(m.name);
        v(m.value);
      }
    };

    std::int8_t resource_type = 0;
    std::string_view resource_name;
    std::vector<Config> configs;

    static void fields(auto& v, auto& m) {
      v(m.resource_type);
      v(m.resource_name);
      v(m.configs);
    }
  };

  std::vector<Resource> resources;
  bool validate_only = false;

  static void fields(auto& v, auto& m) {
    v(m.resources);
    v(m.validate_only);
  }
};

struct AlterConfigsResponse {
  static constexpr ApiKey kApi = ApiKey::kAlterConfigs;

  struct Resource {
    KafkaError error_code = KafkaError::kNone;
    std::optional<std::string_view> error_message;
    std::int8_t resource_type = 0;
    std::string_view resource_name;

    static void fields(auto& v, auto& m) {
      v(m.error_code);
      v(m.error_message);
      v(m.resource_type);
      v(m.resource_name);
    }
  };

  std::int32_t throttle_time_ms = 0;
  std::vector<Resource> responses;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms);
    v(m.responses);
  }
};

struct IncrementalAlterConfigsRequest {
  static constexpr ApiKey kApi = ApiKey::kIncrementalAlterConfigs;

  struct Resource {
    struct Config {
      std::string_view name;
      std::int8_t config_operation = 0;  // 0: set, 1: delete, 2: append, 3: subtract
      std::optional<std::string_view> value;

      static void fields(auto& v, auto& m) {
        v(m.name);
        v(m.config_operation);
        v(m.value);
      }
    };

    std::int8_t resource_type = 0;
    std::string_view resource_name;
    std::vector<Config> configs;

    static void fields(auto& v, auto& m) {
      v(m.resource_type);
      v(m.resource_name);
      v(m.configs);
    }
  };

  std::vector<Resource> resources;
  bool validate_only = false;

  static void fields(auto& v, auto& m) {
    v(m.resources);
    v(m.validate_only);
  }
};

struct IncrementalAlterConfigsResponse {
  static constexpr ApiKey kApi = ApiKey::kIncrementalAlterConfigs;

  struct Resource {
    KafkaError error_code = KafkaError::kNone;
    std::optional<std::string_view> error_message;
    std::int8_t resource_type = 0;
    std::string_view resource_name;

    static void fields(auto& v, auto& m) {
      v(m.error_code);
      v(m.error_message);
      v(m.resource_type);
      v(m.resource_name);
    }
  };

  std::int32_t throttle_time_ms = 0;
  std::vector<Resource> responses;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms);
    v(m.responses);
  }
};

}  // namespace leat::kafka
