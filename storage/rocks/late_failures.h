// RocksDB's file system, by which a change of its manifest does not fail while a rewrite ends:
// RocksDB 7.8, as Debian builds it, asserts that none does between the rewrite's own change and its
// end, and would take the host process down (rule 13).
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include <rocksdb/file_system.h>

namespace leat::storage {

// Any thread. A failure is told when no rewrite runs any more; or after a second, for a rewrite may
// itself wait for whoever is told. One that has made its change needs only a processor to end.
class LateFailures final : public rocksdb::FileSystemWrapper {
 public:
  explicit LateFailures(const std::shared_ptr<rocksdb::FileSystem>& under)
      : FileSystemWrapper(under) {}
  const char* Name() const override { return "leat-late-failures"; }

  void rewrite_begins() { set_rewriting(true); }
  void rewrite_ended() { set_rewriting(false); }

  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* context) override {
    auto status = FileSystemWrapper::NewWritableFile(path, options, file, context);
    if (path.ends_with(".sst")) return status;
    if (status.ok()) *file = std::make_unique<Written>(std::move(*file), *this);
    return late(std::move(status));
  }
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* context) override {
    return late(FileSystemWrapper::RenameFile(from, to, options, context));
  }
  rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* directory,
                                 rocksdb::IODebugContext* context) override {
    auto status = FileSystemWrapper::NewDirectory(path, options, directory, context);
    if (status.ok()) *directory = std::make_unique<Synced>(std::move(*directory), *this);
    return late(std::move(status));
  }

 private:
  static constexpr auto kMost = std::chrono::seconds(1);

  class Written final : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    Written(std::unique_ptr<rocksdb::FSWritableFile> file, LateFailures& failures)
        : FSWritableFileOwnerWrapper(std::move(file)), failures_(failures) {}
    using FSWritableFileOwnerWrapper::Append;
    using FSWritableFileOwnerWrapper::PositionedAppend;
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* context) override {
      return failures_.late(FSWritableFileOwnerWrapper::Append(data, options, context));
    }
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             const rocksdb::DataVerificationInfo& verification,
                             rocksdb::IODebugContext* context) override {
      return failures_.late(
          FSWritableFileOwnerWrapper::Append(data, options, verification, context));
    }
    rocksdb::IOStatus Sync(const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* context) override {
      return failures_.late(FSWritableFileOwnerWrapper::Sync(options, context));
    }
    rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options,
                            rocksdb::IODebugContext* context) override {
      return failures_.late(FSWritableFileOwnerWrapper::Fsync(options, context));
    }
    rocksdb::IOStatus Close(const rocksdb::IOOptions& options,
                            rocksdb::IODebugContext* context) override {
      return failures_.late(FSWritableFileOwnerWrapper::Close(options, context));
    }

   private:
    LateFailures& failures_;
  };

  class Synced final : public rocksdb::FSDirectoryWrapper {
   public:
    Synced(std::unique_ptr<rocksdb::FSDirectory> directory, LateFailures& failures)
        : FSDirectoryWrapper(std::move(directory)), failures_(failures) {}
    rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options,
                            rocksdb::IODebugContext* context) override {
      return failures_.late(FSDirectoryWrapper::Fsync(options, context));
    }
    rocksdb::IOStatus FsyncWithDirOptions(const rocksdb::IOOptions& options,
                                          rocksdb::IODebugContext* context,
                                          const rocksdb::DirFsyncOptions& what) override {
      return failures_.late(FSDirectoryWrapper::FsyncWithDirOptions(options, context, what));
    }

   private:
    LateFailures& failures_;
  };

  rocksdb::IOStatus late(rocksdb::IOStatus status) {
    if (status.ok()) return status;
    std::unique_lock lock(mutex_);
    ended_.wait_for(lock, kMost, [this] { return !rewriting_; });
    return status;
  }
  void set_rewriting(bool rewriting) {
    {
      const std::lock_guard lock(mutex_);
      rewriting_ = rewriting;
    }
    ended_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable ended_;
  bool rewriting_ = false;
};

}  // namespace leat::storage
