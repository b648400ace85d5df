// The seam behind which batches are checked that would hold the shard up: decompressed, record by
// record. The server puts a thread there (server/check_thread.h), tests what they like.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

namespace leat::broker {

using CheckTicket = std::uint64_t;
using OwnedBatch = std::vector<std::byte>;

// What is asked of a batch.
struct BatchRules {
  std::size_t max_decompressed_bytes;
  bool keys = false;  // of every record, as where a topic compacts
};

// What a checked batch has beside records (rule 9).
struct BatchContents {
  bool timed = false;  // some record is to be delivered at a time, or until one
};

class BatchChecker {
 public:
  virtual ~BatchChecker() = default;
  // Takes a batch; Broker::on_checked() follows once for each ticket, in any order, never within
  // this call. The caller bounds how much waits here. A batch that is gone by the time it is looked
  // at interests nobody any more: whatever is then told of it is ignored.
  virtual void check(CheckTicket ticket, std::weak_ptr<const OwnedBatch> batch,
                     BatchRules rules) = 0;
};

// What a broker must know of a batch before it stores it, without what is in force elsewhere.
// Errors: those of RecordBatchView::parse() and validate(), and of read_extras().
Result<BatchContents> check_records(Bytes batch, BatchRules rules);

}  // namespace leat::broker
