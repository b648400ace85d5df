// Which brokers and topics there are: how clients find their way.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "protocol/kafka/api_table.h"
#include "protocol/kafka/description.h"
#include "protocol/kafka/error_code.h"

namespace leat::kafka {

struct MetadataRequest {
  static constexpr ApiKey kApi = ApiKey::kMetadata;

  struct Topic {
    TopicId topic_id;
    std::optional<std::string_view> name;

    static void fields(auto& v, auto& m) {
      v(m.topic_id, {.since = 10});
      v(m.name, {.null_since = 10});
    }
  };

  std::optional<std::vector<Topic>> topics;  // null: all; in version 0 none means all
  bool allow_auto_topic_creation = true;
  bool include_cluster_authorized_operations = false;
  bool include_topic_authorized_operations = false;

  static void fields(auto& v, auto& m) {
    v(m.topics, {.null_since = 1});
    v(m.allow_auto_topic_creation, {.since = 4});
    v(m.include_cluster_authorized_operations, {.since = 8, .until = 10});
    v(m.include_topic_authorized_operations, {.since = 8});
  }
};

struct MetadataResponse {
  static constexpr ApiKey kApi = ApiKey::kMetadata;

  struct Broker {
    std::int32_t node_id = 0;
    std::string_view host;
    std::int32_t port = 0;
    std::optional<std::string_view> rack;

    static void fields(auto& v, auto& m) {
      v(m.node_id);
      v(m.host);
      v(m.port);
      v(m.rack, {.since = 1});
    }
  };

  struct Topic {
    struct Partition {
      KafkaError error_code = KafkaError::kNone;
      std::int32_t partition_index = 0;
      std::int32_t leader_id = 0;
      std::int32_t leader_epoch = -1;
      std::vector<std::int32_t> replica_nodes;
      std::vector<std::int32_t> isr_nodes;
      std::vector<std::int32_t> offline_replicas;

      static void fields(auto& v, auto& m) {
        v(m.error_code);
        v(m.partition_index);
        v(m.leader_id);
        v(m.leader_epoch, {.since = 7});
        v(m.replica_nodes);
        v(m.isr_nodes);
        v(m.offline_replicas, {.since = 5});
      }
    };

    KafkaError error_code = KafkaError::kNone;
    std::optional<std::string_view> name;
    TopicId topic_id;
    bool is_internal = false;
    std::vector<Partition> partitions;
    // A bit for each operation; the default says nothing of them.
    std::int32_t topic_authorized_operations = std::numeric_limits<std::int32_t>::min();

    static void fields(auto& v, auto& m) {
      v(m.error_code);
      v(m.name, {.null_since = 12});
      v(m.topic_id, {.since = 10});
      v(m.is_internal, {.since = 1});
      v(m.partitions);
      v(m.topic_authorized_operations, {.since = 8});
    }
  };

  std::int32_t throttle_time_ms = 0;
  std::vector<Broker> brokers;
  std::optional<std::string_view> cluster_id;
  std::int32_t controller_id = -1;
  std::vector<Topic> topics;
  std::int32_t cluster_authorized_operations = std::numeric_limits<std::int32_t>::min();
  KafkaError error_code = KafkaError::kNone;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms, {.since = 3});
    v(m.brokers);
    v(m.cluster_id, {.since = 2});
    v(m.controller_id, {.since = 1});
    v(m.topics);
    v(m.cluster_authorized_operations, {.since = 8, .until = 10});
    v(m.error_code, {.since = 13});
  }
};

}  // namespace leat::kafka
