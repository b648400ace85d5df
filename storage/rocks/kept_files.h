// RocksDB's file system, by which nothing is deleted until a start has found the directory whole:
// from a MANIFEST that was cut RocksDB concludes that the newest files are of no use.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <rocksdb/file_system.h>

namespace leat::storage {

// Any thread.
class KeptFiles final : public rocksdb::FileSystemWrapper {
 public:
  explicit KeptFiles(const std::shared_ptr<rocksdb::FileSystem>& under)
      : FileSystemWrapper(under) {}
  const char* Name() const override { return "leat-kept"; }

  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* context) override {
    {
      const std::lock_guard lock(mutex_);
      if (keeps_) {
        kept_.push_back(path);
        return rocksdb::IOStatus::OK();
      }
    }
    return FileSystemWrapper::DeleteFile(path, options, context);
  }

  // Deletes what would have been deleted, and from now on keeps nothing. What cannot be deleted now
  // is at the next start.
  void let_go() {
    std::vector<std::string> kept;
    {
      const std::lock_guard lock(mutex_);
      keeps_ = false;
      kept.swap(kept_);
    }
    for (const std::string& path : kept)
      FileSystemWrapper::DeleteFile(path, {}, nullptr).PermitUncheckedError();
  }

 private:
  std::mutex mutex_;
  bool keeps_ = true;
  std::vector<std::string> kept_;
};

}  // namespace leat::storage
