// What stands behind a record of a shared or key_shared group: the lease under which this member
// has it, and the way to say what became of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <asio/any_io_executor.hpp>

#include "client/completion.h"
#include "protocol/base/ids.h"
#include "protocol/native/delivery_messages.h"

namespace leat {

class Lease;
class ProcessSpans;

// What becomes of a record.
struct Settlement {
  native::Outcome outcome = native::Outcome::kAck;
  std::optional<std::chrono::milliseconds> delay;  // of kNack; none: the group's back-off
  std::string reason;                              // of kReject, for people
};

// Where records are settled: the consumer that got them. Any thread.
class Settler {
 public:
  virtual ~Settler() = default;
  // The lease's records from `first` on; those settled already are left out where they are many.
  // `done` may be empty.
  virtual void settle(Lease& lease, std::uint32_t first, std::uint32_t count,
                      const Settlement& settlement, Completion<> done) = 0;
  // Nobody has the lease's records any more. Called under whatever locks the caller holds.
  virtual void dropped(const Lease& lease) = 0;
  virtual asio::any_io_executor executor() = 0;
};

// Records of one partition that were delivered together. Lies in what they share, and so lives as
// long as one of them. All but `settler` is its settler's, and guarded by it.
class Lease {
 public:
  Lease() = default;
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    if (unsettled == 0) return;
    if (const auto to = settler.lock()) to->dropped(*this);
  }

  struct Part {
    Offset offset;
    bool settled = false;
  };
  std::weak_ptr<Settler> settler;
  std::uint64_t generation = 0;  // of the membership; it ends with the connection
  std::uint64_t delivery = 0;    // the broker's number of it
  TopicId topic;
  PartitionIndex partition;
  std::vector<Part> records;
  std::uint64_t first_number = 0;  // by key, of the first among all records that came
  std::uint32_t unsettled = 0;
  std::size_t bytes = 0;                // of the batches they lie in
  std::shared_ptr<ProcessSpans> spans;  // of those that were handed out, where there are spans
};

}  // namespace leat
