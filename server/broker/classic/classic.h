// What goes between a broker and the members of classic groups: groups whose members agree on a
// protocol of their own, by which one of them, the leader, says who does what. What members say of
// themselves, and what the leader says, are bytes that the broker hands on.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/error.h"

namespace leat::broker {

enum class ClassicState : std::uint8_t {
  kEmpty,       // no members; how far it is, and its generation, are kept
  kPreparing,   // members are waited for, to join again
  kCompleting,  // who is in the new generation is told; the leader has yet to say who does what
  kStable,
};

// ---- requests ----

// Whom a request comes from.
struct ClassicIdentity {
  std::string_view group, member;
  std::optional<std::string_view> instance;  // a static member's own name
  std::int32_t generation = -1;
};

struct ClassicProtocol {
  std::string name, metadata;
  friend bool operator==(const ClassicProtocol&, const ClassicProtocol&) = default;
};

struct ClassicJoinRequest {
  std::string_view group;
  std::string_view member;  // empty: new
  std::optional<std::string_view> instance;
  std::string_view client_id, client_host;
  std::chrono::milliseconds session_timeout{0}, rebalance_timeout{0};
  std::string_view protocol_type;
  std::vector<ClassicProtocol> protocols;  // the one it likes best first
  // A new dynamic member is only told its id, and comes again with it: one that gives up in
  // between leaves nothing behind for the others to wait for (KIP-394).
  bool comes_again = false;
  bool may_skip_assignment = false;  // knows ClassicJoined::skip_assignment (KIP-814)
};

struct ClassicSyncRequest {
  ClassicIdentity who;
  std::optional<std::string_view> protocol_type, protocol;  // what it believes to be agreed on
  std::vector<std::pair<std::string_view, std::string_view>>
      assignments;  // the leader's: by member
};

// By its id, its instance, or both.
struct ClassicLeaver {
  std::string_view member;
  std::optional<std::string_view> instance;
};

// ---- replies ----

struct ClassicIdGiven {
  std::string member;  // join again with it
};

struct ClassicJoined {
  struct Member {
    std::string id;
    std::optional<std::string> instance;
    std::string metadata;  // of the protocol that was chosen
  };
  std::int32_t generation = 0;
  std::string protocol_type, protocol;
  std::string leader, member;
  bool skip_assignment = false;  // the leader is to look, but not to assign
  std::vector<Member> members;   // told to the leader alone
};

struct ClassicSynced {
  std::string protocol_type, protocol, assignment;
};

struct ClassicAlive {};

struct ClassicLeft {
  std::vector<ErrorCode> members;  // kOk: it is gone; as they were asked for
};

// One as it is looked at.
struct ClassicMemberView {
  std::string id;
  std::optional<std::string> instance;
  std::string client_id, client_host;
  std::string metadata, assignment;  // empty unless the group is stable
};
struct ClassicView {
  ClassicState state = ClassicState::kEmpty;
  std::string protocol_type, protocol;
  std::vector<ClassicMemberView> members;
};

}  // namespace leat::broker
