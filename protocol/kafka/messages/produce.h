// How records come in, and ids for producers that send each once.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "protocol/kafka/api_table.h"
#include "protocol/kafka/description.h"
#include "protocol/kafka/error_code.h"
#include "protocol/kafka/messages/leaders.h"

namespace leat::kafka {

struct ProduceRequest {
  static constexpr ApiKey kApi = ApiKey::kProduce;

  struct Topic {
    struct Partition {
      std::int32_t index = 0;
      std::optional<Bytes> records;  // from version 3 on one batch of magic 2

      static void fields(auto& v, auto& m) {
        v(m.index);
        v(m.records);
      }
    };

    std::string_view name;
    TopicId topic_id;
    std::vector<Partition> partition_data;

    static void fields(auto& v, auto& m) {
      v(m.name, {.until = 12});
      v(m.topic_id, {.since = 13});
      v(m.partition_data);
    }
  };

  std::optional<std::string_view> transactional_id;
  std::int16_t acks = 0;  // 0: no response at all, 1: the leader's, -1: of all in sync
  std::int32_t timeout_ms = 0;
  std::vector<Topic> topic_data;

  static void fields(auto& v, auto& m) {
    v(m.transactional_id, {.since = 3});
    v(m.acks);
    v(m.timeout_ms);
    v(m.topic_data);
  }
};

struct ProduceResponse {
  static constexpr ApiKey kApi = ApiKey::kProduce;

  struct Topic {
    struct Partition {
      struct RecordError {
        std::int32_t batch_index = 0;
        std::optional<std::string_view> batch_index_error_message;

        static void fields(auto& v, auto& m) {
          v(m.batch_index);
          v(m.batch_index_error_message);
        }
      };

      std::int32_t index = 0;
      KafkaError error_code = KafkaError::kNone;
      std::int64_t base_offset = 0;
      std::int64_t log_append_time_ms = -1;
      std::int64_t log_start_offset = -1;
      std::vector<RecordError> record_errors;
      std::optional<std::string_view> error_message;
      LeaderIdAndEpoch current_leader;

      static void fields(auto& v, auto& m) {
        v(m.index);
        v(m.error_code);
        v(m.base_offset);
        v(m.log_append_time_ms, {.since = 2});
        v(m.log_start_offset, {.since = 5});
        v(m.record_errors, {.since = 8});
        v(m.error_message, {.since = 8});
      }
      static void tags(auto& v) { v(0, &Partition::current_leader, {.since = 10}); }
    };

    std::string_view name;
    TopicId topic_id;
    std::vector<Partition> partition_responses;

    static void fields(auto& v, auto& m) {
      v(m.name, {.until = 12});
      v(m.topic_id, {.since = 13});
      v(m.partition_responses);
    }
  };

  std::vector<Topic> responses;
  std::int32_t throttle_time_ms = 0;
  std::vector<NodeEndpoint> node_endpoints;

  static void fields(auto& v, auto& m) {
    v(m.responses);
    v(m.throttle_time_ms, {.since = 1});
  }
  static void tags(auto& v) { v(0, &ProduceResponse::node_endpoints, {.since = 10}); }
};

struct InitProducerIdRequest {
  static constexpr ApiKey kApi = ApiKey::kInitProducerId;

  std::optional<std::string_view> transactional_id;  // null: idempotent only
  std::int32_t transaction_timeout_ms = 0;
  std::int64_t producer_id = -1;
  std::int16_t producer_epoch = -1;

  static void fields(auto& v, auto& m) {
    v(m.transactional_id);
    v(m.transaction_timeout_ms);
    v(m.producer_id, {.since = 3});
    v(m.producer_epoch, {.since = 3});
  }
};

struct InitProducerIdResponse {
  static constexpr ApiKey kApi = ApiKey::kInitProducerId;

  std::int32_t throttle_time_ms = 0;
  KafkaError error_code = KafkaError::kNone;
  std::int64_t producer_id = -1;
  std::int16_t producer_epoch = 0;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms);
    v(m.error_code);
    v(m.producer_id);
    v(m.producer_epoch);
  }
};

}  // namespace leat::kafka
