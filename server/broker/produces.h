// Batches on their way into the log. A compressed one that is more than a little work is checked
// elsewhere (batch_checker.h) and waits for that; one with message ids waits where storage has to
// look on the disk whether they are known. What is produced to its partition later waits behind it,
// and so do the replies to its connection's later produces. All else goes on. One thread.
//
// Records whose ids are known are not stored again (rule 9): they are taken out of their batch, and
// the reply says where their originals are.
//
// A batch that names its source is stored where it continues what is stored of that, is a duplicate
// where that is stored already, and refused otherwise.
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <optional>
#include <unordered_map>

#include "protocol/base/random.h"
#include "server/broker/batch_checker.h"
#include "server/broker/broker_options.h"
#include "server/broker/durable_replies.h"
#include "server/broker/partitions.h"
#include "server/broker/retention.h"
#include "server/broker/sources.h"

namespace leat::broker {

// A compressed batch is checked on the spot when it is no larger and comes to no more than this.
inline constexpr std::size_t kCheckedInPlaceBytes = 16 << 10;
inline constexpr std::size_t kCheckedInPlaceDecompressedBytes = 64 << 10;

class Produces {
 public:
  // `visible`: called for a partition whose records are readable as soon as they are appended.
  Produces(const BrokerOptions& options, storage::Storage& storage, DurableReplies& replies,
           BatchChecker& checker, ReplySink& sink, std::function<void(PartitionId)> visible,
           Now now)
      : options_(options),
        storage_(storage),
        replies_(replies),
        checker_(checker),
        sink_(sink),
        visible_(std::move(visible)),
        clock_(now) {}

  // From now on replies say which of a batch's records are traced.
  void note_traces() { traces_ = true; }
  // Whether there is room for a batch that would have to wait. False: hold it back, and what its
  // connection sent behind it, until ReplySink::on_room().
  bool takes(const TopicId& topic, PartitionIndex partition, Bytes batch);
  void produce(const RequestId& id, const TopicId& topic, PartitionIndex partition,
               const storage::NewBatch& batch, Now now,
               const std::optional<SourceStep>& source = {});
  // How far a source is stored in a topic's partitions.
  void source_positions(const RequestId& id, const TopicId& topic, std::string_view source) {
    answer(id, broker::source_positions(storage_, topic, source));
  }
  // Whether something that the connection produced is not decided yet.
  bool waits(ConnectionId connection) const { return connections_.contains(connection); }
  bool idle() const { return connections_.empty(); }
  std::size_t waiting_bytes() const { return waiting_bytes_; }

  void on_checked(CheckTicket ticket, Result<BatchContents> result);
  void on_rewritten(CheckTicket ticket, Result<OwnedBatch> result);
  void on_known_ids(storage::ReadToken token, Result<storage::KnownIds> known);
  void on_room();
  // What waits is dropped, as if it had not arrived.
  void on_connection_closed(ConnectionId connection);
  void on_failed(const Error& error);

 private:
  struct Outcome {
    Reply reply;
    bool visible = false;
  };
  // What a batch waits for, beside its turn.
  enum class Asked : std::uint8_t { kNothing, kCheck, kIds, kRewriting };
  // A batch, and what has been found out about it.
  struct Batch {
    TopicId topic;
    PartitionIndex index;
    BatchRules rules;
    std::optional<BatchSource> source{};
    WallTime came{};   // by the clock of windows (rule 11)
    WallTime stamp{};  // by the wall clock
    MonotonicTime received{};
    std::optional<Result<BatchContents>> checked{};    // by the rules
    std::optional<Result<storage::KnownIds>> known{};  // of the ids in `checked`
    std::optional<Result<OwnedBatch>> rewritten{};     // without the records that are known
    bool elsewhere = false;                            // checked so, and to be rewritten so
    Asked asked = Asked::kNothing;
    storage::ReadToken token = 0;         // of kIds
    std::vector<std::int32_t> without{};  // of kRewriting
  };
  struct Slot;
  struct Waiting : Batch {
    std::shared_ptr<OwnedBatch> bytes;
    std::size_t charge = 0;  // counted in waiting_bytes_
    bool dropped = false;
    PartitionId partition;
    ConnectionId connection;
    std::list<Slot>::iterator slot;  // unless dropped
  };
  using SharedWaiting = std::shared_ptr<Waiting>;
  // A produce's place among its connection's replies.
  struct Slot {
    RequestId request;
    std::optional<Reply> reply;
    SharedWaiting waiting;  // until there is a reply
  };

  BatchRules rules_for(const storage::Topic& topic) const;
  std::optional<Result<BatchContents>> check_in_place(Bytes batch, const BatchRules& rules) const;
  // What becomes of a batch whose turn it is; none: something is asked for first.
  std::optional<Outcome> append(Batch& batch, const storage::NewBatch& added);
  std::optional<Outcome> append_known(const FoundPartition& found, Batch& batch,
                                      const storage::NewBatch& added);
  bool find_ids(const FoundPartition& found, Batch& batch);
  bool rewrite(Batch& batch, Bytes bytes, std::vector<std::int32_t> without);
  std::optional<Reply> check_sequence(const FoundPartition& found, Bytes bytes) const;
  Outcome store(const FoundPartition& found, const Batch& batch, storage::NewBatch added,
                const storage::NewIds& ids);
  Result<> make_room(const TopicConfig& config, std::size_t bytes);
  Result<> note_timed(const storage::Topic& topic, const BatchContents& contents);

  void wait(const RequestId& id, PartitionId partition, Batch batch, Bytes bytes);
  void ask(const SharedWaiting& waiting);
  template <class Key>
  SharedWaiting told(std::unordered_map<Key, SharedWaiting>& asked, Key key);
  void answer(const RequestId& id, Reply reply);
  void advance(PartitionId partition);
  void decide(Waiting& waiting, Reply reply);
  void charge(Waiting& waiting, std::size_t bytes);
  void tell_room();

  const BrokerOptions& options_;
  storage::Storage& storage_;
  DurableReplies& replies_;
  BatchChecker& checker_;
  ReplySink& sink_;
  std::function<void(PartitionId)> visible_;

  RetentionClock clock_;  // steps of the wall clock make no id forgotten (rule 11)
  const std::uint64_t salt_ = Random::from_system().next();  // changes nothing that is seen

  std::unordered_map<PartitionId, std::deque<SharedWaiting>> partitions_;
  std::unordered_map<ConnectionId, std::list<Slot>> connections_;  // with one undecided, first
  std::unordered_map<CheckTicket, SharedWaiting> checking_;        // or rewriting
  std::unordered_map<storage::ReadToken, SharedWaiting> looking_;
  CheckTicket last_ticket_ = 0;
  storage::ReadToken last_token_ = 0;
  std::size_t waiting_bytes_ = 0;
  bool refused_ = false;
  bool traces_ = false;
};

}  // namespace leat::broker
