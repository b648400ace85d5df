// What the broker speaks, and which brokers there are.
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

struct ApiVersionsRequest {
  static constexpr ApiKey kApi = ApiKey::kApiVersions;

  std::string_view client_software_name;
  std::string_view client_software_version;

  static void fields(auto& v, auto& m) {
    v(m.client_software_name, {.since = 3});
    v(m.client_software_version, {.since = 3});
  }
};

struct ApiVersionsResponse {
  static constexpr ApiKey kApi = ApiKey::kApiVersions;

  struct Api {
    std::int16_t api_key = 0;
    std::int16_t min_version = 0;
    std::int16_t max_version = 0;

    static void fields(auto& v, auto& m) {
      v(m.api_key);
      v(m.min_version);
      v(m.max_version);
    }
  };

  struct SupportedFeature {
    std::string_view name;
    std::int16_t min_version = 0;
    std::int16_t max_version = 0;

    static void fields(auto& v, auto& m) {
      v(m.name);
      v(m.min_version);
      v(m.max_version);
    }
  };

  struct FinalizedFeature {
    std::string_view name;
    std::int16_t max_version_level = 0;
    std::int16_t min_version_level = 0;

    static void fields(auto& v, auto& m) {
      v(m.name);
      v(m.max_version_level);
      v(m.min_version_level);
    }
  };

  KafkaError error_code = KafkaError::kNone;
  std::vector<Api> api_keys;
  std::int32_t throttle_time_ms = 0;
  std::vector<SupportedFeature> supported_features;
  std::int64_t finalized_features_epoch = -1;
  std::vector<FinalizedFeature> finalized_features;
  bool zk_migration_ready = false;

  static void fields(auto& v, auto& m) {
    v(m.error_code);
    v(m.api_keys);
    v(m.throttle_time_ms, {.since = 1});
  }
  static void tags(auto& v) {
    v(0, &ApiVersionsResponse::supported_features, {.since = 3});
    v(1, &ApiVersionsResponse::finalized_features_epoch, {.since = 3});
    v(2, &ApiVersionsResponse::finalized_features, {.since = 3});
    v(3, &ApiVersionsResponse::zk_migration_ready, {.since = 3});
  }
};

struct DescribeClusterRequest {
  static constexpr ApiKey kApi = ApiKey::kDescribeCluster;

  bool include_cluster_authorized_operations = false;
  std::int8_t endpoint_type = 1;
  bool include_fenced_brokers = false;

  static void fields(auto& v, auto& m) {
    v(m.include_cluster_authorized_operations);
    v(m.endpoint_type, {.since = 1});
    v(m.include_fenced_brokers, {.since = 2});
  }
};

struct DescribeClusterResponse {
  static constexpr ApiKey kApi = ApiKey::kDescribeCluster;

  struct Broker {
    std::int32_t broker_id = 0;
    std::string_view host;
    std::int32_t port = 0;
    std::optional<std::string_view> rack;
    bool is_fenced = false;

    static void fields(auto& v, auto& m) {
      v(m.broker_id);
      v(m.host);
      v(m.port);
      v(m.rack);
      v(m.is_fenced, {.since = 2});
    }
  };

  std::int32_t throttle_time_ms = 0;
  KafkaError error_code = KafkaError::kNone;
  std::optional<std::string_view> error_message;
  std::int8_t endpoint_type = 1;
  std::string_view cluster_id;
  std::int32_t controller_id = -1;
  std::vector<Broker> brokers;
  std::int32_t cluster_authorized_operations = std::numeric_limits<std::int32_t>::min();

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms);
    v(m.error_code);
    v(m.error_message);
    v(m.endpoint_type, {.since = 1});
    v(m.cluster_id);
    v(m.controller_id);
    v(m.brokers);
    v(m.cluster_authorized_operations);
  }
};

}  // namespace leat::kafka
