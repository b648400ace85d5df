// How far groups are, as Kafka's clients write it down, read it and remove it: each partition by
// itself, by the name or the id of its topic. One thread.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/broker/classic/classic_groups.h"
#include "server/broker/durable_replies.h"
#include "server/broker/group_ids.h"

namespace leat::broker {

// A partition as a client names it.
struct PartitionRef {
  std::string_view topic;  // empty: by the id
  TopicId id;
  PartitionIndex partition;
};

struct CommitAsRequest {
  struct Commit {
    PartitionRef at;
    Offset offset;
    std::string_view metadata;
    LeaderEpoch epoch{-1};
  };
  ClassicIdentity who;
  std::vector<Commit> commits;
};

struct RemoveOffsetsRequest {
  std::string_view group;
  std::vector<PartitionRef> partitions;
  // The topics that the group's members read, whose offsets stay; none: nobody can tell.
  std::optional<std::set<std::string, std::less<>>> subscribed;
};

class Commits {
 public:
  using Committed = std::function<void(std::string_view group, MonotonicTime now)>;

  Commits(const BrokerOptions& options, storage::Storage& storage, DurableReplies& replies,
          const GroupIds& ids, ClassicGroups& classic, Committed committed)
      : options_(options),
        storage_(storage),
        replies_(replies),
        ids_(ids),
        classic_(classic),
        committed_(std::move(committed)) {}

  // Reply: PartitionResults; what can be committed is, in one step (rule 6). Errors, of all:
  // those of ClassicGroups::check_commit(), kInvalidRequest, kStorageFailed.
  void commit(const RequestId& id, const CommitAsRequest& request, MonotonicTime now);
  // Reply: NamedOffsets; of the partitions that are asked for, or of all. Error: kInvalidGroupName.
  void fetch(const RequestId& id, std::string_view group,
             const std::optional<std::vector<PartitionRef>>& partitions);
  // Reply: PartitionResults. Errors, of all: kInvalidGroupName, kUnknownGroup, kGroupNotEmpty,
  // kStorageFailed.
  void remove(const RequestId& id, const RemoveOffsetsRequest& request);

 private:
  Result<storage::TopicPartition> find(const PartitionRef& ref) const;

  const BrokerOptions& options_;
  storage::Storage& storage_;
  DurableReplies& replies_;
  const GroupIds& ids_;
  ClassicGroups& classic_;
  Committed committed_;
};

}  // namespace leat::broker
