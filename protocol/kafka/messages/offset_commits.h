// Groups write down how far they are, and forget it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "protocol/kafka/api_table.h"
#include "protocol/kafka/description.h"
#include "protocol/kafka/error_code.h"

namespace leat::kafka {

struct OffsetCommitRequest {
  static constexpr ApiKey kApi = ApiKey::kOffsetCommit;

  struct Topic {
    struct Partition {
      std::int32_t partition_index = 0;
      std::int64_t committed_offset = 0;
      std::int32_t committed_leader_epoch = -1;
      std::optional<std::string_view> committed_metadata;  // goes back as it came

      static void fields(auto& v, auto& m) {
        v(m.partition_index);
        v(m.committed_offset);
        v(m.committed_leader_epoch, {.since = 6});
        v(m.committed_metadata);
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
  std::int32_t generation_id_or_member_epoch = -1;
  std::string_view member_id;
  std::optional<std::string_view> group_instance_id;
  std::int64_t retention_time_ms = -1;
  std::vector<Topic> topics;

  static void fields(auto& v, auto& m) {
    v(m.group_id);
    v(m.generation_id_or_member_epoch);
    v(m.member_id);
    v(m.group_instance_id, {.since = 7});
    v(m.retention_time_ms, {.until = 4});
    v(m.topics);
  }
};

struct OffsetCommitResponse {
  static constexpr ApiKey kApi = ApiKey::kOffsetCommit;

  struct Topic {
    struct Partition {
      std::int32_t partition_index = 0;
      KafkaError error_code = KafkaError::kNone;

      static void fields(auto& v, auto& m) {
        v(m.partition_index);
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

  std::int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms, {.since = 3});
    v(m.topics);
  }
};

struct OffsetDeleteRequest {
  static constexpr ApiKey kApi = ApiKey::kOffsetDelete;

  struct Topic {
    struct Partition {
      std::int32_t partition_index = 0;

      static void fields(auto& v, auto& m) { v(m.partition_index); }
    };

    std::string_view name;
    std::vector<Partition> partitions;

    static void fields(auto& v, auto& m) {
      v(m.name);
      v(m.partitions);
    }
  };

  std::string_view group_id;
  std::vector<Topic> topics;

  static void fields(auto& v, auto& m) {
    v(m.group_id);
    v(m.topics);
  }
};

struct OffsetDeleteResponse {
  static constexpr ApiKey kApi = ApiKey::kOffsetDelete;

  struct Topic {
    struct Partition {
      std::int32_t partition_index = 0;
      KafkaError error_code = KafkaError::kNone;

      static void fields(auto& v, auto& m) {
        v(m.partition_index);
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

  KafkaError error_code = KafkaError::kNone;
  std::int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;

  static void fields(auto& v, auto& m) {
    v(m.error_code);
    v(m.throttle_time_ms);
    v(m.topics);
  }
};

}  // namespace leat::kafka
