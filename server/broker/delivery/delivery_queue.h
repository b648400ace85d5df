// What one group is still to be given of one partition: new records from `next` on, and of those
// before it what came back. What is done, and how often a record failed, storage knows
// (storage::PartitionAcks); who has what at the moment is known here alone, and gone with a
// restart.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/broker/delivery/begun_batch.h"
#include "server/broker/delivery/delayed_records.h"
#include "server/broker/delivery/delivery.h"
#include "server/broker/delivery/keyed_records.h"
#include "server/broker/delivery/patience.h"
#include "server/broker/delivery/read_ahead.h"
#include "server/broker/delivery/retries.h"
#include "server/broker/delivery/takers.h"
#include "server/broker/delivery/timed_ranges.h"
#include "storage/state/partition_acks.h"

namespace leat::broker {

struct Lease {
  MemberKey member;
  std::uint64_t delivery = 0;  // that brought it
};

class DeliveryQueue {
 public:
  struct Place {
    storage::TopicPartition partition;
    PartitionId id;
    std::string topic;
  };
  struct Limits {
    // Takes no new records while so many wait to be tried again, die or, by key, wait for others.
    std::size_t held;
    std::size_t delayed_in_memory;  // DelayedRecords' bound
    std::size_t parked_bytes;       // by key, for members that may not take more now
    AheadMemory& ahead;             // borrowed
  };
  DeliveryQueue(Place place, bool by_key, Limits limits)
      : place_(std::move(place)),
        by_key_(by_key),
        most_held_(limits.held),
        most_parked_bytes_(limits.parked_bytes),
        delayed_(limits.delayed_in_memory),
        ahead_(limits.ahead) {}
  const Place& place() const { return place_; }

  // Nobody has anything: new ones begin at `floor`, what failed before waits for its time.
  void begin(Offset floor, const storage::PartitionAcks* acks, Now now);
  // Records below are gone.
  void trim(Offset log_start);

  // By key: what was kept for the taker. One delivery at a time; none when it may not take more.
  DeliveredBatches take_parked(Taker& taker, const storage::PartitionAcks* acks);
  bool has_parked() const { return keyed_.has_parked(); }
  bool has_parked(const MemberKey& member) const { return keyed_.has_parked(member); }
  // What was kept for members that still may not take more, and may go to others, is read again.
  // `reads_on`: has_something().
  void free_parked(const Takers& takers, bool reads_on);

  Offset next() const { return next_; }  // the first that is new
  // Steps over what is done. What came back is read upwards, then from the lowest again.
  Offset read_from(const storage::PartitionAcks* acks);
  // To read; not what ahead() has at hand.
  bool has_something(Offset high_watermark, const storage::PartitionAcks* acks) {
    return read_from(acks) < high_watermark && (!ready_.empty() || !is_full());
  }
  // An estimate: what is done above the next new one counts.
  std::uint64_t available(Offset high_watermark) const;

  struct Asked {
    const storage::ReadResult& read;  // begins at read_from()
    const storage::PartitionAcks* acks;
    std::uint32_t max_deliveries;
    RecordTimes times;
    Now now;
  };
  struct Taken {
    std::vector<DeliveredBatches> delivered;  // to each of the takers
    // To be counted as done: offsets without a record, and what has expired.
    std::vector<OffsetRange> gone;
  };
  // By key, before what follows and free_parked(): whether enough waits for members already.
  void see_who_waits(std::optional<MonotonicTime> idle_since, Now now);
  bool may_take() const { return patience_.reads() || !ready_.empty(); }  // what is read
  // Leases to the takers, of whom there is one unless it is by key, what they may have, in order. A
  // record that has failed too often dies instead. Errors: kInvalidBatch.
  Result<Taken> take(const Asked& asked, Takers& takers);
  // The same of what ahead() had at hand.
  Result<Taken> take_at_hand(const Asked& asked, Takers& takers);
  ReadAhead& ahead() { return ahead_; }

  using Pieces = std::vector<TimedRanges<Lease>::Piece>;
  // By key, of the range what the delivery brought, wherever else's lies between: ends the leases,
  // which are done, and tells how many they were. finished() must follow.
  std::uint64_t finish(OffsetRange range, const MemberKey& member, std::uint64_t delivery,
                       std::vector<OffsetRange>& done);
  void finished() { let_go(); }
  // The same, with a new deadline.
  void extend(OffsetRange range, const MemberKey& member, std::uint64_t delivery,
              MonotonicTime deadline);
  // The same, which the member has lost; the whole range where it has nothing left of the delivery.
  std::vector<OffsetRange> lost(OffsetRange range, const MemberKey& member,
                                std::uint64_t delivery) const;
  // Takes the member's leases out of the range: those by the delivery; not by key, if `any`, all.
  Pieces leased(OffsetRange range, const MemberKey& member, std::uint64_t delivery, bool any);
  // Takes out what the member has lost of it; false: nothing is left.
  bool keep_leased(DeliveredBatches& delivered, const MemberKey& member);
  // All of a member that is gone.
  Pieces leased_by(const MemberKey& member);
  Pieces expired(MonotonicTime now);
  // Not by key: gives them back to the table, with a new deadline.
  void extend(const Pieces& pieces, MonotonicTime deadline);
  // What came back and nobody has: taken out. Not of a group by key, where it would overtake.
  std::vector<OffsetRange> returned(OffsetRange range);

  // What becomes of pieces that were taken out.
  void done(const TimedRanges<Lease>::Piece& piece);
  // By key, what the same member had of the key behind it is no longer leased: so many records.
  std::uint64_t failed(const TimedRanges<Lease>::Piece& piece, MonotonicTime due,
                       MonotonicTime now);
  void give_back(const TimedRanges<Lease>::Piece& piece);
  // It dies: neither delivered nor done until the dead letter is written.
  void dying(const TimedRanges<Lease>::Piece& piece, Reason reason);

  // The parts of the range that do not wait for a taker.
  std::vector<OffsetRange> not_ready(OffsetRange range) const { return ready_.missing(range); }
  bool has_dying() const { return !dying_.empty(); }
  // The first that dies, and why.
  std::optional<std::pair<Offset, Reason>> first_dying() const;
  void died(Offset offset);

  // What waits and is due becomes ready.
  void on_time(Now now);
  // The same of what is delayed, as much as may be ready at a time.
  void refill(Now now);
  // Delayed records that must be read again, now (DelayedRecords): from where; nullopt: none. Then
  // what was read from there. Errors: kInvalidBatch.
  std::optional<Offset> rescan_from(Now now);
  Result<> rescan(const storage::ReadResult& read, const storage::PartitionAcks* acks, Now now);
  std::optional<MonotonicTime> next_deadline() const;
  void shift(Duration gap);
  std::uint64_t leased_records() const { return leases_.offsets() + keyed_.leased(); }
  std::uint64_t waiting_records() const {
    return waiting_.offsets() + dying_.size() + delayed_.size();
  }

 private:
  struct Cut;
  bool is_full() const { return keyed_.held() + waiting_.size() + dying_.size() >= most_held_; }
  void make_ready(OffsetRange range, std::uint32_t position = 0);
  void let_go();
  void end(OffsetRange range);
  Pieces pieces_of(const std::vector<KeyedRecords::Leased>& leased);
  std::vector<OffsetRange> open_in(OffsetRange batch, const storage::PartitionAcks* acks) const;
  struct Open {
    OffsetRange range;
    bool fresh = false;
    std::uint32_t position = 0;  // of its first in the batch, where that is known
  };
  Result<> take_batch(const RecordBatchView& batch, Cut& cut);
  Result<> take_open(const RecordBatchView& batch, const std::vector<Open>& open, Offset behind,
                     Cut& cut);
  Result<> take_part(const RecordBatchView& part, Cut& cut);
  Result<> add_leased(const RecordBatchView& batch, const std::vector<Open>& open,
                      const std::vector<OffsetRange>& leased, Cut& cut);
  bool lease(OffsetRange range, Cut& cut);

  // What depends on the time: delivery_times.cc.
  Result<std::vector<OffsetRange>> deliverable(const RecordBatchView& batch,
                                               const std::vector<Open>& open, Cut& cut);
  void expire(OffsetRange range, Cut& cut);
  // By key: whether it is not to be delivered now, or ever.
  bool set_aside(const RecordView& record, bool fresh, Cut& cut);
  Result<> rescan(const RecordBatchView& batch, const storage::PartitionAcks* acks, Now now);
  void plan(Now now);

  // By key: delivery_by_key.cc.
  void begin_by_key(Cut& cut) const;
  std::size_t passing() const;
  bool is_crowded() const;
  Result<> take_by_key(const RecordBatchView& batch, Cut& cut);
  Result<> take_part_by_key(const RecordBatchView& part, Cut& cut);
  Result<> open(const RecordBatchView& batch, Offset from, const Cut& cut);
  Result<> read_on(const RecordBatchView& batch, Cut& cut);
  void pass_over(const RecordBatchView& batch);
  bool take_record(const Records::Iterator& record, Cut& cut);
  bool put(const KeyedRecords::Place& place, const Records::Iterator& record, bool fresh, Cut& cut);
  void give(const KeyedRecords::Place& place, std::size_t taker, const Records::Iterator& record,
            Cut& cut);
  void park(const KeyedRecords::Place& place, std::size_t taker, const Records::Iterator& record,
            Cut& cut);
  bool holds_enough(const Cut& cut) const;
  void skip(OffsetRange gap, Cut& cut);

  Place place_;
  const bool by_key_;
  const std::size_t most_held_, most_parked_bytes_;
  Offset next_, log_start_;
  Offset sweep_;               // where reading goes on among what is ready
  TimedRanges<Lease> leases_;  // not by key; due: their deadlines
  // Came back: nobody has it; not to be given before its time. With the first's position in its
  // batch, or 0.
  TimedRanges<std::uint32_t> ready_, waiting_;
  std::map<Offset, Reason> dying_;
  DelayedRecords delayed_;
  ReadAhead ahead_;                       // what of it is at hand is not in ready_
  std::optional<MonotonicTime> look_at_;  // at what is delayed
  KeyedRecords keyed_;
  std::optional<BegunBatch> reading_;
  Patience patience_;  // by key
};

}  // namespace leat::broker
