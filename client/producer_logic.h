// The producer without threads, sockets or clock: gathers records into one batch per partition,
// keeps a window of batches in flight, sends everything unacknowledged again, in order, before
// anything newer. The owner serialises calls.
//
// Idempotent: batches are numbered when they first go out and keep their numbers when they go out
// again, so that the broker knows them. A number that will never be stored leaves a gap, behind
// which the broker refuses: then nothing new goes to that partition until all that was numbered is
// answered; what the broker certainly did not store is numbered from 0 under a new identity.
//
// With a source batches have no numbers: each says which positions it continues from and goes up
// to, and keeps saying so. One that fails breaks its partition off: all behind it fails, too.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "client/completion.h"
#include "client/config.h"
#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/native/messages.h"
#include "protocol/record_batch.h"

namespace leat {

using AckHandler = Completion<Ack>;

class ProducerLogic {
 public:
  // Records are numbered as they come; a batch has its first record's number.
  using Number = std::uint64_t;

  // A partition of a topic; the owner numbers the topics.
  struct Target {
    std::uint32_t topic = 0;
    PartitionIndex partition;
    friend auto operator<=>(const Target&, const Target&) = default;
  };
  struct BatchName {
    Target target;
    Number number = 0;
  };
  // A batch to send now; `bytes` live until it is acknowledged, refused or given up.
  struct Outgoing {
    BatchName name;
    Bytes bytes;
    std::optional<SourceStep> source = {};
  };
  // Handlers to call, outside of whatever lock the owner holds.
  struct Outcome {
    AckHandler handler;
    Result<Ack> result;
  };
  using Identity = ProducerIdentity;

  explicit ProducerLogic(const ProducerOptions& options);

  // The number of a record that the owner keeps until it knows the record's partition.
  Number reserve() { return ++last_number_; }
  // Copies the record. `buffered_bytes()` is the owner's to bound. True when ready() has more to
  // see than before: a batch was begun, which lingers from `now`, or has become full. With a
  // source, admit() has admitted `position`; a record that is stored already goes nowhere.
  bool append(Target target, const RecordData& record, std::int64_t timestamp_ms,
              AckHandler handler, MonotonicTime now, Number number,
              const std::optional<SourcePosition>& position = {});
  bool append(Target target, const RecordData& record, std::int64_t timestamp_ms,
              AckHandler handler, MonotonicTime now) {
    return append(target, record, timestamp_ms, std::move(handler), now, reserve());
  }
  // What may go now: full batches, those that have lingered, and at flush all; within the window.
  std::vector<Outgoing> ready(MonotonicTime now);
  // What was appended so far lingers no longer. done_through() of the number returned tells when
  // all of it is acknowledged or has failed, whatever was appended since.
  Number flush() { return flush_through_ = last_number_; }
  bool done_through(Number number) const;

  // ---- with a source ----
  // How far it is stored in each of the topic's partitions: before anything is appended for it, and
  // again when the topic has a successor, before release().
  void learned(std::uint32_t topic, std::vector<SourcePosition> stored, Durability durability);
  // Whether a record at this position may follow what was appended. Errors: kInvalidRequest, when
  // it does not lie behind it; that of a record of the partition that failed.
  Result<> admit(Target target, const std::optional<SourcePosition>& position) const;
  // What was found to be stored already, so far.
  bool any_stored() const { return !stored_already_.empty(); }
  void take_stored(std::vector<Outcome>& outcomes);

  // Whether the broker is to be asked for an identity, once; the answer goes to identified().
  bool wants_identity();
  void identified(Identity identity) { identity_ = identity; }

  // What became of a batch, whose records in `known` were there already; one that was given up
  // meanwhile is ignored.
  using KnownRecords = std::span<const native::KnownRecords>;
  void acknowledged(const BatchName& name, const Ack& first, std::vector<Outcome>& outcomes,
                    KnownRecords known = {});
  void refused(const BatchName& name, const Error& error, std::vector<Outcome>& outcomes);
  // The topic is gone: what was refused so, and all else of the topic, waits for release() (it has
  // a successor of the same name) or fail_topic().
  void topic_gone(const BatchName& name);
  void release(std::uint32_t topic) { gone_.erase(topic); }
  void fail_topic(std::uint32_t topic, const Error& error, std::vector<Outcome>& outcomes);

  // The connection is lost: what was in flight will be sent again, in order.
  void disconnected();
  // Gives up batches older than the delivery timeout.
  void expire(MonotonicTime now, std::vector<Outcome>& outcomes);
  void fail_all(const Error& error, std::vector<Outcome>& outcomes);
  // Set once a newer epoch of the same producer exists: all failed, and all will.
  const std::optional<Error>& fenced() const { return fenced_; }

  // When to call ready() or expire() again; what waits for a reply or the connection does not
  // count.
  std::optional<MonotonicTime> next_deadline(MonotonicTime now) const;
  std::size_t buffered_bytes() const {
    return buffered_bytes_ + stored_already_.size() * sizeof(Outcome);
  }
  bool idle() const { return batches_ == 0; }
  // A partition for a record without a key: the same until its batch is full.
  PartitionIndex sticky_partition(std::uint32_t topic, std::int32_t partitions);

 private:
  struct Batch {
    explicit Batch(std::vector<std::byte> buffer) : builder(std::move(buffer)) {}
    Number number = 0;
    RecordBatchBuilder builder;
    std::vector<std::byte> bytes;  // once closed
    std::vector<AckHandler> handlers;
    MonotonicTime created;
    std::size_t charge = 0;  // its part of buffered_bytes()
    std::int32_t records = 0;
    std::optional<std::int32_t> sequence;  // from the first sending on
    std::optional<SourcePosition> from;    // so, too
    SourcePosition first, to;              // of its records
    int sendings = 0;
    bool closed = false, in_flight = false;
  };
  struct Partition {
    std::deque<Batch> batches;  // oldest first; at most the last is open
    std::optional<Identity> identity;
    std::int32_t next_sequence = 0;
    bool gap = false;
    SourcePosition last;                    // of what was appended
    std::optional<SourcePosition> reached;  // by what was sent so far
    std::optional<Error> broken;            // off, by a record that failed
  };
  struct StoredSource {
    std::vector<SourcePosition> positions;  // by partition
    Durability durability = Durability::kSync;
  };
  struct Sticky {
    std::int32_t partition = 0;
    bool done = false;
  };
  using Partitions = std::map<Target, Partition>;

  std::vector<std::byte> take_spare();
  void keep_spare(std::vector<std::byte> buffer);
  void close(Batch& batch);
  bool due(const Batch& batch, MonotonicTime now) const;
  bool named(const Batch& batch) const;
  bool name(Target target, Partition& partition, Batch& batch);
  bool number(Partition& partition, Batch& batch);
  SourcePosition stored(Target target) const;
  void fail_batch(Partitions::iterator at, std::size_t index, const Error& error,
                  std::vector<Outcome>& outcomes);
  void not_stored(Partition& partition, Batch& batch);
  void close_gap(Partition& partition);
  void settle(Partitions::iterator at, std::size_t index, const Result<Ack>& first,
              std::vector<Outcome>& outcomes, KnownRecords known = {});
  void settle_all(Partitions::iterator at, const Error& error, std::vector<Outcome>& outcomes);
  std::optional<std::pair<Partitions::iterator, std::size_t>> find(const BatchName& name);

  ProducerOptions options_;
  Partitions partitions_;
  std::map<std::uint32_t, Sticky> sticky_;
  std::set<std::uint32_t> gone_;
  std::map<std::uint32_t, StoredSource> sources_;
  std::vector<Outcome> stored_already_;
  std::optional<Identity> identity_;  // for partitions that begin
  bool identity_wanted_;
  std::optional<Error> fenced_;
  Number last_number_ = 0, flush_through_ = 0;
  std::size_t buffered_bytes_ = 0, batches_ = 0;
  // Of batches that are done: memory that is there already. None while there are no batches.
  std::vector<std::vector<std::byte>> spares_;
};

}  // namespace leat
