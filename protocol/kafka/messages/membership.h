// The life of a member of a classic group.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "protocol/kafka/api_table.h"
#include "protocol/kafka/description.h"
#include "protocol/kafka/error_code.h"

namespace leat::kafka {

struct JoinGroupRequest {
  static constexpr ApiKey kApi = ApiKey::kJoinGroup;

  struct Protocol {
    std::string_view name;
    Bytes metadata;

    static void fields(auto& v, auto& m) {
      v(m.name);
      v(m.metadata);
    }
  };

  std::string_view group_id;
  std::int32_t session_timeout_ms = 0;
  std::int32_t rebalance_timeout_ms = -1;
  std::string_view member_id;
  std::optional<std::string_view> group_instance_id;
  std::string_view protocol_type;
  std::vector<Protocol> protocols;
  std::optional<std::string_view> reason;

  static void fields(auto& v, auto& m) {
    v(m.group_id);
    v(m.session_timeout_ms);
    v(m.rebalance_timeout_ms, {.since = 1});
    v(m.member_id);
    v(m.group_instance_id, {.since = 5});
    v(m.protocol_type);
    v(m.protocols);
    v(m.reason, {.since = 8});
  }
};

struct JoinGroupResponse {
  static constexpr ApiKey kApi = ApiKey::kJoinGroup;

  struct Member {
    std::string_view member_id;
    std::optional<std::string_view> group_instance_id;
    Bytes metadata;

    static void fields(auto& v, auto& m) {
      v(m.member_id);
      v(m.group_instance_id, {.since = 5});
      v(m.metadata);
    }
  };

  std::int32_t throttle_time_ms = 0;
  KafkaError error_code = KafkaError::kNone;
  std::int32_t generation_id = -1;
  std::optional<std::string_view> protocol_type;
  std::optional<std::string_view> protocol_name;
  std::string_view leader;
  bool skip_assignment = false;
  std::string_view member_id;
  std::vector<Member> members;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms, {.since = 2});
    v(m.error_code);
    v(m.generation_id);
    v(m.protocol_type, {.since = 7});
    v(m.protocol_name, {.null_since = 7});
    v(m.leader);
    v(m.skip_assignment, {.since = 9});
    v(m.member_id);
    v(m.members);
  }
};

struct SyncGroupRequest {
  static constexpr ApiKey kApi = ApiKey::kSyncGroup;

  struct Assignment {
    std::string_view member_id;
    Bytes assignment;

    static void fields(auto& v, auto& m) {
      v(m.member_id);
      v(m.assignment);
    }
  };

  std::string_view group_id;
  std::int32_t generation_id = 0;
  std::string_view member_id;
  std::optional<std::string_view> group_instance_id;
  std::optional<std::string_view> protocol_type;
  std::optional<std::string_view> protocol_name;
  std::vector<Assignment> assignments;

  static void fields(auto& v, auto& m) {
    v(m.group_id);
    v(m.generation_id);
    v(m.member_id);
    v(m.group_instance_id, {.since = 3});
    v(m.protocol_type, {.since = 5});
    v(m.protocol_name, {.since = 5});
    v(m.assignments);
  }
};

struct SyncGroupResponse {
  static constexpr ApiKey kApi = ApiKey::kSyncGroup;

  std::int32_t throttle_time_ms = 0;
  KafkaError error_code = KafkaError::kNone;
  std::optional<std::string_view> protocol_type;
  std::optional<std::string_view> protocol_name;
  Bytes assignment;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms, {.since = 1});
    v(m.error_code);
    v(m.protocol_type, {.since = 5});
    v(m.protocol_name, {.since = 5});
    v(m.assignment);
  }
};

struct HeartbeatRequest {
  static constexpr ApiKey kApi = ApiKey::kHeartbeat;

  std::string_view group_id;
  std::int32_t generation_id = 0;
  std::string_view member_id;
  std::optional<std::string_view> group_instance_id;

  static void fields(auto& v, auto& m) {
    v(m.group_id);
    v(m.generation_id);
    v(m.member_id);
    v(m.group_instance_id, {.since = 3});
  }
};

struct HeartbeatResponse {
  static constexpr ApiKey kApi = ApiKey::kHeartbeat;

  std::int32_t throttle_time_ms = 0;
  KafkaError error_code = KafkaError::kNone;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms, {.since = 1});
    v(m.error_code);
  }
};

struct LeaveGroupRequest {
  static constexpr ApiKey kApi = ApiKey::kLeaveGroup;

  struct Member {
    std::string_view member_id;
    std::optional<std::string_view> group_instance_id;
    std::optional<std::string_view> reason;

    static void fields(auto& v, auto& m) {
      v(m.member_id);
      v(m.group_instance_id);
      v(m.reason, {.since = 5});
    }
  };

  std::string_view group_id;
  std::string_view member_id;
  std::vector<Member> members;

  static void fields(auto& v, auto& m) {
    v(m.group_id);
    v(m.member_id, {.until = 2});
    v(m.members, {.since = 3});
  }
};

struct LeaveGroupResponse {
  static constexpr ApiKey kApi = ApiKey::kLeaveGroup;

  struct Member {
    std::string_view member_id;
    std::optional<std::string_view> group_instance_id;
    KafkaError error_code = KafkaError::kNone;

    static void fields(auto& v, auto& m) {
      v(m.member_id);
      v(m.group_instance_id);
      v(m.error_code);
    }
  };

  std::int32_t throttle_time_ms = 0;
  KafkaError error_code = KafkaError::kNone;
  std::vector<Member> members;

  static void fields(auto& v, auto& m) {
    v(m.throttle_time_ms, {.since = 1});
    v(m.error_code);
    v(m.members, {.since = 3});
  }
};

}  // namespace leat::kafka
