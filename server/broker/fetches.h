// Reading on request: fetches of one or many partitions, which wait for data without polling. One
// thread.
#pragma once

#include <chrono>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "server/broker/broker_options.h"
#include "server/broker/durable_replies.h"
#include "server/broker/waiting_fetches.h"

namespace leat::broker {

struct PartitionFetch {
  TopicId topic;
  PartitionIndex partition;
  Offset offset;
  std::size_t max_bytes = 0;
  LeaderEpoch epoch{-1};          // of the record before `offset`; -1: not known
  LeaderEpoch current_epoch{-1};  // that the reader knows of; -1: any
};

struct FetchRequest {
  std::span<const PartitionFetch> partitions;  // read in this order, as far as there is room
  std::size_t min_bytes = 1;                   // worth an answer before `max_wait` is over
  std::size_t max_bytes = std::numeric_limits<std::size_t>::max();
  std::chrono::milliseconds max_wait{0};
};

class Fetches {
 public:
  Fetches(const BrokerOptions& options, storage::Storage& storage, DurableReplies& replies)
      : options_(options), storage_(storage), replies_(replies) {}

  // Answers with Fetched when `min_bytes` are gathered or no more can be, when a partition has an
  // error, or at the deadline. At most `max_bytes` in all, and of each partition its own; but the
  // first batch passes whatever its size, and a partition's first if there is room in all.
  // A partition's errors: kUnknownTopic, kUnknownPartition, kFencedLeaderEpoch,
  // kUnknownLeaderEpoch, kLogTruncated, kOffsetOutOfRange, kCorruptStorage, kIoError; of the whole
  // request: kLimitReached.
  void fetch(const RequestId& id, const FetchRequest& request, MonotonicTime now);

  void on_high_watermark(PartitionId partition);
  void on_read(storage::ReadToken token, Result<storage::ReadResult> result);
  void on_time(MonotonicTime now);
  std::optional<MonotonicTime> next_deadline() const { return waiting_.next_deadline(); }
  void on_connection_closed(ConnectionId connection);
  void on_topic_deleted(const std::vector<PartitionId>& partitions, std::string_view name);

 private:
  using State = WaitingFetch::State;
  using Part = WaitingFetch::Part;

  Part begin(const PartitionFetch& asked) const;
  void read_due(WaitingFetch& fetch);
  void read(WaitingFetch& fetch, Part& part);
  void gather(WaitingFetch& fetch, Part& part, storage::ReadResult result);
  void move_on(WaitingFetch& fetch, Part& part);
  void close(WaitingFetch& fetch, Part& part);
  void fail_part(WaitingFetch& fetch, Part& part, Error why);
  bool is_complete(const WaitingFetch& fetch) const;
  void answer_if_complete(WaitingFetch& kept);
  void answer(WaitingFetch fetch);
  template <class Then>
  void each_waiter(PartitionId partition, Then then);

  const BrokerOptions& options_;
  storage::Storage& storage_;
  DurableReplies& replies_;
  WaitingFetches waiting_;
  storage::ReadToken last_token_ = 0;
  std::vector<WaitingFetches::Waiter> waiters_;  // memory for each_waiter()
};

}  // namespace leat::broker
