// More partitions, and fewer records.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "protocol/kafka/api_table.h"
#include "protocol/kafka/description.h"
#include "protocol/kafka/error_code.h"

namespace leat::kafka {

struct CreatePartitionsRequest {
  static constexpr ApiKey kApi = ApiKey::kCreatePartitions;

  struct Topic {
    struct Assignment {
      std::vector<std::int32_t> broker_ids;

      static void fields(auto& v, auto& m) { v(m.broker_ids); }
    };

    std::string_view name;
    std::int32_t count = 0;
    std::optional<std::vector<Assignment>> assignments;

    static void fields(auto& v, auto& m) {
      v(m.name);
      v(m.count);
      v(m.assignments);
    }
  };

  std::vector<Topic> topics;
  std::int32_t timeout_ms = 0;
  bool validate_only = false;

  static void fields(auto& v, auto& m) {
    v(m.topics);
    v(m.timeout_ms);
    v(m.validate_only);
  }
};

struct CreatePartitionsResponse {
  static constexpr ApiKey kApi = ApiKey::kCreatePartitions;

  struct Topic {
    std::string_view name;
    KafkaError error_code = KafkaError::kNone;
    std::optional<std::string_view> error_message;

    static void fields(auto& v, auto& m) {
      v(m.name);
      v(m.error_code);
      v(m.error_message);
    }
  };

  std::int32_t throttle_time_ms = 0;
  std::vector<Topic> results;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms);
    v(m.results);
  }
};

struct DeleteRecordsRequest {
  static constexpr ApiKey kApi = ApiKey::kDeleteRecords;

  struct Topic {
    struct Partition {
      std::int32_t partition_index = 0;
      std::int64_t offset = 0;

      static void fields(auto& v, auto& m) {
        v(m.partition_index);
        v(m.offset);
      }
    };

    std::string_view name;
    std::vector<Partition> partitions;

    static void fields(auto& v, auto& m) {
      v(m.name);
      v(m.partitions);
    }
  };

  std::vector<Topic> topics;
  std::int32_t timeout_ms = 0;

  static void fields(auto& v, auto& m) {
    v(m.topics);
    v(m.timeout_ms);
  }
};

struct DeleteRecordsResponse {
  static constexpr ApiKey kApi = ApiKey::kDeleteRecords;

  struct Topic {
    struct Partition {
      std::int32_t partition_index = 0;
      std::int64_t low_watermark = 0;
      KafkaError error_code = KafkaError::kNone;

      static void fields(auto& v, auto& m) {
        v(m.partition_index);
        v(m.low_watermark);
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

  std::int32_t throttle_time_ms = 0;
  std::vector<Topic> topics;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms);
    v(m.topics);
  }
};

}  // namespace leat::kafka
