// What RocksDB itself lets pass at open, though it takes files away: no CURRENT among files, where
// it would begin anew, and a MANIFEST with a hole, of which it goes on behind (a zeroed block reads
// as space that was allocated ahead).
#pragma once

#include <string>

#include "protocol/base/result.h"
#include "storage/file_io.h"

namespace leat::storage {

// Whether RocksDB's directory has been made. A torn end of the MANIFEST is no damage: what it would
// have said was not relied on. Errors: kCorruptStorage, naming the file; kIoError.
Result<bool> check_rocks_manifest(FileIo& io, const std::string& directory);

}  // namespace leat::storage
