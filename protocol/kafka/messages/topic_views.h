// Looking at topics, page by page, and at what they take on the disk.
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

// Where a page of DescribeTopicPartitions ends and the next begins.
struct Cursor {
  std::string_view topic_name;
  std::int32_t partition_index = 0;

  static void fields(auto& v, auto& m) {
    v(m.topic_name);
    v(m.partition_index);
  }
};

struct DescribeTopicPartitionsRequest {
  static constexpr ApiKey kApi = ApiKey::kDescribeTopicPartitions;

  struct Topic {
    std::string_view name;

    static void fields(auto& v, auto& m) { v(m.name); }
  };

  std::vector<Topic> topics;
  std::int32_t response_partition_limit = 2000;
  std::optional<Cursor> cursor;

  static void fields(auto& v, auto& m) {
    v(m.topics);
    v(m.response_partition_limit);
    v(m.cursor);
  }
};

struct DescribeTopicPartitionsResponse {
  static constexpr ApiKey kApi = ApiKey::kDescribeTopicPartitions;

  struct Topic {
    struct Partition {
      KafkaError error_code = KafkaError::kNone;
      std::int32_t partition_index = 0;
      std::int32_t leader_id = 0;
      std::int32_t leader_epoch = -1;
      std::vector<std::int32_t> replica_nodes;
      std::vector<std::int32_t> isr_nodes;
      std::optional<std::vector<std::int32_t>> eligible_leader_replicas;
      std::optional<std::vector<std::int32_t>> last_known_elr;
      std::vector<std::int32_t> offline_replicas;

      static void fields(auto& v, auto& m) {
        v(m.error_code);
        v(m.partition_index);
        v(m.leader_id);
        v(m.leader_epoch);
        v(m.replica_nodes);
        v(m.isr_nodes);
        v(m.eligible_leader_replicas);
        v(m.last_known_elr);
        v(m.offline_replicas);
      }
    };

    KafkaError error_code = KafkaError::kNone;
    std::optional<std::string_view> name;
    TopicId topic_id;
    bool is_internal = false;
    std::vector<Partition> partitions;
    std::int32_t topic_authorized_operations = std::numeric_limits<std::int32_t>::min();

    static void fields(auto& v, auto& m) {
      v(m.error_code);
      v(m.name);
      v(m.topic_id);
      v(m.is_internal);
      v(m.partitions);
      v(m.topic_authorized_operations);
    }
  };

  std::int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;
  std::optional<Cursor> next_cursor;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms);
    v(m.topics);
    v(m.next_cursor);
  }
};

struct DescribeLogDirsRequest {
  static constexpr ApiKey kApi = ApiKey::kDescribeLogDirs;

  struct Topic {
    std::string_view topic;
    std::vector<std::int32_t> partitions;

    static void fields(auto& v, auto& m) {
      v(m.topic);
      v(m.partitions);
    }
  };

  std::optional<std::vector<Topic>> topics;  // null: all

  static void fields(auto& v, auto& m) { v(m.topics); }
};

struct DescribeLogDirsResponse {
  static constexpr ApiKey kApi = ApiKey::kDescribeLogDirs;

  struct LogDir {
    struct Topic {
      struct Partition {
        std::int32_t partition_index = 0;
        std::int64_t partition_size = 0;
        std::int64_t offset_lag = 0;
        bool is_future_key = false;

        static void fields(auto& v, auto& m) {
          v(m.partition_index);
          v(m.partition_size);
          v(m.offset_lag);
          v(m.is_future_key);
        }
      };

      std::string_view name;
      std::vector<Partition> partitions;

      static void fields(auto& v, auto& m) {
        v(m.name);
        v(m.partitions);
      }
    };

    KafkaError error_code = KafkaError::kNone;
    std::string_view log_dir;
    std::vector<Topic> topics;
    std::int64_t total_bytes = -1;
    std::int64_t usable_bytes = -1;

    static void fields(auto& v, auto& m) {
      v(m.error_code);
      v(m.log_dir);
      v(m.topics);
      v(m.total_bytes, {.since = 4});
      v(m.usable_bytes, {.since = 4});
    }
  };

  std::int32_t throttle_time_ms = 0;
  KafkaError error_code = KafkaError::kNone;
  std::vector<LogDir> results;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms);
    v(m.error_code, {.since = 3});
    v(m.results);
  }
};

}  // namespace leat::kafka
