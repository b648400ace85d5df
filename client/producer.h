// Sends records to one topic. Any thread may send; handlers run on the client's thread and must not
// block.
//
//   auto producer = client->producer(Topic{"orders"}, {.linger = 5ms});
//   (*producer)->send({.key = as_bytes("42"), .value = as_bytes("hello")},
//                     [](const Result<Ack>& ack) { if (!ack) report(ack.error()); });
//   (*producer)->flush();
//
// After a lost connection everything unacknowledged is sent again, in order, before anything newer;
// the broker stores each batch once (ProducerOptions::idempotent).
#pragma once

#include <chrono>
#include <memory>

#include "client/config.h"
#include "client/producer_logic.h"
#include "protocol/base/result.h"

namespace leat {

class Link;

class Producer {
 public:
  // Fails what is not acknowledged with kClosed: flush() before.
  ~Producer();

  const TopicDescription& topic() const;

  // Copies the record; returns when it is buffered, which waits while the buffer is full (at most
  // the delivery timeout). `handler` is called exactly once iff send() succeeds; it may be empty.
  // Errors: kUnknownPartition, kBatchTooLarge, kQueueFull, kClosed.
  Result<> send(const OutgoingRecord& record, AckHandler handler = {});
  // Sends and waits for the acknowledgement: the record is on stable storage.
  Result<Ack> send_and_wait(const OutgoingRecord& record);
  // Waits until every record sent so far is acknowledged or has failed (its handler was called).
  // Errors: kTimedOut; kNotAllowed in a handler, where send() does not wait either.
  Result<> flush(std::chrono::milliseconds timeout = std::chrono::hours(1));

 private:
  friend class Client;
  class Core;
  Producer(std::shared_ptr<Link> link, std::shared_ptr<Core> core);
  std::shared_ptr<Link> link_;
  std::shared_ptr<Core> core_;
};

}  // namespace leat
