// The consumer without threads, sockets or clock: where each partition begins, what to ask the
// broker for, a bounded store of what it delivered, positions that neither skip nor go back. The
// owner serialises calls.
//
// A partition's position is found in steps (committed offset, bounds or time), then it is
// subscribed to, or fetched from where the broker cannot push. A step that a lost connection
// interrupted is asked again. What goes wrong in one partition is told once, by take() or next();
// the others go on, and so does the one after seek().
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "client/config.h"
#include "client/shared_record.h"
#include "protocol/base/result.h"
#include "protocol/record_batch.h"

namespace leat {

struct PartitionKey {
  TopicId topic;
  PartitionIndex partition;
  friend auto operator<=>(const PartitionKey&, const PartitionKey&) = default;
};
using TopicName = std::shared_ptr<const std::string>;

class ConsumerLogic {
 public:
  struct Position {
    Offset offset;
    std::int32_t leader_epoch = -1;  // of the record before it, if known
  };
  struct PartitionPosition {
    PartitionKey key;
    TopicName topic;
    Position position;
    bool moved = false;  // since the partition began, or seek()
  };
  struct Bounds {
    Offset log_start, high_watermark;
  };

  struct Subscribe {
    std::uint32_t subscription;
    PartitionKey key;
    Position from;
    std::uint64_t bytes;
  };
  struct Grant {
    std::uint32_t subscription;
    std::uint64_t bytes;
  };
  struct Fetch {
    std::uint32_t subscription;  // for this one fetch
    PartitionKey key;
    Position from;
  };
  struct FindTime {
    PartitionKey key;
    std::int64_t timestamp_ms;
  };
  // What to ask the broker now.
  struct Wanted {
    std::vector<PartitionKey> committed;     // answered by committed()
    std::map<TopicId, TopicName> bounds;     // by bounds()
    std::vector<FindTime> times;             // by found()
    std::vector<Subscribe> subscribe;        // by subscribed() or ended()
    std::vector<Fetch> fetch;                // by fetched() or ended()
    std::vector<Grant> grants;               // not at all
    std::vector<std::uint32_t> unsubscribe;  // nor these
  };

  // Numbers of subscriptions come from outside: consumers share a connection.
  using NextNumber = std::function<std::uint32_t()>;
  ConsumerLogic(const ConsumerOptions& options, NextNumber next_number)
      : options_(options), next_number_(std::move(next_number)) {}

  // From the committed offset, where there is a group, else from the start chosen.
  void assign(const PartitionKey& key, TopicName topic);
  void remove(const PartitionKey& key);
  bool has(const PartitionKey& key) const { return partitions_.contains(key); }
  std::optional<PartitionKey> find(const TopicPartition& partition) const;

  Wanted wanted();
  // What the broker answered. Of `asked`, those that are not in `found` have no committed offset.
  void committed(const std::vector<PartitionKey>& asked,
                 const std::vector<std::pair<PartitionKey, Position>>& found);
  void bounds(TopicId topic, const std::vector<Bounds>& partitions);
  void found(const PartitionKey& key, Offset offset);
  void subscribed(std::uint32_t subscription, Offset high_watermark);
  // Batches pushed or fetched: copied. What belongs to no subscription (any more) is ignored.
  void pushed(std::uint32_t subscription, Bytes batches, Offset high_watermark);
  void fetched(std::uint32_t subscription, Bytes batches, Offset high_watermark);
  void ended(std::uint32_t subscription, const Error& why);
  // Finding the position failed.
  void refused(const PartitionKey& key, const Error& why);
  void disconnected();

  // Records of one delivery, partitions in turn; empty when nothing is held. A delivery that holds
  // much once decompressed comes in several calls: each ends behind the batch with which it reaches
  // the prefetch bound.
  // Errors: what went wrong in a partition, once; its name stands in front.
  Result<SharedRecords> take();
  std::optional<Error> take_error();
  // The same, one by one; nullopt when nothing is held.
  Result<std::optional<SharedRecord>> next();
  // Whether take() or next() would give something, an error included.
  bool holds_something() const;
  // Whether a delivery was begun since this was last asked: there may be more to want.
  bool made_room() { return std::exchange(made_room_, false); }
  // What was handed out so far has been worked on: the caller has come for more.
  void came_for_more();

  void seek(const PartitionKey& key, Offset to);
  void pause(const PartitionKey& key, bool paused);

  // Every assigned partition knows where it begins.
  bool resolved() const;
  // Behind what was handed out, per partition that knows it; `settled`: before came_for_more().
  std::vector<PartitionPosition> positions(bool settled = false) const;
  std::vector<std::pair<PartitionKey, TopicName>> assigned() const;
  // Records that were jumped over, as on_reset says: gone before they were read, most of them.
  std::int64_t skipped() const { return skipped_; }
  // As of the newest delivery.
  std::optional<Offset> high_watermark(const PartitionKey& key) const {
    return partitions_.at(key).high_watermark;
  }

 private:
  enum class Phase : std::uint8_t { kCommitted, kBounds, kTime, kTruncated, kActive, kStopped };
  // One delivery's batches, from the first that was not taken.
  struct Held {
    std::shared_ptr<const std::vector<std::byte>> bytes;
    Bytes rest;
    Offset first;  // what lies below was not asked for, or is gone
  };
  struct Partition {
    TopicName topic;
    Phase phase = Phase::kCommitted;
    StartFrom start;
    bool asked = false, paused = false;
    bool started = false;  // the positions are known
    Offset began;
    Position position, settled, next;  // handed out; worked on; delivered by the broker
    std::optional<Offset> high_watermark;
    std::uint32_t subscription = 0;
    std::uint64_t received_bytes = 0, granted_bytes = 0;  // of the subscription
    std::deque<Held> held;
    std::size_t held_bytes = 0;
  };
  // What take() and next() hand out from.
  struct Decoded {
    Held from;
    TopicName topic;
    TopicId topic_id;
    std::vector<RecordReader> readers;
  };
  struct Current {
    PartitionKey key;
    std::shared_ptr<Decoded> owner;
    std::vector<ConsumedRecord> records;
    std::size_t next = 0;
    Position end;
  };

  void start_at(Partition& partition, Position position);
  void begin(Partition& partition);
  void jump(const PartitionKey& key, Partition& partition, Offset to);
  Result<Offset> first_offset(const Partition& partition, const Bounds& bounds) const;
  void report(const PartitionKey& key, const Partition& partition, const Error& why);
  void stop(const PartitionKey& key, Partition& partition, const Error& why);
  void unsubscribe(Partition& partition);
  void drop_held(const PartitionKey& key, Partition& partition);
  void put_back();
  std::size_t share() const;
  void want_delivery(const PartitionKey& key, Partition& partition, Wanted& wanted);
  Result<> keep(Partition& partition, Bytes batches, Offset high_watermark);
  bool refill();
  Result<> decode(const PartitionKey& key, Partition& partition);

  ConsumerOptions options_;
  std::map<PartitionKey, Partition> partitions_;
  std::unordered_map<std::uint32_t, PartitionKey> subscriptions_;
  std::vector<std::uint32_t> to_unsubscribe_;
  NextNumber next_number_;
  bool made_room_ = false;
  bool push_ = true;  // until the broker says that it cannot
  std::deque<std::pair<PartitionKey, Error>> errors_;
  PartitionKey turn_{};  // served last
  std::optional<PartitionKey> handed_out_;
  std::optional<Current> current_;
  std::int64_t skipped_ = 0;
};

}  // namespace leat
