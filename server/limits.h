// The limits of a broker, part by part. The defaults stand where the parts are declared; each field
// is a row of the option table (options.cc), by which leatd sets it.
#pragma once

#include "server/broker/broker_options.h"
#include "server/reactor/reactor.h"
#include "server/session/session_options.h"

namespace leat {

// How data at rest is verified in the background.
struct ScrubLimits {
  std::size_t rate = 8 << 20;  // bytes a second; 0: never
  Duration interval = std::chrono::hours(7 * 24);
};

// What a restart may have to replay (rule 5).
struct ReplayLimits {
  std::uint64_t unpersisted_bytes = 384 << 20;
  std::uint64_t unpersisted_entries = 500'000;
  std::size_t journal_segment_bytes = 64 << 20;
};

struct ServerLimits {
  broker::BrokerOptions broker;
  session::SessionOptions session;
  reactor::ReactorLimits reactor;
  ReplayLimits replay;
  ScrubLimits scrub;
  std::uint64_t disk_reserve = 0;  // storage::StorageOptions::reserve_bytes; 0: what it takes
  std::size_t snapshots = 16;      // storage::StorageOptions::snapshots
  std::size_t producers = 10'000;  // storage::StorageOptions::producers
  std::size_t sources = 10'000;    // storage::StorageOptions::sources
  std::size_t dedup_ids = 0;       // of all partitions; 0: as memory has room
};

// Whether they go together: a batch must fit into a frame, and so on. Error: kUsage.
Result<> check_limits(const ServerLimits& limits);

}  // namespace leat
