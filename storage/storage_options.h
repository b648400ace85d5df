// How storage on disk is opened.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "protocol/base/clock.h"
#include "storage/recovery/scrubber.h"
#include "storage/write_queue.h"

namespace leat::storage {

struct StorageOptions {
  std::string data_dir;
  // Shared out as memory_shares.h says.
  std::size_t memory_bytes = 384 << 20;
  // Rule 5's bounds on what a restart would have to replay.
  std::uint64_t max_unpersisted_bytes = 384 << 20;
  std::uint64_t max_unpersisted_entries = 500'000;
  std::size_t journal_segment_bytes = 64 << 20;
  WriteMode journal_writes = WriteMode::kAuto;
  // Batches of this size are not copied into RocksDB (large_batches.h).
  std::size_t large_batch_bytes = 32 << 10;
  // Free space below which records are refused, so that commits, deletions and what gives space
  // back go on; nullopt: as much as memtables and the journal may still need.
  std::optional<std::uint64_t> reserve_bytes;
  std::size_t scrub_rate = 8 << 20;  // bytes a second that are verified at rest; 0: none
  Duration scrub_interval = ScrubberOptions().interval;
  std::size_t snapshots = 16;      // SnapshotOptions::most
  std::size_t producers = 10'000;  // producers times partitions whose newest batches are known
  std::size_t sources = 10'000;    // sources times partitions whose positions are kept
  // Message ids that are known, of all partitions; nullopt: one for each 32 bytes of memory_bytes.
  // They take about five bytes each, beside what is shared out.
  std::optional<std::uint64_t> dedup_ids;
  // For tests: called at named points on storage's threads (journal.h, store.cc).
  std::function<void(const char* point)> at_point;
};

}  // namespace leat::storage
