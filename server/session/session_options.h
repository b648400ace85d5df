// What a connection is bounded by. Each has a row in the option table (server/options.cc).
#pragma once

#include <chrono>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/native/frame.h"

namespace leat::session {

struct SessionOptions {
  std::string server_name = "leatd";
  native::FrameLimits limits;
  std::size_t requests_in_flight = 4'096;
  std::size_t kafka_requests_in_flight = 64;  // of a Kafka client, answered in order
  // A request of a Kafka client, which may carry batches for many partitions. Not a row of the
  // table: the server makes it half of what connections may hold together.
  std::size_t kafka_frame_bytes = 16 << 20;
  std::size_t output_bytes = 32 << 20;  // queued beyond this: no further request is taken
  std::size_t push_bytes = 256 << 10;   // queued beyond this: pushes wait
  Duration frame_deadline = std::chrono::seconds(10);  // for Hello, and for a frame once begun
};

}  // namespace leat::session
