// Reads partitions of one topic, assigned by hand, and commits positions for a group. One thread
// calls; fetching goes on behind it.
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
  ~Consumer();

  const TopicDescription& topic() const;  // as it was when the consumer was made

  // Waits for records, at most `timeout`; empty when none came. They borrow from the consumer until
  // the next poll(). Goes on by itself after a lost connection, from the next position.
  // Errors: kUnknownTopic (deleted meanwhile), kOffsetOutOfRange, kCorruptStorage …: final.
  Result<std::span<const ConsumedRecord>> poll(std::chrono::milliseconds timeout);

  // Commits, for the group, the positions behind what poll() returned so far; durable on return.
  // Errors: kInvalidRequest (no group), kTimedOut, what the broker says.
  Result<> commit();
  // Commits `offset`, of the next record to process, in one partition.
  Result<> commit(PartitionIndex partition, Offset offset);

  // The offset of the next record poll() will return, per assigned partition.
  std::vector<std::pair<PartitionIndex, Offset>> positions() const;

 private:
  friend class Client;
  class Core;
  Consumer(std::shared_ptr<Link> link, std::shared_ptr<Core> core);
  std::shared_ptr<Link> link_;
  std::shared_ptr<Core> core_;
};

}  // namespace leat
