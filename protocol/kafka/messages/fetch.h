// How records go out.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "protocol/kafka/api_table.h"
#include "protocol/kafka/description.h"
#include "protocol/kafka/error_code.h"
#include "protocol/kafka/messages/leaders.h"

namespace leat::kafka {

struct FetchRequest {
  static constexpr ApiKey kApi = ApiKey::kFetch;

  struct ReplicaState {
    std::int32_t replica_id = -1;
    std::int64_t replica_epoch = -1;

    static void fields(auto& v, auto& m) {
      v(m.replica_id);
      v(m.replica_epoch);
    }
    bool operator==(const ReplicaState&) const = default;
  };

  struct Topic {
    struct Partition {
      std::int32_t partition = 0;
      std::int32_t current_leader_epoch = -1;
      std::int64_t fetch_offset = 0;
      std::int32_t last_fetched_epoch = -1;
      std::int64_t log_start_offset = -1;
      std::int32_t partition_max_bytes = 0;
      Uuid replica_directory_id{};
      std::int64_t high_watermark = std::numeric_limits<std::int64_t>::max();

      static void fields(auto& v, auto& m) {
        v(m.partition);
        v(m.current_leader_epoch, {.since = 9});
        v(m.fetch_offset);
        v(m.last_fetched_epoch, {.since = 12});
        v(m.log_start_offset, {.since = 5});
        v(m.partition_max_bytes);
      }
      static void tags(auto& v) {
        v(0, &Partition::replica_directory_id, {.since = 17});
        v(1, &Partition::high_watermark, {.since = 18});
      }
    };

    std::string_view topic;
    TopicId topic_id;
    std::vector<Partition> partitions;

    static void fields(auto& v, auto& m) {
      v(m.topic, {.until = 12});
      v(m.topic_id, {.since = 13});
      v(m.partitions);
    }
  };

  struct ForgottenTopic {
    std::string_view topic;
    TopicId topic_id;
    std::vector<std::int32_t> partitions;

    static void fields(auto& v, auto& m) {
      v(m.topic, {.until = 12});
      v(m.topic_id, {.since = 13});
      v(m.partitions);
    }
  };

  std::optional<std::string_view> cluster_id;
  std::int32_t replica_id = -1;  // -1: a consumer
  ReplicaState replica_state;
  std::int32_t max_wait_ms = 0;
  std::int32_t min_bytes = 0;
  std::int32_t max_bytes = std::numeric_limits<std::int32_t>::max();
  std::int8_t isolation_level = 0;  // 0: uncommitted too, 1: committed only
  std::int32_t session_id = 0;
  std::int32_t session_epoch = -1;  // -1: without a session, 0: begin one
  std::vector<Topic> topics;
  std::vector<ForgottenTopic> forgotten_topics_data;  // leave the session
  std::string_view rack_id;

  static void fields(auto& v, auto& m) {
    v(m.replica_id, {.until = 14});
    v(m.max_wait_ms);
    v(m.min_bytes);
    v(m.max_bytes);
    v(m.isolation_level);
    v(m.session_id, {.since = 7});
    v(m.session_epoch, {.since = 7});
    v(m.topics);
    v(m.forgotten_topics_data, {.since = 7});
    v(m.rack_id, {.since = 11});
  }
  static void tags(auto& v) {
    v(0, &FetchRequest::cluster_id, {.since = 12});
    v(1, &FetchRequest::replica_state, {.since = 15});
  }
};

struct FetchResponse {
  static constexpr ApiKey kApi = ApiKey::kFetch;

  struct Topic {
    struct Partition {
      struct EpochEndOffset {
        std::int32_t epoch = -1;
        std::int64_t end_offset = -1;

        static void fields(auto& v, auto& m) {
          v(m.epoch);
          v(m.end_offset);
        }
        bool operator==(const EpochEndOffset&) const = default;
      };

      struct SnapshotId {
        std::int64_t end_offset = -1;
        std::int32_t epoch = -1;

        static void fields(auto& v, auto& m) {
          v(m.end_offset);
          v(m.epoch);
        }
        bool operator==(const SnapshotId&) const = default;
      };

      struct AbortedTransaction {
        std::int64_t producer_id = 0;
        std::int64_t first_offset = 0;

        static void fields(auto& v, auto& m) {
          v(m.producer_id);
          v(m.first_offset);
        }
      };

      std::int32_t partition_index = 0;
      KafkaError error_code = KafkaError::kNone;
      std::int64_t high_watermark = 0;
      std::int64_t last_stable_offset = -1;
      std::int64_t log_start_offset = -1;
      EpochEndOffset diverging_epoch;  // where the reader's log parts from this one
      LeaderIdAndEpoch current_leader;
      SnapshotId snapshot_id;
      std::optional<std::vector<AbortedTransaction>> aborted_transactions;
      std::int32_t preferred_read_replica = -1;
      std::optional<Pieces> records;  // whole batches; the last may be cut

      static void fields(auto& v, auto& m) {
        v(m.partition_index);
        v(m.error_code);
        v(m.high_watermark);
        v(m.last_stable_offset);
        v(m.log_start_offset, {.since = 5});
        v(m.aborted_transactions);
        v(m.preferred_read_replica, {.since = 11});
        v(m.records);
      }
      static void tags(auto& v) {
        v(0, &Partition::diverging_epoch, {.since = 12});
        v(1, &Partition::current_leader, {.since = 12});
        v(2, &Partition::snapshot_id, {.since = 12});
      }
    };

    std::string_view topic;
    TopicId topic_id;
    std::vector<Partition> partitions;

    static void fields(auto& v, auto& m) {
      v(m.topic, {.until = 12});
      v(m.topic_id, {.since = 13});
      v(m.partitions);
    }
  };

  std::int32_t throttle_time_ms = 0;
  KafkaError error_code = KafkaError::kNone;
  std::int32_t session_id = 0;
  std::vector<Topic> responses;
  std::vector<NodeEndpoint> node_endpoints;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms);
    v(m.error_code, {.since = 7});
    v(m.session_id, {.since = 7});
    v(m.responses);
  }
  static void tags(auto& v) { v(0, &FetchResponse::node_endpoints, {.since = 16}); }
};

}  // namespace leat::kafka
