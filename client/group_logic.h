// Membership of a consumer group without threads, sockets or clock: joins under a random id, always
// has one SyncGroup under way as its heartbeat, learns what it may hold, gives back what it may
// not. The owner serialises calls.
//
// A partition is given back in two steps: answered() names it as revoked, the owner stops reading
// it (and commits), released() says so with the next SyncGroup. Until then it is still the
// member's.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "client/config.h"
#include "protocol/base/clock.h"
#include "protocol/base/random.h"
#include "protocol/native/messages.h"

namespace leat {

class GroupLogic {
 public:
  struct Options {
    std::string group, topic, client_name;
    std::chrono::milliseconds session_timeout{10'000};
    std::chrono::milliseconds rebalance_timeout{30'000};
  };
  enum class Step : std::uint8_t { kNothing, kJoin, kSync };
  // What an answer changed. `lost`: the member was expelled; everything it had is another's
  // already.
  struct Change {
    std::vector<PartitionIndex> revoked, assigned, lost;
    bool empty() const { return revoked.empty() && assigned.empty() && lost.empty(); }
  };

  GroupLogic(Options options, Random random);

  // What to send now, the link being up; one request at a time. What was asked for is under way
  // until answered(), refused() or disconnected().
  Step next(MonotonicTime now);
  native::JoinGroup join_request() const;  // borrows from the logic
  native::SyncGroup sync_request() const;
  native::LeaveGroup leave_request() const;

  Change answered(const native::GroupAssignment& assignment, MonotonicTime now);
  // The broker does not know the member: it comes back under a new id, with nothing.
  Change expelled();
  void disconnected() { under_way_ = false; }
  // What was revoked is no longer read.
  void released(const std::vector<PartitionIndex>& partitions);

  bool joined() const { return joined_; }
  bool holds(PartitionIndex partition) const { return owned_.contains(partition); }
  // Revoked and not released; no longer so when the broker gave it again meanwhile.
  bool gives_back(PartitionIndex partition) const { return giving_back_.contains(partition); }
  const std::string& member() const { return member_; }
  std::int32_t epoch() const { return epoch_; }
  std::optional<TopicId> topic() const { return topic_; }
  // When next() has something to say again without an answer.
  std::optional<MonotonicTime> next_deadline() const;

 private:
  void new_member_id();

  Options options_;
  Random random_;
  std::string member_;
  bool joined_ = false, under_way_ = false;
  std::int32_t epoch_ = 0;
  std::optional<TopicId> topic_;          // once assigned anything
  std::set<PartitionIndex> owned_;        // as the broker is told
  std::set<PartitionIndex> giving_back_;  // revoked and not yet released
  MonotonicTime last_answer_;
};

}  // namespace leat
