// Who leads a partition now, as Produce and Fetch tell a client that asked somebody else.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "protocol/kafka/description.h"

namespace leat::kafka {

struct LeaderIdAndEpoch {
  std::int32_t leader_id = -1;
  std::int32_t leader_epoch = -1;

  static void fields(auto& v, auto& m) {
    v(m.leader_id);
    v(m.leader_epoch);
  }
  bool operator==(const LeaderIdAndEpoch&) const = default;
};

struct NodeEndpoint {
  std::int32_t node_id = 0;
  std::string_view host;
  std::int32_t port = 0;
  std::optional<std::string_view> rack;

  static void fields(auto& v, auto& m) {
    v(m.node_id);
    v(m.host);
    v(m.port);
    v(m.rack);
  }
};

}  // namespace leat::kafka
