// What is asked of a batch before it is stored, and the seam behind which that is done for batches
// that would hold the shard up: decompressed, record by record. The server puts a thread there
// (server/check_thread.h), tests what they like.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/trace/trace_context.h"
#include "storage/ids.h"

namespace leat::broker {

using CheckTicket = std::uint64_t;
using OwnedBatch = std::vector<std::byte>;

// How message ids are looked at.
struct IdRules {
  TopicId topic;
  std::uint64_t salt = 0;  // nobody's to know, so that nobody can make a batch that takes long
};

// What is asked of a batch.
struct BatchRules {
  std::size_t max_bytes = SIZE_MAX;  // of the whole, as it came
  std::size_t max_decompressed_bytes;
  bool keys = false;           // of every record, as where a topic compacts
  std::optional<IdRules> ids;  // where they mean something
  bool traces = false;         // note which records are traced
};

// A record whose id is that of an earlier one of its batch.
struct RepeatedId {
  std::int32_t delta;   // of its offset, in the batch
  std::uint32_t first;  // which of BatchContents::ids
};

// A record that is part of a trace that is recorded.
struct TracedRecord {
  std::int32_t delta;  // of its offset, in the batch
  TraceContext sent;   // the span that sent it
};
inline constexpr std::size_t kMostTracedInBatch = 1'024;  // more are not noted

// The traced records of a batch that was appended, for whoever tells of it.
struct AppendTraces {
  std::string topic;
  PartitionIndex partition;
  MonotonicTime received{};
  std::vector<TracedRecord> records;
};

// What a checked batch has beside records (rule 9).
struct BatchContents {
  bool timed = false;  // some record is to be delivered at a time, or until one
  // Of records with an id, by rising delta: each id once, and the records that repeat one.
  std::vector<storage::RecordId> ids;
  std::vector<RepeatedId> repeated;
  std::vector<TracedRecord> traces = {};  // where that is asked for; by rising delta
};

// The records at these offset deltas, rising, are to be taken out of a batch that was checked.
struct Rewriting {
  std::size_t max_decompressed_bytes;
  std::vector<std::int32_t> without;
};

class BatchChecker {
 public:
  virtual ~BatchChecker() = default;
  // Each takes a batch; Broker::on_checked() or on_rewritten() follows once for each ticket, in any
  // order, never within the call. The caller bounds how much waits here. A batch that is gone by
  // the time it is looked at interests nobody any more: whatever is then told of it is ignored.
  virtual void check(CheckTicket ticket, std::weak_ptr<const OwnedBatch> batch,
                     BatchRules rules) = 0;
  virtual void rewrite(CheckTicket ticket, std::weak_ptr<const OwnedBatch> batch,
                       Rewriting rewriting) = 0;
};

// What a broker must know of a batch before it stores it, without what is in force elsewhere.
// Errors: those of RecordBatchView::parse() and validate(), and of read_extras(); kBatchTooLarge
// for more than kMaxIdsInBatch records with ids.
Result<BatchContents> check_records(Bytes batch, const BatchRules& rules);

// The batch that is left, with its range of offsets kept (rule 9).
Result<OwnedBatch> rewrite(Bytes batch, const Rewriting& rewriting);

}  // namespace leat::broker
