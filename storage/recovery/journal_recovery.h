// Reading a journal back (rule 4): follows the chain of groups from segment to segment, ends at the
// first break, and looks behind it for proof that acknowledged entries are missing.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
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

// Proved: durable once, and not to be read.
struct JournalLoss {
  JournalPosition first, last;
  std::string where;

  std::string text() const;
};

// A journal as it was found, whatever is wrong with it.
struct JournalInspection {
  Replayed replayed;
  std::vector<std::string> damage;  // segments missing or cut, entries missing at the beginning
  bool begins_late = false;
  std::optional<JournalLoss> loss;
};

// The list of segments; a new one where there has never been an entry. Errors: kCorruptStorage when
// it is damaged, or missing where it has been; kFormatUnsupported, kIoError.
Result<Manifest> load_manifest(FileIo& io, const std::string& directory, JournalPosition persisted);

// What the list must have been, by the segments that are there; for a journal that is looked at.
Result<Manifest> rebuild_manifest(FileIo& io, const std::string& directory);

// Syncs every listed segment and the directory, then visits each intact entry above `persisted`.
// Errors: kCorruptStorage with segment and position; what the disk and the visitor give.
Result<Replayed> replay_journal(FileIo& io, const std::string& directory, const Manifest& manifest,
                                JournalPosition persisted, const Journal::Visitor& visit);

// The same for a look from outside: changes nothing, goes on at damage, and visits with `behind`
// the entries behind a loss, which nobody may serve: first those of the group that is damaged, as
// far as they can be read, then intact ones.
Result<JournalInspection> inspect_journal(FileIo& io, const std::string& directory,
                                          const Manifest& manifest, JournalPosition persisted,
                                          const Journal::Visitor& visit,
                                          const Journal::Visitor& behind);

}  // namespace leat::storage
