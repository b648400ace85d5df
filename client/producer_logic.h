// The producer without threads, sockets or clock: gathers records into one batch per partition,
// keeps a window of batches in flight, sends everything unacknowledged again, in order, before
// anything newer, each under the sequence numbers it had. The owner serialises calls.
//
// Idempotence: once a batch of a partition has failed for good, what follows it there cannot have
// been stored, and is answered so. Such a partition waits until nothing of it is under way, takes a
// producer id of its own and numbers what is left from 0.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "client/config.h"
#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/native/messages.h"

namespace leat {

using AckHandler = std::function<void(const Result<Ack>&)>;

class ProducerLogic {
 public:
  using BatchId = std::uint64_t;

  // A batch to send now; `bytes` live until it is acknowledged or failed.
  struct Outgoing {
    BatchId id;
    PartitionIndex partition;
    Bytes bytes;
  };
  // Handlers to call, outside of whatever lock the owner holds.
  struct Outcome {
    AckHandler handler;
    Result<Ack> result;
  };

  explicit ProducerLogic(const ProducerOptions& options);

  // Whether an id from the broker is waited for; nothing is sent without one.
  bool needs_identity() const;
  void set_identity(ProducerIdentity identity);
  // The broker does not know such ids.
  void go_without_identity() { options_.idempotent = false; }

  // Copies the record. `buffered_bytes()` is the owner's to bound. True when ready() has more to
  // see than before: a batch was begun, which lingers from `now`, or has become full.
  bool append(PartitionIndex partition, const RecordData& record, std::int64_t timestamp_ms,
              AckHandler handler, MonotonicTime now);
  // What may go now: full batches, those that have lingered, and at flush all; within the window.
  std::vector<Outgoing> ready(MonotonicTime now);
  // What was appended so far lingers no longer. done_through() of the id returned tells when all of
  // it is acknowledged or has failed, whatever was appended since.
  BatchId flush() { return flush_through_ = last_id_; }
  bool done_through(BatchId id) const;

  void acknowledged(BatchId id, const native::ProduceReply& reply, std::vector<Outcome>& outcomes);
  // Refused: nothing of it is stored.
  void failed(BatchId id, const Error& error, std::vector<Outcome>& outcomes);
  // The connection is lost: what was in flight will be sent again, in order.
  void disconnected();
  // Gives up batches older than the delivery timeout.
  void expire(MonotonicTime now, std::vector<Outcome>& outcomes);
  void fail_all(const Error& error, std::vector<Outcome>& outcomes);

  // When to call ready() or expire() again; what waits for a reply or the connection does not
  // count.
  std::optional<MonotonicTime> next_deadline(MonotonicTime now) const;
  std::size_t buffered_bytes() const { return buffered_bytes_; }
  bool idle() const { return batches_ == 0; }
  // A partition for a record without a key: the same until its batch is full.
  PartitionIndex sticky_partition(std::int32_t partitions);

 private:
  struct Batch {
    BatchId id = 0;
    RecordBatchBuilder builder;
    std::vector<std::byte> bytes;  // once closed
    std::vector<AckHandler> handlers;
    MonotonicTime created;
    std::size_t charge = 0;  // its part of buffered_bytes()
    bool closed = false, sent = false;
    std::optional<std::int32_t> sequence;  // of its first record
  };
  struct Partition {
    std::deque<Batch> batches;  // oldest first; at most the last is open
    std::optional<ProducerIdentity> identity;
    std::int32_t next_sequence = 0;
    bool in_doubt = false;  // sends nothing until it has an id of its own

    bool under_way() const;
  };

  void close(Partition& partition, Batch& batch);
  void number(Partition& partition, Batch& batch);
  void renumber(Partition& partition, ProducerIdentity identity);
  bool may_send(const Partition& partition) const;
  using Told = Result<native::ProduceReply>;
  void settle(PartitionIndex partition, std::size_t at, const Told& told,
              std::vector<Outcome>& outcomes);
  template <class Settle>
  void find(BatchId id, Settle settle);

  ProducerOptions options_;
  std::optional<ProducerIdentity> identity_;
  std::map<PartitionIndex, Partition> partitions_;
  BatchId last_id_ = 0, flush_through_ = 0;
  std::size_t buffered_bytes_ = 0, batches_ = 0;
  std::int32_t sticky_ = 0;
  bool sticky_done_ = false;
};

}  // namespace leat
