// Strong names and options of the client library. Durations are std::chrono, sizes bytes. Options
// are aggregates: name what you change, .linger = 5ms.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/records.h"
#include "client/tracing/trace_options.h"
#include "protocol/base/error.h"
#include "protocol/compression.h"

namespace leat {

struct ClientOptions {
  std::string broker = "leat://127.0.0.1:5328";  // or unix:///path
  std::string client_name = "leat-cpp";          // for the broker's log and `leat group info`
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds request_timeout{10'000};
  // Between attempts to reconnect: doubled from min to max, with jitter.
  std::chrono::milliseconds min_backoff{20};
  std::chrono::milliseconds max_backoff{1'000};
  // Spans of what is sent and processed; none, unless it names an endpoint.
  TraceOptions trace;
};

struct ProducerOptions {
  std::chrono::milliseconds linger{5};  // a batch waits so long for company
  std::size_t batch_bytes = 256 << 10;  // before compression
  Compression compression = Compression::kNone;
  // Batches carry a producer id and a sequence: however often one is sent, it is stored once.
  bool idempotent = true;
  std::size_t max_in_flight = 5;        // unacknowledged batches of a partition; idempotent: <= 5
  std::size_t buffer_bytes = 32 << 20;  // unacknowledged records; beyond it sending waits or fails
  std::chrono::milliseconds delivery_timeout{120'000};  // from send() to giving up
  // The name, 1 to 255 bytes of UTF-8, of what the records are read from: a database's log, a file.
  // Each then has its `source_position`. The broker keeps, for the name and each partition, the
  // position of the last record it stored, and stores nothing twice and nothing out of order: a
  // producer that begins anew, in another process, may send from any earlier position; what is
  // there already is acked as a duplicate. So that there is no gap, a record that fails takes with
  // it everything behind it in its partition, and whatever is sent there later: begin anew with
  // another producer. One producer of a name at a time; with two, one gets kSourceConflict. Takes
  // the place of `idempotent`. Adding partitions to the topic moves keys, so do it while everything
  // that was read is acknowledged.
  std::optional<std::string> source;
};

// Where a consumer begins in a partition its group has not committed (or that has no group).
struct StartFrom {
  enum class Kind { kEarliest, kLatest, kOffset, kLast, kTime };
  Kind kind = Kind::kEarliest;
  std::int64_t value = 0;  // the offset, how many records before the end, or ms since 1970

  static StartFrom earliest() { return {}; }
  static StartFrom latest() { return {Kind::kLatest, 0}; }
  static StartFrom offset(std::int64_t at) { return {Kind::kOffset, at}; }
  static StartFrom last(std::int64_t records) { return {Kind::kLast, records}; }
  // The first record at or after it; where none is as late, what comes next.
  static StartFrom time(Timestamp at) { return {Kind::kTime, at.time_since_epoch().count()}; }
};

// What to do when the position is no longer (retention; see skipped()), or not yet, in the
// partition.
enum class OnReset : std::uint8_t { kEarliest, kLatest, kError };

struct ConsumerOptions {
  std::vector<std::string> topics;
  // Resumes from, and commits to, its offsets. Joins it too, sharing the topics' partitions with
  // its other members, unless `by_hand`.
  std::optional<Group> group;
  bool by_hand = false;                    // read `partitions`, whatever others read
  std::vector<PartitionIndex> partitions;  // of each topic; empty: all. Implies `by_hand`
  StartFrom start;
  bool ignore_committed = false;  // begin at `start` although the group has committed
  OnReset on_reset = OnReset::kEarliest;
  // Commits what was handed out before the latest poll() or next() that often; 0: only on demand.
  std::chrono::milliseconds auto_commit{0};

  // How the group's members share: whole partitions, or, in kShared and kKeyShared, each record by
  // itself, leased to one member until it says what became of it (shared_record.h). What follows is
  // for those two, and all from max_deliveries on the group's, as its latest member says. Without a
  // position of the group they begin at StartFrom::earliest() or latest().
  GroupKind kind = GroupKind::kPartitioned;
  std::chrono::milliseconds ack_timeout{30'000};  // not settled for so long: again, to anyone
  std::size_t prefetch_records = 1'000;  // delivered and not settled; as many as ack_timeout allows
  bool auto_ack = false;                 // a record is acked when the caller comes for the next one
  std::uint32_t max_deliveries = 0;      // then to the dead letter topic; 0: never
  std::string dead_letter;               // empty: TOPIC.dlq
  bool dead_letter_expired = false;      // what expires goes there, instead of nowhere
  // Before a second delivery, doubled from one to the next up to the second; 0: at once.
  std::chrono::milliseconds min_backoff{0}, max_backoff{0};

  std::uint32_t fetch_bytes = 1 << 20;    // a delivery brings at most so much, at least one batch
  std::size_t prefetch_bytes = 16 << 20;  // held beyond what was handed out, all partitions; of
                                          // leased records: not settled
  std::size_t decompressed_bytes = kMaxDecompressedBytes;  // more in one batch is an error
  std::chrono::milliseconds session_timeout{10'000};       // silent for so long: out of the group
  std::chrono::milliseconds rebalance_timeout{30'000};  // to come for more when asked to give back

  // Rebalance events, told before poll() or next() gives records: on the thread that polls for the
  // blocking consumer, on the client's for the asynchronous one, where they must not wait.
  // `revoked` is told before the partitions are given back: what it commits still counts.
  // `lost` is told when others may have them already: nothing can be committed.
  std::function<void(std::span<const TopicPartition>)> on_assigned, on_revoked, on_lost;

  // Whether this is a member of the group.
  bool joins() const { return group && !by_hand && partitions.empty(); }
  // Whether records are leased one by one.
  bool leases() const { return kind == GroupKind::kShared || kind == GroupKind::kKeyShared; }
};

struct RequesterOptions {
  std::string reply_topic;                   // replies come to one of its partitions
  std::chrono::milliseconds timeout{5'000};  // from request() to giving up
  std::size_t max_in_flight = 1'000;         // requests that wait for their reply
};

}  // namespace leat
