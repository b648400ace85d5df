// Looking at groups, and deleting them.
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

struct DescribeGroupsRequest {
  static constexpr ApiKey kApi = ApiKey::kDescribeGroups;

  std::vector<std::string_view> groups;
  bool include_authorized_operations = false;

  static void fields(auto& v, auto& m) {
    v(m.groups);
    v(m.include_authorized_operations, {.since = 3});
  }
};

struct DescribeGroupsResponse {
  static constexpr ApiKey kApi = ApiKey::kDescribeGroups;

  struct Group {
    struct Member {
      std::string_view member_id;
      std::optional<std::string_view> group_instance_id;
      std::string_view client_id;
      std::string_view client_host;
      Bytes member_metadata;
      Bytes member_assignment;

      static void fields(auto& v, auto& m) {
        v(m.member_id);
        v(m.group_instance_id, {.since = 4});
        v(m.client_id);
        v(m.client_host);
        v(m.member_metadata);
        v(m.member_assignment);
      }
    };

    KafkaError error_code = KafkaError::kNone;
    std::optional<std::string_view> error_message;
    std::string_view group_id;
    std::string_view group_state;
    std::string_view protocol_type;
    std::string_view protocol_data;
    std::vector<Member> members;
    std::int32_t authorized_operations = std::numeric_limits<std::int32_t>::min();

    static void fields(auto& v, auto& m) {
      v(m.error_code);
      v(m.error_message, {.since = 6});
      v(m.group_id);
      v(m.group_state);
      v(m.protocol_type);
      v(m.protocol_data);
      v(m.members);
      v(m.authorized_operations, {.since = 3});
    }
  };

  std::int32_t throttle_time_ms = 0;
  std::vector<Group> groups;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms, {.since = 1});
    v(m.groups);
  }
};

struct ListGroupsRequest {
  static constexpr ApiKey kApi = ApiKey::kListGroups;

  std::vector<std::string_view> states_filter;
  std::vector<std::string_view> types_filter;

  static void fields(auto& v, auto& m) {
    v(m.states_filter, {.since = 4});
    v(m.types_filter, {.since = 5});
  }
};

struct ListGroupsResponse {
  static constexpr ApiKey kApi = ApiKey::kListGroups;

  struct Group {
    std::string_view group_id;
    std::string_view protocol_type;
    std::string_view group_state;
    std::string_view group_type;

    static void fields(auto& v, auto& m) {
      v(m.group_id);
      v(m.protocol_type);
      v(m.group_state, {.since = 4});
      v(m.group_type, {.since = 5});
    }
  };

  std::int32_t throttle_time_ms = 0;
  KafkaError error_code = KafkaError::kNone;
  std::vector<Group> groups;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms, {.since = 1});
    v(m.error_code);
    v(m.groups);
  }
};

struct DeleteGroupsRequest {
  static constexpr ApiKey kApi = ApiKey::kDeleteGroups;

  std::vector<std::string_view> group_names;

  static void fields(auto& v, auto& m) { v(m.group_names); }
};

struct DeleteGroupsResponse {
  static constexpr ApiKey kApi = ApiKey::kDeleteGroups;

  struct Group {
    std::string_view group_id;
    KafkaError error_code = KafkaError::kNone;

    static void fields(auto& v, auto& m) {
      v(m.group_id);
      v(m.error_code);
    }
  };

  std::int32_t throttle_time_ms = 0;
  std::vector<Group> results;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms);
    v(m.results);
  }
};

}  // namespace leat::kafka
