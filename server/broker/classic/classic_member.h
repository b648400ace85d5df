// One member of a classic group.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.h"
#include "server/broker/classic/classic.h"
#include "server/broker/replies.h"

namespace leat::broker {

struct ClassicMember {
  std::string id;
  std::optional<std::string> instance;
  std::string client_id, client_host;
  std::chrono::milliseconds session_timeout{0}, rebalance_timeout{0};
  std::vector<ClassicProtocol> protocols;
  std::string assignment;
  std::optional<RequestId> joining, syncing;  // what it waits for
  bool fresh = true;                          // not told of any generation yet
  bool owes_sync = false;                     // in this generation
  std::optional<MonotonicTime> expires;       // none: while it waits, it is not expired

  const ClassicProtocol* find(std::string_view protocol) const {
    const auto it = std::ranges::find(protocols, protocol, &ClassicProtocol::name);
    return it == protocols.end() ? nullptr : &*it;
  }
  std::string metadata(std::string_view protocol) const {
    const ClassicProtocol* found = find(protocol);
    return found ? found->metadata : std::string();
  }
  // What it takes in memory.
  static std::size_t bytes(const std::vector<ClassicProtocol>& protocols) {
    constexpr std::size_t kOfOne = 512, kOfProtocol = 64;
    std::size_t all = kOfOne;
    for (const ClassicProtocol& protocol : protocols)
      all += kOfProtocol + protocol.name.size() + protocol.metadata.size();
    return all;
  }
  std::size_t bytes() const { return bytes(protocols) + assignment.size(); }
};

}  // namespace leat::broker
