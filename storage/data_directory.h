// The data directory: made, recognised, locked. docs/disk_format.md.
#pragma once

#include <memory>
#include <string>

#include "protocol/base/random.h"
#include "protocol/base/result.h"
#include "storage/file_io.h"

namespace leat::storage {

inline constexpr int kDataFormatVersion = 9;
// Read still: a start makes it the newest, before it writes anything else.
inline constexpr int kOldestDataFormatVersion = 6;

struct DataDirectory {
  std::string path;
  std::unique_ptr<FileLock> lock;

  std::string journal() const { return path + "/journal"; }
  std::string rocksdb() const { return path + "/rocksdb"; }
  std::string large() const { return path + "/large"; }
};

// Opens `path`, creating its last component if missing; locks it and checks its format.
// Errors, each saying what to do: kDataDirMissing (parent missing), kDataDirNotWritable,
// kDataDirLocked, kDataDirForeign, kFormatUnsupported.
Result<DataDirectory> open_data_directory(FileIo& io, const std::string& path);

// For a look from outside: changes nothing, and keeps brokers out while it lives.
// Errors: kDataDirMissing, kDataDirForeign (nothing of Leat's is in it), kDataDirLocked, kIoError.
Result<DataDirectory> open_to_inspect(FileIo& io, const std::string& path);

// Says that what is in the directory is Leat's, in this format.
Result<> write_format(FileIo& io, const std::string& path);
// What the FORMAT file says, of what this version reads. Errors: kDataDirForeign,
// kFormatUnsupported; kNotFound, kIoError.
Result<int> read_format(FileIo& io, const std::string& path);

}  // namespace leat::storage
