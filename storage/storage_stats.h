// What a storage counts, for logs and metrics.
#pragma once

#include <cstdint>

#include "storage/journal.h"

namespace leat::storage {

// What has gone to the disk since the storage was opened, by cause, and what for. What is not
// counted is small: manifests and RocksDB's log of events.
struct DiskWrites {
  std::uint64_t payload = 0;             // bytes of batches that were appended
  std::uint64_t journal_groups = 0;      // entries, with what frames them
  std::uint64_t journal_prewritten = 0;  // zeros of new segments
  std::uint64_t flushed = 0;             // by RocksDB, from memory
  std::uint64_t rewritten = 0;           // by RocksDB, to give space back

  std::uint64_t all() const { return journal_groups + journal_prewritten + flushed + rewritten; }
};

struct StorageStats {
  JournalStats journal;
  JournalRecovery recovery;
  DiskWrites writes;
  std::uint64_t known_ids = 0;       // message ids, of all partitions
  std::uint64_t read_ahead = 0;      // reads that were made, or begun, before they were asked for
  std::uint64_t scrubbed_bytes = 0;  // verified at rest, in the background
  std::uint64_t damage = 0;          // ranges and files that are known to be damaged
};

}  // namespace leat::storage
