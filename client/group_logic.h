// Membership of a group, without threads, sockets or clock. A member joins under an id of its own
// choosing and then has one SyncGroup waiting at the broker: its heartbeat, and what it holds. The
// answer is what it should hold; what it has beyond that it gives back, which takes as long as the
// owner needs: until then it says so by a SyncGroup now and then, for one that waited would be
// answered at once. The owner serialises calls.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "client/consumer_logic.h"
#include "protocol/base/clock.h"
#include "protocol/base/random.h"

namespace leat {

class GroupLogic {
 public:
  using Partitions = std::vector<std::pair<PartitionKey, TopicName>>;

  struct Request {
    enum class Kind : std::uint8_t { kJoin, kSync };
    Kind kind;
    std::string member;
    std::int32_t epoch = 0;
    std::vector<PartitionKey> owned;
    std::chrono::milliseconds max_wait{0};
  };
  // What the owner is to do, in this order.
  struct Event {
    enum class Kind : std::uint8_t { kLost, kRevoked, kAssigned };
    Kind kind;
    Partitions partitions;
  };

  GroupLogic(std::chrono::milliseconds session_timeout, Random random);

  // What to send now, if anything; answered by assigned() or refused().
  std::optional<Request> wanted(MonotonicTime now);
  std::optional<MonotonicTime> next_deadline() const;

  void assigned(std::int32_t epoch, Partitions partitions, MonotonicTime now);
  // Errors that end the membership stay in error(); kUnknownMember joins again under a new id.
  void refused(const Error& error);
  void disconnected() { asked_ = false; }

  std::optional<Event> next_event();
  bool has_events() const { return !events_.empty(); }
  // The owner no longer has what kRevoked named, and has committed what it wanted to.
  void released(const Partitions& partitions);

  // Ends the membership; true if the broker is to be told by LeaveGroup.
  bool leave();

  const std::string& member() const { return member_; }
  std::int32_t epoch() const { return epoch_; }
  // An assignment, perhaps an empty one, has come since the last joining.
  bool joined() const { return state_ == State::kIn; }
  const std::optional<Error>& error() const { return error_; }

 private:
  enum class State : std::uint8_t { kOut, kIn, kGone };
  using Held = std::map<PartitionKey, TopicName>;

  void new_member();
  void compare();
  void lose_all();

  const std::chrono::milliseconds session_timeout_;
  Random random_;
  State state_ = State::kOut;
  std::string member_;
  std::int32_t epoch_ = 0;
  bool asked_ = false;
  Held target_, owned_;                   // as the broker wants it; as it is
  std::set<PartitionKey> giving_back_;    // part of owned_
  std::optional<MonotonicTime> sync_at_;  // while giving back
  std::deque<Event> events_;
  std::optional<Error> error_;
};

}  // namespace leat
