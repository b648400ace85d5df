// Making topics, and deleting them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "protocol/kafka/api_table.h"
#include "protocol/kafka/description.h"
#include "protocol/kafka/error_code.h"

namespace leat::kafka {

struct CreateTopicsRequest {
  static constexpr ApiKey kApi = ApiKey::kCreateTopics;

  struct Topic {
    struct Assignment {
      std::int32_t partition_index = 0;
      std::vector<std::int32_t> broker_ids;

      static void fields(auto& v, auto& m) {
        v(m.partition_index);
        v(m.broker_ids);
      }
    };

    struct Config {
      std::string_view name;
      std::optional<std::string_view> value;

      static void fields(auto& v, auto& m) {
        v(m.name);
        v(m.value);
      }
    };

    std::string_view name;
    std::int32_t num_partitions = 0;  // -1, from version 4 on: as the broker likes
    std::int16_t replication_factor = 0;
    std::vector<Assignment> assignments;
    std::vector<Config> configs;

    static void fields(auto& v, auto& m) {
      v(m.name);
      v(m.num_partitions);
      v(m.replication_factor);
      v(m.assignments);
      v(m.configs);
    }
  };

  std::vector<Topic> topics;
  std::int32_t timeout_ms = 60000;
  bool validate_only = false;

  static void fields(auto& v, auto& m) {
    v(m.topics);
    v(m.timeout_ms);
    v(m.validate_only, {.since = 1});
  }
};

struct CreateTopicsResponse {
  static constexpr ApiKey kApi = ApiKey::kCreateTopics;

  struct Topic {
    struct Config {
      std::string_view name;
      std::optional<std::string_view> value;
      bool read_only = false;
      std::int8_t config_source = -1;
      bool is_sensitive = false;

      static void fields(auto& v, auto& m) {
        v(m.name);
        v(m.value);
        v(m.read_only);
        v(m.config_source);
        v(m.is_sensitive);
      }
    };

    std::string_view name;
    TopicId topic_id;
    KafkaError error_code = KafkaError::kNone;
    std::optional<std::string_view> error_message;
    KafkaError topic_config_error_code = KafkaError::kNone;
    std::int32_t num_partitions = -1;
    std::int16_t replication_factor = -1;
    std::optional<std::vector<Config>> configs;

    static void fields(auto& v, auto& m) {
      v(m.name);
      v(m.topic_id, {.since = 7});
      v(m.error_code);
      v(m.error_message, {.since = 1});
      v(m.num_partitions, {.since = 5});
      v(m.replication_factor, {.since = 5});
      v(m.configs, {.since = 5});
    }
    static void tags(auto& v) { v(0, &Topic::topic_config_error_code, {.since = 5}); }
  };

  std::int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms, {.since = 2});
    v(m.topics);
  }
};

struct DeleteTopicsRequest {
  static constexpr ApiKey kApi = ApiKey::kDeleteTopics;

  struct Topic {
    std::optional<std::string_view> name;
    TopicId topic_id;

    static void fields(auto& v, auto& m) {
      v(m.name);
      v(m.topic_id);
    }
  };

  std::vector<Topic> topics;
  std::vector<std::string_view> topic_names;
  std::int32_t timeout_ms = 0;

  static void fields(auto& v, auto& m) {
    v(m.topics, {.since = 6});
    v(m.topic_names, {.until = 5});
    v(m.timeout_ms);
  }
};

struct DeleteTopicsResponse {
  static constexpr ApiKey kApi = ApiKey::kDeleteTopics;

  struct Topic {
    std::optional<std::string_view> name;
    TopicId topic_id;
    KafkaError error_code = KafkaError::kNone;
    std::optional<std::string_view> error_message;

    static void fields(auto& v, auto& m) {
      v(m.name, {.null_since = 6});
      v(m.topic_id, {.since = 6});
      v(m.error_code);
      v(m.error_message, {.since = 5});
    }
  };

  std::int32_t throttle_time_ms = 0;
  std::vector<Topic> responses;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms, {.since = 1});
    v(m.responses);
  }
};

}  // namespace leat::kafka
