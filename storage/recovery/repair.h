// Makes a damaged data directory one that starts (leatd --repair): what is intact is copied into a
// new RocksDB, offsets that are lost become batches without records, so that the ranges of a
// partition adjoin and none is used again (rules 3, 6), and a new journal goes on behind what is
// known of the old. What was there is moved aside, never deleted; a report says what is lost.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "storage/recovery/inspection.h"
#include "storage/store.h"

namespace leat::storage {

inline constexpr const char* kDamagedDirectory = "damaged";
inline constexpr const char* kReportPrefix = "repair-";

struct Repaired {
  std::string report;  // the file; empty: there was nothing to repair
  std::uint64_t lost_offsets = 0;
};

// `now` names the report and what is set aside. Errors: those of Inspection::run; kNoSpace, for
// what is intact is written once more; kCorruptStorage when only a backup helps; kIoError.
Result<Repaired> repair_directory(FileIo& io, const std::string& path, WallTime now,
                                  const Inspection::Tell& tell);

}  // namespace leat::storage
