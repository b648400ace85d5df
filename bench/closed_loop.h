// Clients that each send one batch and wait for its ack before the next, to whatever gives acks.
#pragma once

#include <cstdint>
#include <vector>

#include "bench/measure.h"
#include "protocol/base/bytes.h"

namespace leat::bench {

// What batches are sent to, from one thread.
class AckedLog {
 public:
  virtual ~AckedLog() = default;
  // Takes a copy of the batch for later; false: there is no room for it now.
  virtual bool append(std::uint32_t client, std::uint32_t partition, Bytes batch) = 0;
  // Waits until something happens; adds the clients whose batches became durable.
  virtual void wait(std::vector<std::uint32_t>& acked) = 0;
};

struct Load {
  std::size_t batch_bytes;
  std::uint64_t batches;
  std::uint32_t clients;
  std::uint32_t partitions;  // in turn
};

struct Ran {
  double seconds = 0;
  // From the ack of the batch before (the client has its next at once) to the ack; waiting for
  // room included.
  double median_ms = 0, worst_ms = 0;
};

// One record batch of so many bytes, its header included.
std::vector<std::byte> batch_of(std::size_t bytes);

Ran run(AckedLog& log, const Load& load);

}  // namespace leat::bench
