// Reading a journal back (rule 4): follows the chain of groups from segment to segment, ends at the
// first break, and looks behind it for proof that acknowledged entries are missing.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "storage/journal.h"
#include "storage/journal_format.h"

namespace leat::storage {

// A segment that holds entries, as found.
struct ReplayedSegment {
  std::uint64_t number;
  std::uint64_t bytes;   // of the file
  JournalPosition last;  // of its last entry
};

struct Replayed {
  std::vector<ReplayedSegment> segments;  // those with at least one group of the chain
  JournalPosition last{};
  std::uint32_t chain = 0;  // checksum of the last group: what the next one names
  std::uint64_t entries_visited = 0;
  std::uint64_t torn_bytes = 0;
};

// Syncs every listed segment and the directory, then visits each intact entry above `persisted`.
// Errors: kCorruptStorage with segment and position; what the disk and the visitor give.
Result<Replayed> replay_journal(FileIo& io, const std::string& directory, const Manifest& manifest,
                                JournalPosition persisted, const Journal::Visitor& visit);

}  // namespace leat::storage
