#include "storage/rocks/rocks_file_system.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <filesystem>
#include <mutex>

namespace leat::storage {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

// As RocksDB's own file system reports it: space may come back, anything else may not.
IOStatus status_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::kNotFound:
      return IOStatus::PathNotFound(error.message());
    case ErrorCode::kNoSpace: {
      IOStatus status = IOStatus::NoSpace(error.message());
      status.SetRetryable(true);
      return status;
    }
    default:
      return IOStatus::IOError(error.message());
  }
}
template <class T>
IOStatus status_of(const Result<T>& result) {
  return result ? IOStatus::OK() : status_of(result.error());
}

Bytes bytes_of(const Slice& data) {
  return as_bytes(std::string_view(data.data(), data.size()));
}

IOStatus read_at(File& file, std::uint64_t at, std::size_t bytes, char* into, Slice* read) {
  const auto done = file.read(at, {reinterpret_cast<std::byte*>(into), bytes});
  *read = Slice(into, done.value_or(0));
  return status_of(done);
}

class SequentialFile final : public rocksdb::FSSequentialFile {
 public:
  explicit SequentialFile(std::unique_ptr<File> file) : file_(std::move(file)) {}

  IOStatus Read(std::size_t bytes, const IOOptions&, Slice* read, char* into,
                IODebugContext*) override {
    const IOStatus status = read_at(*file_, at_, bytes, into, read);
    at_ += read->size();
    return status;
  }
  IOStatus Skip(std::uint64_t bytes) override {
    at_ += bytes;
    return IOStatus::OK();
  }

 private:
  std::unique_ptr<File> file_;
  std::uint64_t at_ = 0;
};

class RandomAccessFile final : public rocksdb::FSRandomAccessFile {
 public:
  RandomAccessFile(std::unique_ptr<File> file, bool direct)
      : file_(std::move(file)), direct_(direct) {}

  IOStatus Read(std::uint64_t at, std::size_t bytes, const IOOptions&, Slice* read, char* into,
                IODebugContext*) const override {
    return read_at(*file_, at, bytes, into, read);
  }
  bool use_direct_io() const override { return direct_; }
  std::size_t GetRequiredBufferAlignment() const override { return kBlockBytes; }

 private:
  std::unique_ptr<File> file_;
  bool direct_;
};

// RocksDB pads the last block of a direct write, writes it again when it is full, and cuts the file
// to its length at the end.
class WritableFile final : public rocksdb::FSWritableFile {
 public:
  WritableFile(std::unique_ptr<File> file, bool direct) : file_(std::move(file)), direct_(direct) {}

  using FSWritableFile::Append;
  using FSWritableFile::PositionedAppend;
  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* context) override {
    return PositionedAppend(data, bytes_, options, context);
  }
  IOStatus PositionedAppend(const Slice& data, std::uint64_t at, const IOOptions&,
                            IODebugContext*) override {
    const auto ok = file_->write(at, bytes_of(data));
    if (ok) bytes_ = std::max(bytes_, at + data.size());
    return status_of(ok);
  }
  IOStatus Truncate(std::uint64_t bytes, const IOOptions&, IODebugContext*) override {
    if (bytes == bytes_) return IOStatus::OK();
    const auto ok = file_->truncate(bytes);
    if (ok) bytes_ = bytes;
    return status_of(ok);
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return status_of(file_->sync()); }
  bool IsSyncThreadSafe() const override { return true; }
  bool use_direct_io() const override { return direct_; }
  std::size_t GetRequiredBufferAlignment() const override { return kBlockBytes; }
  std::uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return bytes_; }

 private:
  std::unique_ptr<File> file_;
  bool direct_;
  std::uint64_t bytes_ = 0;
};

class Directory final : public rocksdb::FSDirectory {
 public:
  Directory(FileIo& io, std::string path) : io_(io), path_(std::move(path)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    return status_of(io_.sync_directory(path_));
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }

 private:
  FileIo& io_;
  std::string path_;
};

class HeldLock final : public rocksdb::FileLock {
 public:
  explicit HeldLock(std::unique_ptr<storage::FileLock> lock) : lock_(std::move(lock)) {}

 private:
  std::unique_ptr<storage::FileLock> lock_;
};

// Lines are gathered: an open writes hundreds. What cannot be written of them is left out.
class LogFile final : public rocksdb::Logger {
 public:
  explicit LogFile(std::unique_ptr<File> file) : file_(std::move(file)) {}
  ~LogFile() override { write_gathered(); }

  using Logger::Logv;
  void Logv(const char* format, std::va_list arguments) override {
    char line[1024];
    const int length = std::vsnprintf(line, sizeof line - 1, format, arguments);
    if (length < 0) return;
    const auto bytes = std::min<std::size_t>(static_cast<std::size_t>(length), sizeof line - 2);
    line[bytes] = '\n';
    const std::lock_guard lock(mutex_);
    gathered_.append(line, bytes + 1);
    if (gathered_.size() >= kGatheredBytes) write_gathered();
  }
  void Flush() override {
    const std::lock_guard lock(mutex_);
    write_gathered();
  }
  std::size_t GetLogFileSize() const override {
    const std::lock_guard lock(mutex_);
    return written_ + gathered_.size();
  }

 private:
  static constexpr std::size_t kGatheredBytes = 64 << 10;
  void write_gathered() {
    if (!gathered_.empty() && file_->write(written_, bytes_of(gathered_)))
      written_ += gathered_.size();
    gathered_.clear();
  }

  std::unique_ptr<File> file_;
  mutable std::mutex mutex_;
  std::string gathered_;
  std::size_t written_ = 0;
};

}  // namespace

IOStatus RocksFileSystem::NewSequentialFile(const std::string& path, const FileOptions&,
                                            std::unique_ptr<rocksdb::FSSequentialFile>* file,
                                            IODebugContext*) {
  auto opened = io_.open(path, {});
  if (opened) *file = std::make_unique<SequentialFile>(std::move(*opened));
  return status_of(opened);
}

IOStatus RocksFileSystem::NewRandomAccessFile(const std::string& path, const FileOptions& options,
                                              std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                              IODebugContext*) {
  auto opened = io_.open(path, {.direct = options.use_direct_reads});
  if (opened)
    *file = std::make_unique<RandomAccessFile>(std::move(*opened), options.use_direct_reads);
  return status_of(opened);
}

IOStatus RocksFileSystem::NewWritableFile(const std::string& path, const FileOptions& options,
                                          std::unique_ptr<rocksdb::FSWritableFile>* file,
                                          IODebugContext*) {
  auto opened =
      io_.open(path, {.create = true, .write = true, .direct = options.use_direct_writes});
  if (!opened) return status_of(opened);
  // A new file, also where a crash left one of that name.
  if (auto ok = (*opened)->truncate(0); !ok) return status_of(ok);
  *file = std::make_unique<WritableFile>(std::move(*opened), options.use_direct_writes);
  return IOStatus::OK();
}

IOStatus RocksFileSystem::NewDirectory(const std::string& path, const IOOptions&,
                                       std::unique_ptr<rocksdb::FSDirectory>* directory,
                                       IODebugContext*) {
  *directory = std::make_unique<Directory>(io_, path);
  return IOStatus::OK();
}

IOStatus RocksFileSystem::FileExists(const std::string& path, const IOOptions&, IODebugContext*) {
  const auto exists = io_.exists(path);
  if (exists && !*exists) return IOStatus::NotFound(path);
  return status_of(exists);
}

IOStatus RocksFileSystem::GetChildren(const std::string& directory, const IOOptions&,
                                      std::vector<std::string>* names, IODebugContext*) {
  auto listed = io_.list(directory);
  if (listed) *names = std::move(*listed);
  return status_of(listed);
}

IOStatus RocksFileSystem::DeleteFile(const std::string& path, const IOOptions&, IODebugContext*) {
  return status_of(io_.remove(path));
}

IOStatus RocksFileSystem::Truncate(const std::string& path, std::size_t bytes, const IOOptions&,
                                   IODebugContext*) {
  auto file = io_.open(path, {.write = true});
  if (!file) return status_of(file);
  return status_of((*file)->truncate(bytes));
}

IOStatus RocksFileSystem::CreateDir(const std::string& path, const IOOptions& options,
                                    IODebugContext* context) {
  if (FileExists(path, options, context).ok()) return IOStatus::IOError(path, "it exists");
  return status_of(io_.make_directory(path));
}

IOStatus RocksFileSystem::CreateDirIfMissing(const std::string& path, const IOOptions&,
                                             IODebugContext*) {
  return status_of(io_.make_directory(path));
}

IOStatus RocksFileSystem::DeleteDir(const std::string& path, const IOOptions&, IODebugContext*) {
  return status_of(io_.remove_directory(path));
}

IOStatus RocksFileSystem::GetFileSize(const std::string& path, const IOOptions&,
                                      std::uint64_t* bytes, IODebugContext*) {
  auto file = io_.open(path, {});
  if (!file) return status_of(file);
  const auto size = (*file)->size();
  *bytes = size.value_or(0);
  return status_of(size);
}

IOStatus RocksFileSystem::GetFileModificationTime(const std::string&, const IOOptions&,
                                                  std::uint64_t*, IODebugContext*) {
  return IOStatus::NotSupported("times of files");  // asked of old WALs only, which we have none of
}

IOStatus RocksFileSystem::RenameFile(const std::string& from, const std::string& to,
                                     const IOOptions&, IODebugContext*) {
  return status_of(io_.rename(from, to));
}

IOStatus RocksFileSystem::LinkFile(const std::string& from, const std::string& to, const IOOptions&,
                                   IODebugContext*) {
  return status_of(io_.link(from, to));
}

IOStatus RocksFileSystem::LockFile(const std::string& path, const IOOptions&,
                                   rocksdb::FileLock** lock, IODebugContext*) {
  auto held = io_.lock(path);
  *lock = held ? new HeldLock(std::move(*held)) : nullptr;
  return status_of(held);
}

IOStatus RocksFileSystem::UnlockFile(rocksdb::FileLock* lock, const IOOptions&, IODebugContext*) {
  delete lock;
  return IOStatus::OK();
}

IOStatus RocksFileSystem::NewLogger(const std::string& path, const IOOptions&,
                                    std::shared_ptr<rocksdb::Logger>* log, IODebugContext*) {
  auto file = io_.open(path, {.create = true, .write = true});
  if (!file) return status_of(file);
  if (auto ok = (*file)->truncate(0); !ok) return status_of(ok);
  *log = std::make_shared<LogFile>(std::move(*file));
  return IOStatus::OK();
}

IOStatus RocksFileSystem::GetTestDirectory(const IOOptions&, std::string*, IODebugContext*) {
  return IOStatus::NotSupported("test directories");
}

IOStatus RocksFileSystem::GetAbsolutePath(const std::string& path, const IOOptions&,
                                          std::string* absolute, IODebugContext*) {
  std::error_code error;
  *absolute = std::filesystem::absolute(path, error).string();
  return error ? IOStatus::IOError(path, error.message()) : IOStatus::OK();
}

IOStatus RocksFileSystem::IsDirectory(const std::string& path, const IOOptions& options, bool* is,
                                      IODebugContext* context) {
  *is = io_.list(path).has_value();
  return *is ? IOStatus::OK() : FileExists(path, options, context);
}

}  // namespace leat::storage
