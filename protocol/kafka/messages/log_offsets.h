// Where a partition begins, ends, was at a time, or ended in an epoch.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "protocol/kafka/api_table.h"
#include "protocol/kafka/description.h"
#include "protocol/kafka/error_code.h"

namespace leat::kafka {

struct ListOffsetsRequest {
  static constexpr ApiKey kApi = ApiKey::kListOffsets;

  struct Topic {
    struct Partition {
      std::int32_t partition_index = 0;
      std::int32_t current_leader_epoch = -1;
      // Milliseconds since 1970; -1: the end, -2: the start, -3: the newest time, -4 and -5: of
      // what lies on this broker's disk or elsewhere.
      std::int64_t timestamp = 0;

      static void fields(auto& v, auto& m) {
        v(m.partition_index);
        v(m.current_leader_epoch, {.since = 4});
        v(m.timestamp);
      }
    };

    std::string_view name;
    std::vector<Partition> partitions;

    static void fields(auto& v, auto& m) {
      v(m.name);
      v(m.partitions);
    }
  };

  std::int32_t replica_id = 0;
  std::int8_t isolation_level = 0;
  std::vector<Topic> topics;
  std::int32_t timeout_ms = 0;

  static void fields(auto& v, auto& m) {
    v(m.replica_id);
    v(m.isolation_level, {.since = 2});
    v(m.topics);
    v(m.timeout_ms, {.since = 10});
  }
};

struct ListOffsetsResponse {
  static constexpr ApiKey kApi = ApiKey::kListOffsets;

  struct Topic {
    struct Partition {
      std::int32_t partition_index = 0;
      KafkaError error_code = KafkaError::kNone;
      std::int64_t timestamp = -1;
      std::int64_t offset = -1;
      std::int32_t leader_epoch = -1;

      static void fields(auto& v, auto& m) {
        v(m.partition_index);
        v(m.error_code);
        v(m.timestamp);
        v(m.offset);
        v(m.leader_epoch, {.since = 4});
      }
    };

    std::string_view name;
    std::vector<Partition> partitions;

    static void fields(auto& v, auto& m) {
      v(m.name);
      v(m.partitions);
    }
  };

  std::int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms, {.since = 2});
    v(m.topics);
  }
};

struct OffsetForLeaderEpochRequest {
  static constexpr ApiKey kApi = ApiKey::kOffsetForLeaderEpoch;

  struct Topic {
    struct Partition {
      std::int32_t partition = 0;
      std::int32_t current_leader_epoch = -1;
      std::int32_t leader_epoch = 0;

      static void fields(auto& v, auto& m) {
        v(m.partition);
        v(m.current_leader_epoch);
        v(m.leader_epoch);
      }
    };

    std::string_view topic;
    std::vector<Partition> partitions;

    static void fields(auto& v, auto& m) {
      v(m.topic);
      v(m.partitions);
    }
  };

  std::int32_t replica_id = -2;
  std::vector<Topic> topics;

  static void fields(auto& v, auto& m) {
    v(m.replica_id, {.since = 3});
    v(m.topics);
  }
};

struct OffsetForLeaderEpochResponse {
  static constexpr ApiKey kApi = ApiKey::kOffsetForLeaderEpoch;

  struct Topic {
    struct Partition {
      KafkaError error_code = KafkaError::kNone;
      std::int32_t partition = 0;
      std::int32_t leader_epoch = -1;
      std::int64_t end_offset = -1;

      static void fields(auto& v, auto& m) {
        v(m.error_code);
        v(m.partition);
        v(m.leader_epoch);
        v(m.end_offset);
      }
    };

    std::string_view topic;
    std::vector<Partition> partitions;

    static void fields(auto& v, auto& m) {
      v(m.topic);
      v(m.partitions);
    }
  };

  std::int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms);
    v(m.topics);
  }
};

}  // namespace leat::kafka
