// Reading on request: fetches that wait for data without polling, and the search for a time. One
// thread.
#pragma once

#include <optional>
#include <string_view>

#include "server/broker/broker_options.h"
#include "server/broker/durable_replies.h"
#include "server/broker/waiting_fetches.h"

namespace leat::broker {

struct FetchRequest {
  TopicId topic;
  PartitionIndex partition;
  Offset offset;
  std::size_t max_bytes = 0;
  std::chrono::milliseconds max_wait{0};
  LeaderEpoch epoch{-1};  // of the record before `offset`
};

class Fetches {
 public:
  Fetches(const BrokerOptions& options, storage::Storage& storage, DurableReplies& replies)
      : options_(options), storage_(storage), replies_(replies) {}

  void fetch(const RequestId& id, const FetchRequest& request, MonotonicTime now);
  // The first record at or after a time: reads the partition from its start.
  void find_offset(const RequestId& id, const TopicId& topic, PartitionIndex partition,
                   std::int64_t timestamp_ms);

  void on_high_watermark(PartitionId partition);
  void on_read(storage::ReadToken token, Result<storage::ReadResult> result);
  void on_time(MonotonicTime now);
  std::optional<MonotonicTime> next_deadline() const { return waiting_.next_deadline(); }
  void on_connection_closed(ConnectionId connection);
  void on_topic_deleted(const std::vector<PartitionId>& partitions, std::string_view name);

 private:
  void read(WaitingFetch fetch);
  void answer(WaitingFetch fetch, storage::ReadResult result);
  std::optional<WaitingFetch> search(WaitingFetch fetch, const storage::ReadResult& result);
  void reply_empty(const WaitingFetch& fetch);

  const BrokerOptions& options_;
  storage::Storage& storage_;
  DurableReplies& replies_;
  WaitingFetches waiting_;
};

}  // namespace leat::broker
