// Storage's own door to the disk (rule 14). The real disk stands behind real_file_io(); tests put
// one in its place that fails operations or drops what was not synced, and RocksDB's files then go
// through it too (rocks_file_system.h).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

namespace leat::storage {

class ReadQueue;
class WriteQueue;

// O_DIRECT needs memory, offsets and lengths in multiples of this.
inline constexpr std::size_t kBlockBytes = 4096;

// An open file. One thread at a time, but that several may write to places of their own.
// Destruction closes it.
class File {
 public:
  virtual ~File() = default;
  // Writes all of `bytes` at `at`, or fails (kNoSpace, kIoError): then any part may have arrived.
  virtual Result<> write(std::uint64_t at, Bytes bytes) = 0;
  // The same of several, one behind the other.
  virtual Result<> write(std::uint64_t at, std::span<const Bytes> pieces);
  // Reads up to `into.size()` bytes; fewer only at the end of the file. Error: kIoError.
  virtual Result<std::size_t> read(std::uint64_t at, MutableBytes into) = 0;
  // Everything written so far is on stable storage (fdatasync). After a failure nothing may be
  // assumed of what was written before, and a repeated call proves nothing.
  virtual Result<> sync() = 0;
  virtual Result<std::uint64_t> size() = 0;
  // Cuts the file, or lengthens it with zeros.
  virtual Result<> truncate(std::uint64_t bytes) = 0;
  // Lengthens the file with zeros and gets the room for them, without writing them.
  // Errors: kNoSpace; kUnsupportedRequest where the file system cannot.
  virtual Result<> allocate(std::uint64_t bytes) = 0;

  // For the write queue that belongs to the same FileIo: what the kernel calls the file, and what
  // came of a write of `pieces` at `at` to it, by the kernel's `result`: writes what is missing.
  virtual int descriptor() const { return -1; }
  virtual Result<> end_write(std::uint64_t at, std::span<const Bytes> pieces, int result);
};

struct OpenOptions {
  bool create = false;         // create if missing
  bool write = false;          // else read only
  bool direct = false;         // O_DIRECT where the file system takes it, else buffered
  bool write_through = false;  // a write returns when it is durable: O_DSYNC, or a sync behind it
};

// Held until destroyed.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

// Any thread. Paths are absolute or relative to the process's directory; files are opened CLOEXEC.
// Errors, unless said otherwise: kNotFound, kNotAllowed, kNoSpace, kIoError, each with the path.
class FileIo {
 public:
  virtual ~FileIo() = default;
  // Whether its paths and files are the kernel's own, with nothing between: then RocksDB opens them
  // by itself, which is quicker.
  virtual bool native() const { return false; }
  virtual Result<std::unique_ptr<File>> open(const std::string& path,
                                             const OpenOptions& options) = 0;
  virtual Result<> rename(const std::string& from, const std::string& to) = 0;
  virtual Result<> remove(const std::string& path) = 0;
  // A second name, which must be free, of a file on the same file system.
  virtual Result<> link(const std::string& from, const std::string& to) = 0;
  virtual Result<std::uint64_t> links(const std::string& path) = 0;  // so many names a file has
  virtual Result<> make_directory(const std::string& path) = 0;      // fine if it exists
  virtual Result<> remove_directory(const std::string& path) = 0;    // an empty one
  virtual Result<> sync_directory(const std::string& path) = 0;
  virtual Result<std::vector<std::string>> list(const std::string& path) = 0;  // names, sorted
  virtual Result<bool> exists(const std::string& path) = 0;
  // Bytes that can still be written to the file system that holds `path`.
  virtual Result<std::uint64_t> free_bytes(const std::string& path) = 0;
  // Whether files in the directory can be opened for O_DIRECT: tmpfs and some overlays refuse it.
  virtual bool takes_direct_io(const std::string& directory) = 0;
  // Creates `path` if missing, takes an exclusive lock on it and writes this process's id into it.
  // kDataDirLocked, with the holder's id where it can be read, when another holds it.
  virtual Result<std::unique_ptr<FileLock>> lock(const std::string& path) = 0;
  // Takes a lock on a file that lock() would take, together with others who only look, and writes
  // nothing. Errors: kNotFound; kDataDirLocked.
  virtual Result<std::unique_ptr<FileLock>> lock_to_inspect(const std::string& path) {
    return lock(path);
  }
  // Writes to its files, `depth` at a time, for the calling thread.
  // Error: kUnsupportedRequest, with the reason, where there is no io_uring.
  virtual Result<std::unique_ptr<WriteQueue>> write_queue(std::size_t depth) = 0;
  // Reads from its files, up to `depth` at once where that can be had.
  virtual std::unique_ptr<ReadQueue> read_queue(std::size_t depth);
};

FileIo& real_file_io();

// Writes `bytes` to `path` so that a reader finds the old content or the new, whole, also after a
// power cut: temporary file, sync, rename, directory sync.
Result<> replace_file(FileIo& io, const std::string& directory, const std::string& name,
                      Bytes bytes);
// The whole content, at most `max_bytes` (kCorruptStorage beyond that).
Result<std::vector<std::byte>> read_file(FileIo& io, const std::string& path,
                                         std::size_t max_bytes);

}  // namespace leat::storage
