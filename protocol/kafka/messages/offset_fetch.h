// How far groups are.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "protocol/kafka/api_table.h"
#include "protocol/kafka/description.h"
#include "protocol/kafka/error_code.h"

namespace leat::kafka {

struct OffsetFetchRequest {
  static constexpr ApiKey kApi = ApiKey::kOffsetFetch;

  struct Topic {
    std::string_view name;
    std::vector<std::int32_t> partition_indexes;

    static void fields(auto& v, auto& m) {
      v(m.name);
      v(m.partition_indexes);
    }
  };

  struct Group {
    struct Topic {
      std::string_view name;
      TopicId topic_id;
      std::vector<std::int32_t> partition_indexes;

      static void fields(auto& v, auto& m) {
        v(m.name, {.until = 9});
        v(m.topic_id, {.since = 10});
        v(m.partition_indexes);
      }
    };

    std::string_view group_id;
    std::optional<std::string_view> member_id;
    std::int32_t member_epoch = -1;
    std::optional<std::vector<Topic>> topics;

    static void fields(auto& v, auto& m) {
      v(m.group_id);
      v(m.member_id, {.since = 9});
      v(m.member_epoch, {.since = 9});
      v(m.topics);
    }
  };

  std::string_view group_id;
  std::optional<std::vector<Topic>> topics;
  std::vector<Group> groups;
  bool require_stable = false;

  static void fields(auto& v, auto& m) {
    v(m.group_id, {.until = 7});
    v(m.topics, {.until = 7, .null_since = 2});
    v(m.groups, {.since = 8});
    v(m.require_stable, {.since = 7});
  }
};

struct OffsetFetchResponse {
  static constexpr ApiKey kApi = ApiKey::kOffsetFetch;

  struct Topic {
    struct Partition {
      std::int32_t partition_index = 0;
      std::int64_t committed_offset = 0;
      std::int32_t committed_leader_epoch = -1;
      std::optional<std::string_view> metadata;
      KafkaError error_code = KafkaError::kNone;

      static void fields(auto& v, auto& m) {
        v(m.partition_index);
        v(m.committed_offset);
        v(m.committed_leader_epoch, {.since = 5});
        v(m.metadata);
        v(m.error_code);
      }
    };

    std::string_view name;
    std::vector<Partition> partitions;

    static void fields(auto& v, auto& m) {
      v(m.name);
      v(m.partitions);
    }
  };

  struct Group {
    struct Topic {
      struct Partition {
        std::int32_t partition_index = 0;
        std::int64_t committed_offset = 0;
        std::int32_t committed_leader_epoch = -1;
        std::optional<std::string_view> metadata;
        KafkaError error_code = KafkaError::kNone;

        static void fields(auto& v, auto& m) {
          v(m.partition_index);
          v(m.committed_offset);
          v(m.committed_leader_epoch);
          v(m.metadata);
          v(m.error_code);
        }
      };

      std::string_view name;
      TopicId topic_id;
      std::vector<Partition> partitions;

      static void fields(auto& v, auto& m) {
        v(m.name, {.until = 9});
        v(m.topic_id, {.since = 10});
        v(m.partitions);
      }
    };

    std::string_view group_id;
    std::vector<Topic> topics;
    KafkaError error_code = KafkaError::kNone;

    static void fields(auto& v, auto& m) {
      v(m.group_id);
      v(m.topics);
      v(m.error_code);
    }
  };

  std::int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;
  KafkaError error_code = KafkaError::kNone;
  std::vector<Group> groups;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms, {.since = 3});
    v(m.topics, {.until = 7});
    v(m.error_code, {.since = 2, .until = 7});
    v(m.groups, {.since = 8});
  }
};

}  // namespace leat::kafka
