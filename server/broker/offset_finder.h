// Finding offsets: of a time, of the newest record, of the start and the end, of the end of a
// leader epoch. One thread.
#pragma once

#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "server/broker/broker_options.h"
#include "server/broker/durable_replies.h"

namespace leat::broker {

enum class OffsetOf : std::uint8_t {
  kTime,    // the first record at or after `timestamp_ms`
  kNewest,  // the record with the latest timestamp, the first of several
  kStart,
  kEnd,
};

struct FindOffsetRequest {
  TopicId topic;
  PartitionIndex partition;
  OffsetOf what = OffsetOf::kTime;
  std::int64_t timestamp_ms = 0;
  LeaderEpoch current_epoch{-1};  // that the reader knows of; -1: any
};

struct EpochEndRequest {
  TopicId topic;
  PartitionIndex partition;
  LeaderEpoch epoch;
  LeaderEpoch current_epoch{-1};
};

class OffsetFinder {
 public:
  OffsetFinder(const BrokerOptions& options, storage::Storage& storage, DurableReplies& replies)
      : options_(options), storage_(storage), replies_(replies) {}

  // Answers with OffsetFound: the end of the partition, and no timestamp, where no record is meant
  // or none is there. Looks into the batches that storage cannot rule out, which are few; a
  // compressed batch that holds the record is decompressed at once. Errors: kUnknownTopic,
  // kUnknownPartition, kFencedLeaderEpoch, kUnknownLeaderEpoch, kLimitReached, kCorruptStorage,
  // kIoError.
  void find(const RequestId& id, const FindOffsetRequest& request);
  // Answers with EpochEnd. Errors: kUnknownTopic, kUnknownPartition, kFencedLeaderEpoch,
  // kUnknownLeaderEpoch.
  void end_of_epoch(const RequestId& id, const EpochEndRequest& request);

  static bool owns(storage::ReadToken token) { return (token & kTokenBit) != 0; }
  void on_read(storage::ReadToken token, Result<storage::ReadResult> result);
  void on_connection_closed(ConnectionId connection);
  void on_topic_deleted(const std::vector<PartitionId>& partitions, std::string_view name);

 private:
  static constexpr storage::ReadToken kTokenBit = storage::ReadToken{1} << 60;

  struct Search {
    RequestId request;
    PartitionId partition;
    Offset next;                             // to be looked at
    std::int64_t since_ms = 0;               // what is looked for, unless it is the newest
    std::optional<storage::TimedRun> run{};  // the newest is looked for, here
    OffsetFound newest{};                    // so far
  };
  // Each has one read under way.
  using Searches = std::unordered_map<storage::ReadToken, Search>;

  void look_on(Search search);
  bool look_at(Search& search, const storage::ReadResult& result);
  bool goes_on(Search& search);
  Searches::iterator forget(Searches::iterator it);

  const BrokerOptions& options_;
  storage::Storage& storage_;
  DurableReplies& replies_;
  storage::ReadToken last_token_ = 0;
  Searches searches_;
  std::unordered_map<ConnectionId, std::size_t> of_connection_;
};

}  // namespace leat::broker
