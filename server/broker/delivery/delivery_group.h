// One group of kind shared or key_shared (rule 8): its members, and what each of them is given.
// Members are of this moment: they are not stored, and gone with their connection.
//
// Requests and events only note what they change; dispatch() then leases records to the members
// that have least, within their grants, and puts them where their connections take them.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "protocol/base/random.h"
#include "server/broker/broker_options.h"
#include "server/broker/delivery/delivery_queue.h"

namespace leat::broker {

class DeliveryGroup;

// What the groups share with one another and with the broker around them.
struct DeliveryHouse {
  const BrokerOptions& options;
  storage::Storage& storage;
  ReplySink& sink;
  Random random;
  // Finds or creates the topic of dead letters.
  std::function<Result<const storage::Topic*>(const std::string& name, Now now)> dead_letter_topic;

  struct Read {
    DeliveryGroup* group;
    PartitionId partition;
  };
  std::unordered_map<storage::ReadToken, Read> reads;  // that storage answers later
  storage::ReadToken last_token = 0;
  std::uint64_t deliveries = 0;  // so far

  // Reading ahead of time, of all groups one read at a time, so that what is due now waits for no
  // more.
  AheadMemory ahead_memory;
  std::deque<Read> ahead_turns;
  std::optional<storage::ReadToken> reading_ahead;
};

class DeliveryGroup {
 public:
  static constexpr storage::ReadToken kTokenBit = storage::ReadToken{1} << 62;

  DeliveryGroup(DeliveryHouse& house, std::string name, GroupKind kind)
      : house_(house), name_(std::move(name)), kind_(kind) {}
  ~DeliveryGroup();
  DeliveryGroup(const DeliveryGroup&) = delete;
  DeliveryGroup& operator=(const DeliveryGroup&) = delete;

  const std::string& name() const { return name_; }
  GroupKind kind() const { return kind_; }
  std::size_t members() const { return members_.size(); }

  // The request has been checked. Errors: those of storage; then nothing has changed.
  Result<> attach(const MemberKey& key, const AttachRequest& request, Now now);
  // `lost`: what the member had counts as delivered in vain.
  void detach(const MemberKey& key, bool lost, Now now);
  void grant(const MemberKey& key, Grants grants);
  // What was not the member's to settle. Errors: those of storage.
  Result<std::vector<Settlement>> settle(const MemberKey& key, const SettleRequest& request,
                                         Now now);

  void on_high_watermark(PartitionId partition);
  void on_read(storage::ReadToken token, PartitionId partition, Result<storage::ReadResult> result);
  void on_topics_changed(Now now);
  void on_time(Now now);
  void shift(Duration gap);
  std::optional<MonotonicTime> next_deadline() const;

  void dispatch(Now now);
  // The partition's turn to read ahead has come (DeliveryHouse::ahead_turns): a piece.
  void read_ahead(PartitionId partition, Now now);
  // The member's next delivery.
  std::optional<DeliveredBatches> next(const MemberKey& key);

  // Records of a partition that are leased, and that wait.
  std::pair<std::uint64_t, std::uint64_t> counts(PartitionId partition) const;
  std::vector<storage::GroupMember> describe_members() const;
  std::uint64_t redelivered() const { return redelivered_; }
  std::uint64_t dead() const { return dead_; }

 private:
  struct Member {
    std::set<std::string, std::less<>> topics;
    std::string client_name;
    Grants granted, sent;
    std::size_t max_bytes = 0;
    std::chrono::milliseconds ack_timeout{0};
    std::uint64_t leased = 0;                 // records
    std::optional<MonotonicTime> idle_since;  // it has none
    std::uint64_t served = 0;                 // when, of all servings
    std::deque<DeliveredBatches> outbox;
    std::size_t outbox_bytes = 0;
    std::uint64_t deliveries = 0;
  };
  struct Queue {
    Queue(DeliveryQueue::Place place, bool by_key, DeliveryQueue::Limits limits)
        : records(std::move(place), by_key, limits) {}
    DeliveryQueue records;
    std::vector<std::pair<MemberKey, Member*>> readers;  // of its topic, by key
    std::optional<storage::ReadToken> reading, reading_dead, reading_delayed, reading_ahead;
    std::optional<storage::ReadResult> fetched, fetched_delayed;
    std::optional<Result<storage::ReadResult>> fetched_dead;
    Offset trimmed;  // up to this log start
    bool in_turn = false, in_ahead_turn = false;
    std::optional<MonotonicTime> rescan_at;     // there is more to read of what is delayed
    bool parks = false;                         // in parking_
    bool stopped = false;                       // cannot be read: until somebody attaches anew
    std::optional<MonotonicTime> bury_at;       // dead letters could not be written
    std::optional<MonotonicTime> listed_under;  // in deadlines_
  };
  // What is journaled together.
  struct Change {
    std::vector<OffsetRange> done;
    std::vector<std::pair<OffsetRange, storage::Retry>> retries;
  };
  using Pieces = DeliveryQueue::Pieces;

  static void add_reader(Queue& queue, const MemberKey& key, Member& member);
  const storage::PartitionAcks* acks(const Queue& queue) const;
  Result<> open_queues(const std::vector<std::string>& topics, bool latest, Now now);
  Result<> open_queue(const storage::Topic& topic, std::size_t index, bool latest, Now now,
                      std::vector<storage::OffsetCommit>& begins);
  Queue* find(PartitionId partition);
  Queue* find(const storage::TopicPartition& partition);
  void settle_one(Queue& queue, const Settlement& settlement, const MemberKey& key, Member& member,
                  const Reason& reason, Now now, Change& change, std::vector<Settlement>& refused);
  void ack(Queue& queue, const Settlement& settlement, const Pieces& pieces, Change& change,
           std::vector<Settlement>& refused);
  void settle_by_key(Queue& queue, const Settlement& settlement, const MemberKey& key,
                     Member& member, const Reason& reason, Now now, Change& change,
                     std::vector<Settlement>& refused);
  void give_up(Queue& queue, const Settlement& settlement, const Pieces& pieces,
               const Reason& reason, Now now, Change& change);
  static void refuse(const Settlement& settlement, const std::vector<OffsetRange>& parts,
                     std::vector<Settlement>& refused);
  void refuse_open(const Queue& queue, const Settlement& settlement,
                   const std::vector<OffsetRange>& parts, std::vector<Settlement>& refused) const;
  void fail_piece(Queue& queue, const TimedRanges<Lease>::Piece& piece,
                  std::optional<std::chrono::milliseconds> delay, Now now, Change& change);
  Result<> make(Queue& queue, Change change);
  std::chrono::milliseconds backoff(std::uint32_t attempts);
  void mark(Queue& queue);
  void list(Queue& queue);

  bool serve(Queue& queue, Now now);
  bool give_at_hand(Queue& queue, Now now);
  bool read_and_give(Queue& queue, Now now);
  bool reads_something(Queue& queue) const;
  bool hand_out(Queue& queue, Takers& takers, Result<DeliveryQueue::Taken> taken, Now now);
  void give_parked(Now now);
  void give_parked(Queue& queue, Now now);
  bool ready_to_read(Queue& queue, Now now);
  RecordTimes times(const Queue& queue) const;
  void rescan(Queue& queue, Now now);
  bool read_delayed(Queue& queue, Offset from);
  void follow_log_start(Queue& queue);
  void trim(Queue& queue, Offset log_start);
  bool read(Queue& queue, std::size_t bytes);
  Taker taker(const MemberKey& key, const Member& member, Now now) const;
  Takers takers(const Queue& queue, Now now) const;
  Takers choose(const Queue& queue, std::vector<Taker> could) const;
  static std::size_t bytes_for(Takers& takers);
  void note_idle(Now now);
  std::optional<MonotonicTime> idle_since(const Queue& queue) const;
  bool may_have_more(const Member& member) const;
  void deliver(const Queue& queue, const Taker& taker, DeliveredBatches delivered);
  bool anybody_may_have_more() const;
  void bury(Queue& queue, Now now);
  std::optional<storage::ReadResult> read_dead(Queue& queue, Offset offset);
  bool bury_one(Queue& queue, Offset offset, const std::string& reason,
                const storage::ReadResult& read, Now now);
  Result<> write_letter(Queue& queue, const RecordView& record, const std::string& reason,
                        const storage::AcksChange& change, Now now);
  storage::ReadToken new_token(PartitionId partition);

  DeliveryHouse& house_;
  const std::string name_;
  const GroupKind kind_;
  DeliverySettings settings_;
  std::map<MemberKey, Member> members_;
  std::map<PartitionId, Queue> queues_;
  std::map<storage::TopicPartition, PartitionId> ids_;
  std::deque<Queue*> turn_;        // that may have something to give
  std::deque<Queue*> parking_;     // that keep something for members, by key
  std::set<PartitionId> burying_;  // where something dies
  std::set<std::pair<MonotonicTime, PartitionId>> deadlines_;
  bool any_idle_ = false;  // when dispatch() began
  std::uint64_t servings_ = 0, redelivered_ = 0, dead_ = 0;
};

}  // namespace leat::broker
