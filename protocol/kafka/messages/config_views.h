// Settings of topics and brokers, as they are.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "protocol/kafka/api_table.h"
#include "protocol/kafka/description.h"
#include "protocol/kafka/error_code.h"

namespace leat::kafka {

struct DescribeConfigsRequest {
  static constexpr ApiKey kApi = ApiKey::kDescribeConfigs;

  struct Resource {
    std::int8_t resource_type = 0;  // 2: a topic, 4: a broker
    std::string_view resource_name;
    std::optional<std::vector<std::string_view>> configuration_keys;  // null: all

    static void fields(auto& v, auto& m) {
      v(m.resource_type);
      v(m.resource_name);
      v(m.configuration_keys);
    }
  };

  std::vector<Resource> resources;
  bool include_synonyms = false;
  bool include_documentation = false;

  static void fields(auto& v, auto& m) {
    v(m.resources);
    v(m.include_synonyms);
    v(m.include_documentation, {.since = 3});
  }
};

struct DescribeConfigsResponse {
  static constexpr ApiKey kApi = ApiKey::kDescribeConfigs;

  struct Resource {
    struct Config {
      struct Synonym {
        std::string_view name;
        std::optional<std::string_view> value;
        std::int8_t source = 0;

        static void fields(auto& v, auto& m) {
          v(m.name);
          v(m.value);
          v(m.source);
        }
      };

      std::string_view name;
      std::optional<std::string_view> value;
      bool read_only = false;
      std::int8_t config_source = -1;
      bool is_sensitive = false;
      std::vector<Synonym> synonyms;
      std::int8_t config_type = 0;
      std::optional<std::string_view> documentation;

      static void fields(auto& v, auto& m) {
        v(m.name);
        v(m.value);
        v(m.read_only);
        v(m.config_source);
        v(m.is_sensitive);
        v(m.synonyms);
        v(m.config_type, {.since = 3});
        v(m.documentation, {.since = 3});
      }
    };

    KafkaError error_code = KafkaError::kNone;
    std::optional<std::string_view> error_message;
    std::int8_t resource_type = 0;
    std::string_view resource_name;
    std::vector<Config> configs;

    static void fields(auto& v, auto& m) {
      v(m.error_code);
      v(m.error_message);
      v(m.resource_type);
      v(m.resource_name);
      v(m.configs);
    }
  };

  std::int32_t throttle_time_ms = 0;
  std::vector<Resource> results;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms);
    v(m.results);
  }
};

}  // namespace leat::kafka
