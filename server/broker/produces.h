// Batches on their way into the log. A compressed one that is more than a little work is checked
// elsewhere (batch_checker.h) and waits for that; what is produced to its partition later waits
// behind it, and so do the replies to its connection's later produces. All else goes on. One
// thread.
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <optional>
#include <unordered_map>

#include "server/broker/batch_checker.h"
#include "server/broker/broker_options.h"
#include "server/broker/durable_replies.h"

namespace leat::broker {

// A compressed batch is checked on the spot when it is no larger and comes to no more than this.
inline constexpr std::size_t kCheckedInPlaceBytes = 16 << 10;
inline constexpr std::size_t kCheckedInPlaceDecompressedBytes = 64 << 10;

class Produces {
 public:
  // `visible`: called for a partition whose records are readable as soon as they are appended.
  Produces(const BrokerOptions& options, storage::Storage& storage, DurableReplies& replies,
           BatchChecker& checker, ReplySink& sink, std::function<void(PartitionId)> visible)
      : options_(options),
        storage_(storage),
        replies_(replies),
        checker_(checker),
        sink_(sink),
        visible_(std::move(visible)) {}

  // Whether there is room for a batch that would have to wait. False: hold it back, and what its
  // connection sent behind it, until ReplySink::on_room().
  bool takes(const TopicId& topic, PartitionIndex partition, Bytes batch);
  void produce(const RequestId& id, const TopicId& topic, PartitionIndex partition, Bytes batch);
  // Whether something that the connection produced is not decided yet.
  bool waits(ConnectionId connection) const { return connections_.contains(connection); }
  bool idle() const { return connections_.empty(); }
  std::size_t waiting_bytes() const { return waiting_bytes_; }

  void on_checked(CheckTicket ticket, Result<BatchContents> result);
  void on_room();
  // What waits is dropped, as if it had not arrived.
  void on_connection_closed(ConnectionId connection);
  void on_failed(const Error& error);

 private:
  struct Outcome {
    Reply reply;
    bool visible = false;
  };
  struct Slot;
  struct Waiting {
    TopicId topic;
    PartitionIndex index;
    std::shared_ptr<OwnedBatch> batch;
    std::size_t bytes = 0;  // counted in waiting_bytes_
    BatchRules rules;
    std::optional<Result<BatchContents>> checked;  // by the rules; none: with the checker
    bool dropped = false;
    ConnectionId connection;
    std::list<Slot>::iterator slot;  // unless dropped
  };
  // A produce's place among its connection's replies.
  struct Slot {
    RequestId request;
    std::optional<Reply> reply;
    std::shared_ptr<Waiting> waiting;  // until there is a reply
    PartitionId partition;
  };

  BatchRules rules_for(const TopicConfig& config) const;
  std::optional<Result<BatchContents>> check_in_place(Bytes batch, BatchRules rules) const;
  Result<> make_room(const TopicConfig& config, std::size_t bytes);
  Outcome append_checked(const Waiting& waiting);
  void wait(Slot slot, std::shared_ptr<Waiting> waiting);
  Outcome append(const TopicId& topic, PartitionIndex partition, Bytes batch,
                 const BatchContents& contents);
  Result<> note_timed(const storage::Topic& topic, const BatchContents& contents);
  void answer(const RequestId& id, Reply reply);
  void advance(PartitionId partition);
  void decide(const Waiting& waiting, Reply reply);
  void release(const Waiting& waiting);
  void tell_room();

  const BrokerOptions& options_;
  storage::Storage& storage_;
  DurableReplies& replies_;
  BatchChecker& checker_;
  ReplySink& sink_;
  std::function<void(PartitionId)> visible_;

  std::unordered_map<PartitionId, std::deque<std::shared_ptr<Waiting>>> partitions_;
  std::unordered_map<ConnectionId, std::list<Slot>> connections_;  // with one undecided, first
  struct Checking {
    PartitionId partition;
    std::shared_ptr<Waiting> waiting;
  };
  std::unordered_map<CheckTicket, Checking> checking_;
  CheckTicket next_ticket_ = 1;
  std::size_t waiting_bytes_ = 0;
  bool refused_ = false;
};

}  // namespace leat::broker
