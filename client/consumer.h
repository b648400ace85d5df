// Reads partitions of one topic: as a member of a group those that the broker assigns, else those
// chosen by hand. One thread calls; fetching, and the member's heartbeat, go on behind it. A member
// calls poll() within its rebalance timeout, for there it gives back what others are to read.
//
//   auto consumer = client->consumer({.topic = "orders", .group = Group{"billing"}});
//   for (;;) {
//     auto records = (*consumer)->poll(1s);
//     if (!records) return records.error();
//     for (const ConsumedRecord& record : *records) handle(record);
//     if (auto ok = (*consumer)->commit(); !ok) return ok.error();
//   }
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "client/config.h"
#include "protocol/base/result.h"

namespace leat {

class Link;

class Consumer {
 public:
  class Core;
  // A member leaves its group; its partitions go to the others at once.
  ~Consumer();

  const TopicDescription& topic() const;  // as it was when the consumer was made

  // Waits for records, at most `timeout`; empty when none came. They borrow from the consumer until
  // the next poll(). Goes on by itself after a lost connection, from the next position.
  // Errors: kUnknownTopic (deleted meanwhile), kOffsetOutOfRange, kCorruptStorage …: final;
  // kLogTruncated: a crash cut the log of a topic below `sync` under the reader; make a new
  // consumer.
  Result<std::span<const ConsumedRecord>> poll(std::chrono::milliseconds timeout);

  // Commits, for the group, the positions behind what poll() returned so far; durable on return.
  // Errors: kInvalidRequest (no group), kTimedOut, what the broker says: kStaleEpoch and
  // kUnknownMember mean that another member reads the partition now.
  Result<> commit();
  // Commits `offset`, of the next record to process, in one partition.
  Result<> commit(PartitionIndex partition, Offset offset);

  // As commit(), without waiting. `handler` (may be empty) is called on the client's thread.
  void commit_async(std::function<void(const Result<>&)> handler = {});

  // Goes on at `offset`; out of range shows at the next poll(). Error: kUnknownPartition.
  Result<> seek(PartitionIndex partition, Offset offset);
  // poll() passes the partition over until resume(); the consumer keeps it. Error:
  // kUnknownPartition.
  Result<> pause(PartitionIndex partition);
  Result<> resume(PartitionIndex partition);

  // The offset of the next record poll() will return, per assigned partition.
  std::vector<std::pair<PartitionIndex, Offset>> positions() const;

 private:
  friend class Client;
  Consumer(std::shared_ptr<Link> link, std::shared_ptr<Core> core);
  std::shared_ptr<Link> link_;
  std::shared_ptr<Core> core_;
};

}  // namespace leat
