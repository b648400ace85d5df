// A FileIo over another one that writes down what was done, fails what it is told to fail, and
// knows what a power cut would leave: power_cut() puts every file that was written through it back
// to what was synced. Its write queue ends writes in any order.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "protocol/base/random.h"
#include "storage/write_queue.h"

namespace leat::test {

enum class Operation {
  kOpen,
  kWrite,
  kWriteThrough,
  kRead,
  kSync,
  kRename,
  kRemove,
  kSyncDirectory
};

struct Recorded {
  Operation operation;
  std::string path;
  std::uint64_t at = 0;
  std::size_t bytes = 0;
};

class RecordingFileIo final : public storage::FileIo {
 public:
  explicit RecordingFileIo(storage::FileIo& under) : under_(under) {}

  std::vector<Recorded> recorded() const;
  // Counts writes, syncs, renames and removals from now on, and fails number `k` (from 0) with
  // `code`: once, or from there on. A failed write lets half of its bytes arrive.
  void fail_at(std::uint64_t k, ErrorCode code, bool sticky);
  std::uint64_t changes() const;  // counted since fail_at()
  // A disk that is full: what is there can be written to, and nothing can grow. Any thread.
  void set_full(bool full) { full_ = full; }
  // As FAT, which knows no second names and allocates nothing beforehand. Any thread.
  void refuse_links() { links_ = false; }
  void refuse_allocation() { allocates_ = false; }
  // What it says is free; all there is, if more. Any thread.
  void set_free(std::uint64_t bytes) { free_ = bytes; }
  // Writes of a queue end in an order that `seed` decides, and not before several are in flight if
  // so decided. Of those that the failure hits nothing, all, or some blocks are on the disk, and a
  // power cut leaves them there.
  void shuffle(std::uint64_t seed);
  // Writes begun and not ended, in the order of their beginning. Any thread.
  std::vector<Recorded> in_flight() const;
  std::size_t most_in_flight() const;

  // Drops what was written and not synced, and directory entries of files created or renamed and
  // not followed by a directory sync. Nothing may use the directory meanwhile.
  void power_cut();

  Result<std::unique_ptr<storage::File>> open(const std::string& path,
                                              const storage::OpenOptions& options) override;
  Result<> rename(const std::string& from, const std::string& to) override;
  Result<> remove(const std::string& path) override;
  Result<> link(const std::string& from, const std::string& to) override {
    if (!links_) return fail(ErrorCode::kNotAllowed, "no second name for " + from);
    return under_.link(from, to);
  }
  Result<std::uint64_t> links(const std::string& path) override { return under_.links(path); }
  Result<> make_directory(const std::string& path) override { return under_.make_directory(path); }
  Result<> remove_directory(const std::string& path) override {
    return under_.remove_directory(path);
  }
  bool takes_direct_io(const std::string& directory) override {
    return under_.takes_direct_io(directory);
  }
  Result<> sync_directory(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& path) override {
    return under_.list(path);
  }
  Result<bool> exists(const std::string& path) override { return under_.exists(path); }
  Result<std::uint64_t> free_bytes(const std::string& path) override {
    auto free = under_.free_bytes(path);
    if (free) free = full_ ? 0 : std::min<std::uint64_t>(*free, free_);
    return free;
  }
  Result<std::unique_ptr<storage::FileLock>> lock(const std::string& path) override {
    return under_.lock(path);
  }
  Result<std::unique_ptr<storage::WriteQueue>> write_queue(std::size_t depth) override;

 private:
  friend class RecordingFile;
  friend class RecordingQueue;
  // A file's content: as it is, and as a power cut would leave it. Shared across renames.
  struct Content {
    std::map<std::uint64_t, std::vector<std::byte>> before_unsynced;  // what un-synced writes hid
    std::uint64_t synced_size = 0;
  };
  struct Entry {
    std::shared_ptr<Content> content;
    bool durable = false;  // the directory entry
  };

  void record(Operation operation, const std::string& path, std::uint64_t at = 0,
              std::size_t bytes = 0);
  bool fails();  // counts one change
  bool fails_next() const;
  void remember(const std::string& path, Content& content, std::uint64_t at, std::size_t bytes);
  std::shared_ptr<Content> content_of(const std::string& path, bool existed);

  storage::FileIo& under_;
  std::atomic<bool> full_{false}, links_{true}, allocates_{true};
  std::atomic<std::uint64_t> free_{UINT64_MAX};
  mutable std::mutex mutex_;
  std::vector<Recorded> recorded_;
  std::uint64_t changes_ = 0;
  std::optional<std::uint64_t> fail_at_;
  ErrorCode fail_code_ = ErrorCode::kIoError;
  bool sticky_ = false;
  Random random_{1};
  std::vector<Recorded> in_flight_;
  std::size_t most_in_flight_ = 0;
  std::map<std::string, Entry> entries_;
  std::map<std::string, std::vector<std::byte>> replaced_;  // by renames not yet durable
};

}  // namespace leat::test
