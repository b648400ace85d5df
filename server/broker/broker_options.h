// What the broker allows: every queue, count and size has a limit, and a reply that says so. Each
// has a row in the option table (server/options.cc).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "protocol/compression.h"

namespace leat::broker {

struct BrokerOptions {
  bool auto_create_topics = false;
  std::int32_t auto_create_partitions = 1;
  bool allow_reset = false;            // clients may empty the broker
  std::uint64_t max_stored_bytes = 0;  // of records; beyond it they are refused; 0: no limit
  std::chrono::milliseconds retention_interval{10'000};  // between looks for old records
  // Classic groups.
  std::chrono::milliseconds group_min_session_timeout{6'000};
  std::chrono::milliseconds group_max_session_timeout{1'800'000};
  // For more members to come, when the first joins an empty group.
  std::chrono::milliseconds group_initial_rebalance_delay{0};
  // Without members or commits, until what a group has committed is forgotten; 0: never.
  std::chrono::milliseconds offset_retention{0};
  // Limits.
  std::size_t topics = 10'000;
  std::int32_t partitions_per_topic = 1'024;
  std::size_t partitions = 100'000;  // of all topics
  std::size_t groups = 10'000;
  std::size_t members_per_group = 1'000;
  std::size_t topics_per_member = 100;
  // Of all classic groups: what members say of themselves, and what they are assigned.
  std::size_t classic_group_bytes = 64 << 20;
  std::size_t batch_bytes = 8 << 20;
  std::size_t decompressed_bytes = kMaxDecompressedBytes;  // of a batch
  std::size_t checking_bytes = 24 << 20;  // of batches that wait for a check off the shard
  std::size_t fetch_bytes = 16 << 20;
  std::chrono::milliseconds fetch_wait{60'000};
  std::size_t waiting_fetches_per_connection = 4'096;
  std::size_t subscriptions_per_connection = 1'024;
  std::size_t leases_per_member = 100'000;  // records it may have un-acked
  // Records of a partition that wait to be tried again, or behind others of their key, in a group.
  std::size_t held_per_partition = 100'000;
  // By key, of a partition and a group: of records kept for members that may not take more now.
  std::size_t parked_bytes = 1 << 20;
  // Delayed records of a partition that each group knows one by one, at 16 bytes; others are read
  // again when their time comes.
  std::size_t delayed_in_memory = 1'000'000;
  // Of all partitions and groups: of delayed records that are read shortly before they are due.
  std::size_t read_ahead_bytes = 32 << 20;
  std::size_t commits_per_request = 10'000;
  std::size_t metadata_bytes = 4'096;
};

}  // namespace leat::broker
